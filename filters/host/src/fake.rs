//! Envoy in memory, for tests and for checking configurations: set its state, run the filter, read the results.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use core::time::Duration;

use crate::pairs;
use crate::property::Property;
use crate::{
    Body, Buffer, Call, CallToken, Expression, HeaderMap, Host, HostError, MetricId, MetricKind, Reply, StateKind,
    BAD_ARGUMENT,
};

/// The lines of each header, by map and name.
type FakeHeaders = BTreeMap<(HeaderMap, String), Vec<Vec<u8>>>;

/// A host with plain maps as state. It counts the host calls.
#[derive(Default)]
pub struct FakeHost {
    properties: BTreeMap<String, Vec<u8>>,
    headers: RefCell<FakeHeaders>,
    filter_state: RefCell<BTreeMap<String, Vec<u8>>>,
    buffers: RefCell<[Vec<u8>; 2]>,
    resumed: RefCell<Vec<Buffer>>,
    metrics: RefCell<Vec<FakeMetric>>,
    /// What expressions evaluate to; any other does not compile.
    values: BTreeMap<String, Option<Vec<u8>>>,
    takes_all_expressions: bool,
    expressions: RefCell<Vec<String>>,
    context: Cell<u32>,
    ends: RefCell<Vec<(u32, FakeEnd)>>,
    bodies: BTreeMap<Body, Vec<u8>>,
    made: RefCell<Vec<FakeCall>>,
    /// With which status calls fail.
    call_status: Cell<Option<u32>>,
    tick_period: Cell<Duration>,
    /// Start time of the timer's current period.
    timer_start: Cell<Duration>,
    monotonic: Cell<Duration>,
    wall: Cell<Duration>,
    random: Cell<Option<[u8; 16]>>,
    calls: Cell<usize>,
    next_token: Cell<u32>,
}

type FakeLines = Vec<Vec<u8>>;

/// How a filter ended the pause of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FakeEnd {
    /// It went on.
    Resumed,
    /// It was reset.
    Reset,
    /// It was answered: HTTP status, gRPC status, details, body, additional headers.
    Replied(u16, Option<u8>, String, String, Vec<(String, String)>),
}

/// An HTTP call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeCall {
    /// Its token.
    pub token: CallToken,
    /// The cluster.
    pub cluster: String,
    /// Header lines.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Timeout of the call.
    pub timeout: Duration,
}

impl FakeCall {
    /// The first line of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other == name)?;
        core::str::from_utf8(value).ok()
    }
}

#[derive(Clone)]
struct FakeMetric {
    name: String,
    kind: MetricKind,
    value: u64,
    samples: u64,
}

impl FakeHost {
    /// A host without any values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every expression compile, for callers that do not evaluate them.
    pub fn with_all_expressions(&mut self) -> &mut Self {
        self.takes_all_expressions = true;
        self
    }

    /// Sets an attribute to `text`.
    pub fn with_text(&mut self, path: Property, text: &str) -> &mut Self {
        self.properties.insert(path.0.into(), text.into());
        self
    }

    /// Sets an attribute to `number`.
    pub fn with_int(&mut self, path: Property, number: i64) -> &mut Self {
        self.properties.insert(path.0.into(), number.to_le_bytes().into());
        self
    }

    /// Sets an attribute to `boolean`.
    pub fn with_boolean(&mut self, path: Property, boolean: bool) -> &mut Self {
        self.properties.insert(path.0.into(), vec![boolean.into()]);
        self
    }

    /// Sets the filter state `key` to `bytes`.
    pub fn with_state(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.filter_state.borrow_mut().insert(key.into(), bytes.into());
        self
    }

    /// Sets a header of the stream.
    pub fn with_header(&mut self, map: HeaderMap, name: &str, value: &str) -> &mut Self {
        self.headers.borrow_mut().insert((map, name.into()), vec![value.into()]);
        self
    }

    /// Adds a line to a header, with any bytes.
    pub fn with_line(&mut self, map: HeaderMap, name: &str, value: &[u8]) -> &mut Self {
        let key = (map, name.into());
        self.headers.borrow_mut().entry(key).or_default().push(value.into());
        self
    }

