//! Envoy, as far as a module sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::abi::calls::Call;
use crate::abi::context::{Context, End, Kind};
use crate::abi::metrics::Metrics;
use crate::abi::path::path_of;
use crate::abi::root::{Root, Timer};
use crate::abi::status::{BAD_ARGUMENT, NOT_FOUND};
use crate::abi::stream::{Buffer, Stream};

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 0.
    Trace,
    /// 1.
    Debug,
    /// 2.
    Info,
    /// 3.
    Warn,
    /// 4.
    Error,
    /// 5: how the SDK reports a panic.
    Critical,
}

/// A host call that is about to be answered.
pub struct Asked<'a> {
    /// Its name in the ABI; of a foreign function, its own name.
    pub call: &'a str,
    /// The callback in which it is made.
    pub callback: &'a str,
    /// The attribute, header, metric, key or cluster that it is about, with dots; nothing where there is none.
    pub subject: String,
}

/// What a call answers instead of what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status, and nothing is done.
    Status(u32),
    /// Ok, with these bytes where the call gives bytes.
    Bytes(Vec<u8>),
    /// Ok, with this number where the call gives a number.
    Number(u64),
}

/// Decides what calls answer.
type Script = Box<dyn FnMut(&Asked) -> Option<Answer>>;

/// Envoy: what it knows, and what has become of it.
pub struct Envoy {
    /// The metrics.
    pub metrics: Metrics,
    /// The log lines, oldest first.
    pub log: Vec<(Level, String)>,
    /// The requests that modules have made and that are not answered.
    pub calls: Vec<Call>,
    /// The clusters that calls may go to, and whether they have a host.
    pub clusters: BTreeMap<String, bool>,
    /// The least level that is logged. A module asks for it when a plugin begins.
    pub log_level: Level,
    /// The ids that calls were to be about, by `proxy_set_effective_context`.
    pub entered: Vec<u32>,
    /// The context that calls were about when the last callback returned.
    pub left_in: u32,
    pub(super) contexts: BTreeMap<u32, Context>,
    pub(super) time: Duration,
    node: BTreeMap<String, Vec<u8>>,
    bad_expressions: BTreeSet<String>,
    script: Option<Script>,
    counts: BTreeMap<&'static str, usize>,
    current: u32,
    effective: u32,
    callback: &'static str,
    random: u64,
    next_context: u32,
    /// Of calls: as Envoy's, which has one for each kind of call in turn.
    pub(super) next_token: u32,
}

impl Default for Envoy {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            log: Vec::new(),
            calls: Vec::new(),
            clusters: BTreeMap::new(),
            log_level: Level::Info,
            entered: Vec::new(),
            left_in: 0,
            contexts: BTreeMap::new(),
            // Neither clock begins at 0, nor do both at the same time.
            time: Duration::from_secs(1000),
            node: BTreeMap::new(),
            bad_expressions: BTreeSet::new(),
            script: None,
            counts: BTreeMap::new(),
            current: 0,
            effective: 0,
            callback: "",
            random: 1,
            next_context: 1,
            next_token: 4,
        }
    }
}

/// Where the wall clock stands when the other one stands at 0: in November 2026.
const EPOCH: Duration = Duration::from_secs(1_795_000_000);

/// What tests set and read.
impl Envoy {
    /// An attribute of the node, below `xds.node`.
    pub fn node(&mut self, path: &str, value: &str) -> &mut Self {
        self.node.insert(path_of(&format!("xds.node.{path}")), value.into());
        self
    }

    /// An expression that does not compile. All others do.
    pub fn refuse_expression(&mut self, text: &str) {
        self.bad_expressions.insert(text.into());
    }

    /// Lets `script` answer calls in place of Envoy. Where it gives nothing, they are answered as always.
    pub fn script(&mut self, script: impl FnMut(&Asked) -> Option<Answer> + 'static) {
        self.script = Some(Box::new(script));
    }

    /// Lets a call of this name answer this, always.
    pub fn answer(&mut self, call: &'static str, answer: Answer) {
        self.script(move |asked| (asked.call == call).then(|| answer.clone()));
    }

    /// Lets all calls be answered as always.
    pub fn without_script(&mut self) {
        self.script = None;
    }

    /// What is known of a live stream.
    pub fn stream(&self, id: u32) -> Option<&Stream> {
        self.contexts.get(&id)?.stream.as_ref()
    }

    /// What became of a live request.
    pub fn ends(&self, id: u32) -> &[End] {
        self.contexts.get(&id).map(|context| context.ends.as_slice()).unwrap_or_default()
    }

    /// The bytes of a live connection that have passed in a direction.
    pub fn passed(&self, id: u32, buffer: Buffer) -> &[u8] {
        self.contexts.get(&id).and_then(|context| context.passed.get(&buffer)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The period of a plugin's timer, if it has one.
    pub fn tick_period(&self, root: u32) -> Option<Duration> {
        match &self.contexts.get(&root)?.kind {
            Kind::Root(root) => root.timer.map(|timer| timer.period),
            _ => None,
        }
    }

    /// How many calls there were since this was asked last, besides those that log.
    pub fn take_counts(&mut self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.counts)
    }

    /// The lines of a level that have all these parts.
    pub fn logged(&self, level: Level, parts: &[&str]) -> usize {
        let of_level = self.log.iter().filter(|(other, _)| *other == level);
        of_level.filter(|(_, line)| parts.iter().all(|part| line.contains(part))).count()
    }
}

/// The way of callbacks.
impl Envoy {
    pub(super) fn enter(&mut self, context: u32, callback: &'static str) {
        (self.current, self.effective, self.callback) = (context, 0, callback);
    }

