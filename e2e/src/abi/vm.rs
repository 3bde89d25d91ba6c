//! A VM with a module in it, and the events that happen to it.

use std::time::Duration;

use anyhow::{bail, Context as _, Result};
use wasmi::{Linker, Store, Val};

use crate::abi::calls::CallResponse;
use crate::abi::context::{Context, Kind};
use crate::abi::envoy::{Envoy, Level};
use crate::abi::headers::Headers;
use crate::abi::imports;
use crate::abi::memory::{Exports, Host};
use crate::abi::module;
use crate::abi::root::{Plugin, Root};
use crate::abi::stream::{Buffer, Map, Stage, Stream};

/// What a callback says of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes on.
    Continue,
    /// It waits.
    Pause,
}

/// A module in a VM of its own. A callback that the module does not export is not called, as in Envoy; one that traps is an
/// error that tells the log.
pub struct Vm {
    name: String,
    store: Store<Host>,
    instance: wasmi::Instance,
}

impl Vm {
    /// The built module of this name: that of its file, without `.wasm`.
    pub fn new(name: &str) -> Result<Self> {
        let module = module::load(name)?;
        let mut store = Store::new(module.engine(), Host::default());
        let mut linker = Linker::new(module.engine());
        imports::define(&mut linker)?;
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let memory = instance.get_memory(&store, "memory").context("no memory")?;
        let malloc = instance.get_typed_func(&store, "malloc")?;
        store.data_mut().exports = Some(Exports { memory, malloc });
        let mut vm = Self { name: name.into(), store, instance };
        vm.call(0, "_initialize", &[])?;
        Ok(vm)
    }

    /// Envoy, as the module sees it.
    pub fn envoy(&self) -> &Envoy {
        &self.store.data().envoy
    }

    /// The same, to change it.
    pub fn envoy_mut(&mut self) -> &mut Envoy {
        &mut self.store.data_mut().envoy
    }

    /// The bytes of the module's memory.
    pub fn memory(&self) -> usize {
        self.store.data().exports.map_or(0, |exports| exports.memory.data_size(&self.store))
    }

    /// Whether Envoy calls this callback.
    pub fn has(&self, callback: &str) -> bool {
        self.instance.get_func(&self.store, callback).is_some()
    }

    fn call(&mut self, context: u32, callback: &'static str, arguments: &[u32]) -> Result<Option<u32>> {
        let Some(function) = self.instance.get_func(&self.store, callback) else { return Ok(None) };
        let parameters: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.envoy_mut().enter(context, callback);
        let result = function.call(&mut self.store, &parameters, &mut results);
        self.envoy_mut().leave();
        if let Err(trap) = result {
            let log: Vec<_> = self.envoy().log.iter().rev().take(5).collect();
            bail!("{}: {callback}{arguments:?} trapped: {trap}; the last lines of the log: {log:?}", self.name);
        }
        Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
    }

    fn filter(&mut self, context: u32, callback: &'static str, arguments: &[u32]) -> Result<Action> {
        match self.call(context, callback, arguments)? {
            None | Some(0) => Ok(Action::Continue),
            Some(1) => Ok(Action::Pause),
            Some(other) => bail!("{callback} returned {other}"),
        }
    }

    fn context(&mut self, id: u32) -> Result<&mut Context> {
        self.envoy_mut().contexts.get_mut(&id).with_context(|| format!("there is no context {id}"))
    }
}

/// Plugins.
impl Vm {
    /// A plugin begins, and is configured: its context, unless it refuses its configuration.
    pub fn configure(&mut self, plugin: Plugin) -> Result<Option<u32>> {
        let root = Box::new(Root { plugin, ..Root::default() });
        let id = self.envoy_mut().begin(Context::new(Kind::Root(root), 0, None));
        self.context(id)?.root = id;
        self.call(id, "proxy_on_context_create", &[id, 0])?;
        if self.call(id, "proxy_on_vm_start", &[id, 0])? == Some(0) {
            return Ok(None);
        }
        Ok(self.on_configure(id)?.then_some(id))
    }

    /// A plugin begins whose configuration is right.
    pub fn start(&mut self, plugin: Plugin) -> Result<u32> {
        let root_id = plugin.root_id.clone();
        let root = self.configure(plugin)?;
        let errors = || self.envoy().log.iter().filter(|(level, _)| *level >= Level::Warn).collect::<Vec<_>>();
        root.with_context(|| format!("{root_id} is not configured: {:?}", errors()))
    }