    /// Removes all headers.
    pub fn without_headers(&mut self) -> &mut Self {
        self.headers.borrow_mut().clear();
        self
    }

    /// Sets the random bytes.
    pub fn with_random(&mut self, bytes: [u8; 16]) -> &mut Self {
        self.random.set(Some(bytes));
        self
    }

    /// Sets the system clock to this time since 1970.
    pub fn with_wall_time(&mut self, time: Duration) -> &mut Self {
        self.wall.set(time);
        self
    }

    /// Advances both clocks.
    pub fn pass(&self, time: Duration) {
        for clock in [&self.monotonic, &self.wall] {
            clock.set(clock.get().saturating_add(time));
        }
    }

    /// Makes the following calls apply to a stream.
    pub fn enter(&self, context_id: u32) {
        self.context.set(context_id);
    }

    /// Sets the readable part of a body.
    pub fn with_body(&mut self, body: Body, bytes: &[u8]) -> &mut Self {
        self.bodies.insert(body, bytes.into());
        self
    }

    /// Makes reads of a body fail.
    pub fn without_body(&mut self, body: Body) -> &mut Self {
        self.bodies.remove(&body);
        self
    }

    /// Makes HTTP calls fail at once with this status; `None`: they succeed.
    pub fn with_call_status(&self, status: Option<u32>) {
        self.call_status.set(status);
    }

    /// The calls that were made since the last time that this was asked.
    pub fn take_made(&self) -> Vec<FakeCall> {
        self.made.take()
    }

    /// What became of requests since the last time that this was asked, by the ids of their contexts.
    pub fn take_ends(&self) -> Vec<(u32, FakeEnd)> {
        self.ends.take()
    }

    /// The period of the timer; zero if it is off.
    pub fn tick_period(&self) -> Duration {
        self.tick_period.get()
    }

    /// Time until the timer fires; `None` if it is off.
    pub fn next_tick(&self) -> Option<Duration> {
        let at = self.timer_start.get().saturating_add(self.tick_period());
        Some(at.saturating_sub(self.monotonic.get())).filter(|_| !self.tick_period().is_zero())
    }

    /// The timer fires and restarts.
    pub fn fire(&self) {
        self.timer_start.set(self.monotonic.get());
    }

    /// Sets the bytes of a buffer.
    pub fn with_buffer(&mut self, buffer: Buffer, bytes: &[u8]) -> &mut Self {
        self.buffer_of(buffer, |content| *content = bytes.into());
        self
    }

    /// Makes an expression compile. It evaluates to `value`; `None`: evaluation fails.
    pub fn with_expression(&mut self, text: &str, value: Option<&[u8]>) -> &mut Self {
        self.values.insert(text.into(), value.map(Into::into));
        self
    }

    /// Removes an attribute.
    pub fn without(&mut self, path: Property) -> &mut Self {
        self.properties.remove(path.0);
        self
    }

    /// Removes the filter state `key`.
    pub fn without_state(&mut self, key: &str) -> &mut Self {
        self.filter_state.borrow_mut().remove(key);
        self
    }

    /// The current headers of the stream.
    pub fn headers(&self, map: HeaderMap) -> BTreeMap<String, String> {
        let headers = self.headers.borrow();
        let of_map = headers.iter().filter(|((of, _), _)| *of == map);
        let first = |lines: &FakeLines| lines.first().map(|line| String::from_utf8_lossy(line).into_owned());
        of_map.map(|((_, name), lines)| (name.clone(), first(lines).unwrap_or_default())).collect()
    }

    /// Removes and returns the bytes of a buffer.
    pub fn take_buffer(&self, buffer: Buffer) -> Vec<u8> {
        self.buffer_of(buffer, core::mem::take)
    }

    /// The buffers that were resumed.
    pub fn resumed(&self) -> Vec<Buffer> {
        self.resumed.borrow().clone()
    }

    /// The value of the filter state `key`.
    pub fn state_of(&self, key: &str) -> Option<Vec<u8>> {
        self.filter_state.borrow().get(key).cloned()
    }