    pub(super) fn leave(&mut self) {
        self.left_in = self.about();
        self.enter(0, "");
    }

    /// A new context's id. Ids are not given out twice.
    pub(super) fn begin(&mut self, context: Context) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        self.contexts.insert(id, context);
        id
    }

    /// What the script says to a call.
    pub(super) fn scripted(&mut self, call: &'static str, subject: &[u8]) -> Option<Answer> {
        if call != "proxy_log" {
            *self.counts.entry(call).or_default() += 1;
        }
        let callback = self.callback;
        let subject = || String::from_utf8_lossy(subject).replace('\0', ".");
        self.script.as_mut().and_then(|script| script(&Asked { call, callback, subject: subject() }))
    }

    pub(super) fn is_configuring(&self) -> bool {
        self.callback == "proxy_on_configure"
    }

    pub(super) fn is_no_expression(&self, text: &str) -> bool {
        self.bad_expressions.contains(text)
    }
}

/// What calls are about.
impl Envoy {
    pub(super) fn about(&self) -> u32 {
        if self.effective == 0 {
            self.current
        } else {
            self.effective
        }
    }

    /// The context that calls are about.
    pub(super) fn context(&mut self) -> Result<&mut Context, u32> {
        let about = self.about();
        self.contexts.get_mut(&about).ok_or(BAD_ARGUMENT)
    }

    /// The context of the callback, whatever calls are about.
    pub(super) fn current(&mut self) -> Result<&mut Context, u32> {
        self.contexts.get_mut(&self.current).ok_or(BAD_ARGUMENT)
    }

    /// The plugin of the context that calls are about, and its id.
    pub(super) fn root(&mut self) -> Result<(u32, &mut Root), u32> {
        let id = self.context()?.root;
        Ok((id, self.root_at(id)?))
    }

    pub(super) fn root_of_current(&mut self) -> Result<&mut Root, u32> {
        let id = self.current()?.root;
        self.root_at(id)
    }

    pub(super) fn root_at(&mut self, id: u32) -> Result<&mut Root, u32> {
        match self.contexts.get_mut(&id).map(|context| &mut context.kind) {
            Some(Kind::Root(root)) => Ok(root),
            _ => Err(NOT_FOUND),
        }
    }
}

/// Calls that are about no stream's data.
impl Envoy {
    pub(super) fn log(&mut self, level: u32, line: &[u8]) -> Result<(), u32> {
        let level = match level {
            0 => Level::Trace,
            1 => Level::Debug,
            2 => Level::Info,
            3 => Level::Warn,
            4 => Level::Error,
            5 => Level::Critical,
            _ => return Err(BAD_ARGUMENT),
        };
        if level >= self.log_level {
            self.log.push((level, String::from_utf8_lossy(line).into_owned()));
        }
        Ok(())
    }

    pub(super) fn attribute(&mut self, path: &[u8]) -> Result<Vec<u8>, u32> {
        let path = std::str::from_utf8(path).map_err(|_| NOT_FOUND)?;
        let own = match path {
            "plugin_root_id" => Some(self.root()?.1.plugin.root_id.clone()),
            "plugin_name" => Some(self.root()?.1.plugin.name.clone()),
            "plugin_vm_id" => Some(self.root()?.1.plugin.vm_id.clone()),
            _ => None,
        };
        if let Some(own) = own {
            return Ok(own.into());
        }
        if path.starts_with("xds\0node\0") {
            return self.node.get(path).cloned().ok_or(NOT_FOUND);
        }
        let context = self.context()?;
        let stream = context.stream.as_ref().ok_or(NOT_FOUND)?;
        stream.attribute(path, context.stage, context.is_http(), &context.readable()).ok_or(NOT_FOUND)
    }

    pub(super) fn set_effective_context(&mut self, id: u32) -> Result<(), u32> {
        self.entered.push(id);
        if !self.contexts.contains_key(&id) {
            return Err(BAD_ARGUMENT);
        }
        self.effective = id;
        Ok(())
    }

    pub(super) fn set_tick_period(&mut self, milliseconds: u32) -> Result<(), u32> {
        let period = Duration::from_millis(milliseconds.into());
        let next = self.time + period;
        self.root()?.1.timer = (milliseconds > 0).then_some(Timer { period, next });
        Ok(())
    }

    pub(super) fn clock(&self, clock: u32) -> Result<u64, u32> {
        let time = match clock {
            0 => EPOCH + self.time,
            1 => self.time,
            _ => return Err(BAD_ARGUMENT),
        };
        u64::try_from(time.as_nanos()).map_err(|_| BAD_ARGUMENT)
    }

    /// Bytes that are the same in each run: SplitMix64.
    pub(super) fn random(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((mixed ^ (mixed >> 31)).to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}