    /// A plugin that has begun is given another configuration: whether it takes it. Envoy begins another plugin instead.
    pub fn configure_again(&mut self, root: u32, json: &str) -> Result<bool> {
        if let Kind::Root(root) = &mut self.context(root)?.kind {
            root.plugin.configuration = json.into();
        }
        self.on_configure(root)
    }

    fn on_configure(&mut self, root: u32) -> Result<bool> {
        let size = match &self.context(root)?.kind {
            Kind::Root(root) => root.plugin.configuration.len() as u32,
            _ => 0,
        };
        Ok(self.call(root, "proxy_on_configure", &[root, size])? != Some(0))
    }

    /// A plugin's timer fires.
    pub fn tick(&mut self, root: u32) -> Result<()> {
        self.call(root, "proxy_on_tick", &[root]).map(drop)
    }

    /// Time goes by, and timers fire as they are due.
    pub fn pass(&mut self, time: Duration) -> Result<()> {
        let end = self.envoy().time + time;
        let timer = |(id, context): (&u32, &Context)| match &context.kind {
            Kind::Root(root) => root.timer.map(|timer| (timer.next, *id)),
            _ => None,
        };
        while let Some((at, id)) = self.envoy().contexts.iter().filter_map(timer).min().filter(|(at, _)| *at <= end) {
            let envoy = self.envoy_mut();
            envoy.time = at;
            if let Ok(Root { timer: Some(timer), .. }) = envoy.root_at(id) {
                timer.next = at + timer.period;
            }
            self.tick(id)?;
        }
        self.envoy_mut().time = end;
        Ok(())
    }

    /// A plugin is an access logger, and a stream ends. What became of the stream.
    pub fn access_log(&mut self, root: u32, stream: Stream) -> Result<Stream> {
        let context = self.context(root)?;
        (context.stream, context.stage, context.logs) = (Some(stream), Stage::Logged, true);
        self.call(root, "proxy_on_log", &[root])?;
        let context = self.context(root)?;
        context.logs = false;
        context.stream.take().context("the stream is gone")
    }

    /// A call is answered.
    pub fn answer(&mut self, token: u32, response: CallResponse) -> Result<()> {
        let calls = &mut self.envoy_mut().calls;
        let call = calls.iter().position(|call| call.token == token).map(|index| calls.remove(index));
        let root = call.with_context(|| format!("there is no call {token}"))?.root;
        // Envoy cancels calls with their plugin.
        let counts = [response.headers.len(), response.body.len(), response.trailers.len()].map(|count| count as u32);
        let Ok(plugin) = self.envoy_mut().root_at(root) else { return Ok(()) };
        plugin.response = Some(response);
        let [headers, body, trailers] = counts;
        self.call(root, "proxy_on_http_call_response", &[root, token, headers, body, trailers])?;
        if let Ok(plugin) = self.envoy_mut().root_at(root) {
            plugin.response = None;
        }
        Ok(())
    }

    /// A plugin ends.
    pub fn end_root(&mut self, root: u32) -> Result<()> {
        self.end_context(root)
    }

    fn end_context(&mut self, id: u32) -> Result<()> {
        self.call(id, "proxy_on_done", &[id])?;
        self.delete(id)
    }
}

/// Requests.
impl Vm {
    /// A request begins.
    pub fn http(&mut self, root: u32, stream: Stream) -> Result<u32> {
        self.begin(Kind::Http, root, stream)
    }

    fn begin(&mut self, kind: Kind, root: u32, stream: Stream) -> Result<u32> {
        let id = self.envoy_mut().begin(Context::new(kind, root, Some(stream)));
        self.call(id, "proxy_on_context_create", &[id, root])?;
        Ok(id)
    }

    /// A request begins, and its headers pass.
    pub fn request(&mut self, root: u32, stream: Stream) -> Result<u32> {
        let id = self.http(root, stream)?;
        self.request_headers(id, true)?;
        Ok(id)
    }

    /// The request's headers pass; they are all of it if `end`.
    pub fn request_headers(&mut self, id: u32, end: bool) -> Result<Action> {
        self.headers(id, Map::RequestHeaders, "proxy_on_request_headers", Some(end))
    }

    /// A part of the request's body passes.
    pub fn request_body(&mut self, id: u32, part: &[u8], end: bool) -> Result<Action> {
        self.body(id, Buffer::RequestBody, "proxy_on_request_body", part, end)
    }

    /// The request's trailers pass.
    pub fn request_trailers(&mut self, id: u32) -> Result<Action> {
        self.headers(id, Map::RequestTrailers, "proxy_on_request_trailers", None)
    }