    /// The values of all filter states, by key.
    pub fn states(&self) -> BTreeMap<String, Vec<u8>> {
        self.filter_state.borrow().clone().into_iter().collect()
    }

    /// Values of counters and gauges, by name.
    pub fn values(&self) -> BTreeMap<String, u64> {
        let metrics = self.metrics.borrow();
        let mut values = BTreeMap::new();
        for metric in metrics.iter().filter(|metric| metric.kind != MetricKind::Histogram) {
            let value: &mut u64 = values.entry(metric.name.clone()).or_default();
            *value = value.saturating_add(metric.value);
        }
        values
    }

    /// The number and the sum of samples of each histogram, by name.
    pub fn histograms(&self) -> BTreeMap<String, (u64, u64)> {
        let metrics = self.metrics.borrow();
        let histograms = metrics.iter().filter(|metric| metric.kind == MetricKind::Histogram);
        histograms.map(|metric| (metric.name.clone(), (metric.samples, metric.value))).collect()
    }

    /// How many metrics were defined. A name counts as often as it was defined.
    pub fn defined(&self) -> usize {
        self.metrics.borrow().len()
    }

    /// Host calls since the last use of this function.
    pub fn take_calls(&self) -> usize {
        self.calls.take()
    }

    fn buffer_of<T>(&self, buffer: Buffer, access: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let [downstream, upstream] = &mut *self.buffers.borrow_mut();
        access(match buffer {
            Buffer::Downstream => downstream,
            Buffer::Upstream => upstream,
        })
    }

    fn end(&self, end: FakeEnd) {
        self.ends.borrow_mut().push((self.context.get(), end));
    }

    fn called(&self) {
        self.calls.set(self.calls.get().saturating_add(1));
    }

    fn update(&self, call: &'static str, id: MetricId, update: impl FnOnce(&mut FakeMetric)) -> Result<(), HostError> {
        self.called();
        let mut metrics = self.metrics.borrow_mut();
        let metric = metrics.get_mut(id.0 as usize).ok_or(HostError { call, status: 2 })?;
        update(metric);
        Ok(())
    }
}