    /// The response's headers pass; they are all of it if `end`.
    pub fn response_headers(&mut self, id: u32, end: bool) -> Result<Action> {
        self.context(id)?.stage = Stage::Connected;
        self.headers(id, Map::ResponseHeaders, "proxy_on_response_headers", Some(end))
    }

    /// A part of the response's body passes.
    pub fn response_body(&mut self, id: u32, part: &[u8], end: bool) -> Result<Action> {
        self.body(id, Buffer::ResponseBody, "proxy_on_response_body", part, end)
    }

    /// The response's trailers pass.
    pub fn response_trailers(&mut self, id: u32) -> Result<Action> {
        self.headers(id, Map::ResponseTrailers, "proxy_on_response_trailers", None)
    }

    /// A stream is logged.
    pub fn log(&mut self, id: u32) -> Result<()> {
        let context = self.context(id)?;
        (context.stage, context.logs) = (Stage::Logged, true);
        self.call(id, "proxy_on_log", &[id])?;
        self.context(id)?.logs = false;
        Ok(())
    }

    /// A context is gone. What is known of the stream in the end can still be read, headers excepted.
    pub fn delete(&mut self, id: u32) -> Result<()> {
        self.context(id)?.passing.clear();
        self.call(id, "proxy_on_delete", &[id])?;
        self.envoy_mut().contexts.remove(&id);
        Ok(())
    }

    /// A request is logged and ends. What became of it.
    pub fn end(&mut self, id: u32) -> Result<Stream> {
        self.log(id)?;
        let stream = self.envoy().stream(id).cloned().context("no stream")?;
        self.end_context(id)?;
        Ok(stream)
    }

    /// A whole request without a body. What became of it.
    pub fn whole(&mut self, root: u32, stream: Stream) -> Result<Stream> {
        let id = self.request(root, stream)?;
        self.response_headers(id, true)?;
        self.end(id)
    }

    fn headers(&mut self, id: u32, map: Map, callback: &'static str, end: Option<bool>) -> Result<Action> {
        let context = self.context(id)?;
        context.passing.push(map);
        let lines = context.stream.as_ref().and_then(|stream| stream.headers(map)).map_or(0, Headers::len);
        let mut arguments = vec![id, lines as u32];
        arguments.extend(end.map(u32::from));
        let action = self.filter(id, callback, &arguments)?;
        if action == Action::Continue {
            self.context(id)?.passing.retain(|passing| *passing != map);
        }
        Ok(action)
    }

    fn body(&mut self, id: u32, buffer: Buffer, callback: &'static str, part: &[u8], end: bool) -> Result<Action> {
        self.context(id)?.buffers.insert(buffer, part.into());
        let action = self.filter(id, callback, &[id, part.len() as u32, end.into()])?;
        self.context(id)?.buffers.remove(&buffer);
        Ok(action)
    }
}

/// TCP connections.
impl Vm {
    /// A connection begins.
    pub fn connection(&mut self, root: u32, stream: Stream) -> Result<u32> {
        let id = self.begin(Kind::Tcp, root, stream)?;
        self.filter(id, "proxy_on_new_connection", &[id])?;
        Ok(id)
    }

    /// Bytes come from the downstream.
    pub fn downstream(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<Action> {
        self.context(id)?.stage = Stage::Connected;
        self.data(id, Buffer::Downstream, "proxy_on_downstream_data", bytes, end)
    }

    /// Bytes come from the upstream.
    pub fn upstream(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<Action> {
        self.context(id)?.stage = Stage::Connected;
        self.data(id, Buffer::Upstream, "proxy_on_upstream_data", bytes, end)
    }

    /// A connection ends, and is logged. What became of it.
    pub fn close(&mut self, id: u32) -> Result<Stream> {
        self.call(id, "proxy_on_done", &[id])?;
        self.log(id)?;
        let stream = self.envoy().stream(id).cloned().context("no stream")?;
        self.delete(id)?;
        Ok(stream)
    }

    fn data(&mut self, id: u32, buffer: Buffer, callback: &'static str, bytes: &[u8], end: bool) -> Result<Action> {
        let context = self.context(id)?;
        let mut all = context.held.remove(&buffer).unwrap_or_default();
        all.extend(bytes);
        let size = all.len() as u32;
        context.buffers.insert(buffer, all);
        let action = self.filter(id, callback, &[id, size, end.into()])?;
        let context = self.context(id)?;
        let bytes = context.buffers.remove(&buffer).unwrap_or_default();
        context.held.insert(buffer, bytes);
        if action == Action::Continue {
            context.release(buffer);
        }
        Ok(action)
    }
}