impl Host for FakeHost {
    fn property(&self, path: Property) -> Option<Vec<u8>> {
        self.called();
        self.properties.get(path.0).cloned().or_else(|| self.state_of(path.0)).filter(|value| !value.is_empty())
    }

    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        self.called();
        self.filter_state.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }

    fn declare_filter_state(&self, _key: &str, _kind: StateKind) -> Result<(), HostError> {
        self.called();
        Ok(())
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        self.called();
        let key = (map, name.to_string());
        self.headers.borrow().get(&key)?.first().cloned()
    }

    fn header_pairs(&self, map: HeaderMap) -> Option<Vec<u8>> {
        self.called();
        let headers = self.headers.borrow();
        let of_map = headers.iter().filter(|((of, _), _)| *of == map);
        let lines = of_map.flat_map(|((_, name), lines)| lines.iter().map(|line| (name.as_bytes(), line.as_slice())));
        Some(pairs::encode(lines))
    }

    fn replace_header(&self, map: HeaderMap, name: &str, value: &str) -> Result<(), HostError> {
        self.called();
        self.headers.borrow_mut().insert((map, name.into()), vec![value.into()]);
        Ok(())
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        self.called();
        self.headers.borrow_mut().remove(&(map, name.to_string()));
        Ok(())
    }

    fn buffer(&self, buffer: Buffer, size: usize) -> Option<Vec<u8>> {
        self.called();
        self.buffer_of(buffer, |bytes| Some(bytes.iter().copied().take(size).collect()))
    }

    fn replace_front(&self, buffer: Buffer, size: usize, bytes: &[u8]) -> Result<(), HostError> {
        self.called();
        self.buffer_of(buffer, |content| {
            let size = size.min(content.len());
            content.splice(..size, bytes.iter().copied());
        });
        Ok(())
    }

    fn body(&self, body: Body, size: usize) -> Option<Vec<u8>> {
        self.called();
        Some(self.bodies.get(&body)?.iter().copied().take(size).collect())
    }

    fn call(&self, call: &Call) -> Result<CallToken, HostError> {
        self.called();
        let has = |name: &[u8]| call.headers.iter().any(|(other, _)| *other == name);
        let complete = [b":method".as_slice(), b":path", b":authority"].into_iter().all(has);
        let refused = self.call_status.get().or((!complete).then_some(BAD_ARGUMENT));
        if let Some(status) = refused {
            return Err(HostError { call: "proxy_http_call", status });
        }
        let token = CallToken(self.next_token.get());
        self.next_token.set(token.0.saturating_add(1));
        let line = |(name, value): &(&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
        self.made.borrow_mut().push(FakeCall {
            token,
            cluster: call.cluster.into(),
            headers: call.headers.iter().map(line).collect(),
            body: call.body.into(),
            timeout: call.timeout,
        });
        Ok(token)
    }

    fn reply(&self, reply: &Reply) -> Result<(), HostError> {
        self.called();
        let body = String::from_utf8_lossy(reply.body).into_owned();
        self.end(FakeEnd::Replied(reply.status, reply.grpc_status, reply.details.into(), body, reply.headers.into()));
        Ok(())
    }

    fn resume_request(&self) -> Result<(), HostError> {
        self.called();
        self.end(FakeEnd::Resumed);
        Ok(())
    }

    fn reset_request(&self) -> Result<(), HostError> {
        self.called();
        self.end(FakeEnd::Reset);
        Ok(())
    }

    fn resume(&self, buffer: Buffer) -> Result<(), HostError> {
        self.called();
        self.resumed.borrow_mut().push(buffer);
        Ok(())
    }

    fn set_context(&self, context_id: u32) -> Result<(), HostError> {
        self.called();
        self.enter(context_id);
        Ok(())
    }

    fn create_expression(&self, text: &str) -> Result<Expression, HostError> {
        self.called();
        let refused = HostError { call: "proxy_call_foreign_function", status: 2 };
        let mut expressions = self.expressions.borrow_mut();
        let token = u32::try_from(expressions.len()).ok();
        let token = token.filter(|_| self.takes_all_expressions || self.values.contains_key(text)).ok_or(refused)?;
        expressions.push(text.into());
        Ok(Expression(token))
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        self.called();
        self.values.get(self.expressions.borrow().get(expression.0 as usize)?)?.clone()
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        self.called();
        let mut metrics = self.metrics.borrow_mut();
        let id = u32::try_from(metrics.len()).map_err(|_| HostError { call: "proxy_define_metric", status: 10 })?;
        metrics.push(FakeMetric { name: name.into(), kind, value: 0, samples: 0 });
        Ok(MetricId(id))
    }

    fn increment_metric(&self, id: MetricId, by: i64) -> Result<(), HostError> {
        self.update("proxy_increment_metric", id, |metric| metric.value = metric.value.wrapping_add_signed(by))
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        self.update("proxy_record_metric", id, |metric| {
            metric.samples = metric.samples.saturating_add(1);
            metric.value = match metric.kind {
                MetricKind::Gauge => value,
                MetricKind::Counter | MetricKind::Histogram => metric.value.saturating_add(value),
            };
        })
    }

    fn metric(&self, id: MetricId) -> Option<u64> {
        self.called();
        // In Envoy, metrics with one name are one metric.
        let metrics = self.metrics.borrow();
        let name = &metrics.get(id.0 as usize)?.name;
        Some(metrics.iter().filter(|metric| metric.name == *name).fold(0, |sum, metric| sum.wrapping_add(metric.value)))
    }

    fn monotonic_time(&self) -> Option<Duration> {
        self.called();
        Some(self.monotonic.get())
    }

    fn wall_time(&self) -> Option<Duration> {
        self.called();
        Some(self.wall.get())
    }

    fn random(&self) -> Option<[u8; 16]> {
        self.called();
        self.random.get()
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        self.called();
        self.tick_period.set(period);
        self.fire();
        Ok(())
    }
}
