//! Applies the rules to requests: copies them, and compares the answers.

mod sending;
mod target;

use core::mem;
use core::ops::Range;
use std::rc::Rc;

use configuration::ConfigError;
use host::property;
use host::{Body, Host};
use labels::content_type;
use rules::matching::{self, Condition, RequestCache};
use rules::pattern::Pattern;
use rules::random::{self, Random};

use crate::config::{Mirror, MirrorRule, SendOn, ShadowConfig};
use crate::copied::{lines, Copied};
use crate::metrics::Skip;
use crate::outcome::Counts;
use crate::request::{Complete, Mirrored, MirroredRequest, RequestTraits, Response};
use sending::Sending;
use target::{largest, skip_all, skip_too_large, Target};

/// Host calls of a request when no rule can mirror: none is configured, all are disabled or expired.
pub const CALLS_OF_NO_RULE: usize = 0;
/// Host calls of a request that lacks the only header in the rules' conditions. The call returns no bytes.
pub const CALLS_WITHOUT_HEADER: usize = 1;
/// Host calls of a request whose header has another value than the rule: the header's other lines are also read.
pub const CALLS_OF_OTHER_VALUE: usize = 2;
/// Host calls of a request with another path, method, authority, scheme or cluster than the rule.
pub const CALLS_OF_OTHER_PATH: usize = 1;

/// Host calls of a request without a body that a rule without conditions mirrors once, including the copy and the
/// comparison. The timer's calls are shared by all requests of a millisecond.
pub const CALLS_OF_MIRRORED: usize = 23;

/// Mirroring on one worker.
pub struct Mirroring {
    config: ShadowConfig,
    rules: Vec<MirrorRuleState>,
    /// How many of the rules, from the first, need to be looked at: those after these can do nothing.
    usable: usize,
    random: Random,
    known: RequestCache,
    sending: Sending,
}

/// What a rule is for, and which of the targets are its.
struct MirrorRuleState {
    matches: Vec<Vec<Condition>>,
    targets: Range<usize>,
    is_idle: bool,
    rewrites: bool,
}

impl Mirroring {
    /// Reads the plugin configuration. Has no visible effect, because Envoy configures more root contexts than it has
    /// workers.
    pub fn new(json: &[u8], host: &impl Host, root_id: u32) -> Result<Self, ConfigError> {
        let mut config = ShadowConfig::parse(json)?;
        config.look_at_node(host);
        let is_idle = config.is_idle();
        let mut targets = Vec::new();
        let rules = mem::take(&mut config.rules);
        let rules: Vec<MirrorRuleState> =
            rules.into_iter().map(|rule| MirrorRuleState::new(rule, &mut targets, &config.stat_prefix)).collect();
        let last = rules.iter().rposition(|rule| !rule.is_idle).filter(|_| !is_idle);
        Ok(Self {
            usable: last.map_or(0, |last| last.saturating_add(1)),
            rules,
            random: Random::from_host(host, root_id),
            known: RequestCache::default(),
            sending: Sending::new(&config, targets, host),
            config,
        })
    }

    /// Messages about the configuration for the operator; true marks a warning.
    pub fn remarks(&self, host: &impl Host) -> Vec<(bool, String)> {
        let mut remarks: Vec<_> = self.config.remarks.iter().map(|remark| (false, remark.clone())).collect();
        if self.rules.is_empty() {
            remarks.push((false, "empty configuration, nothing will be mirrored".into()));
        } else if !self.config.enabled {
            remarks.push((false, "not enabled, nothing will be mirrored".into()));
        } else if self.has_expired(host) {
            remarks.push((true, ["expired at ", &self.config.expires.text, ", nothing will be mirrored"].concat()));
        }
        remarks
    }

    /// The request's head passes; `is_all` if nothing follows.
    pub fn on_request_headers(&mut self, host: &impl Host, is_all: bool) -> MirroredRequest {
        let mut request = MirroredRequest::default();
        if self.usable > 0 {
            request.mirrored = self.begin(host).map(Box::new);
        }
        if is_all {
            self.complete(host, &mut request);
        }
        request
    }

    /// A part of the request's body passes.
    pub fn on_request_body(&mut self, host: &impl Host, request: &mut MirroredRequest, size: usize, is_last: bool) {
        let Some(mirrored) = &mut request.mirrored else { return };
        if let Some(copied) = &mut mirrored.copied {
            let length = copied.body.len().saturating_add(size);
            if size > 0 && !skip_too_large(&mut self.sending.targets, &mut mirrored.waiting, host, length) {
                let max = largest(&self.sending.targets, &mirrored.waiting);
                if let Err(why) = copied.push(size, max, || host.body(Body::Request, size)) {
                    skip_all(&mut self.sending.targets, &mut mirrored.waiting, host, why);
                }
            }
            if mirrored.waiting.is_empty() {
                mirrored.copied = None;
            }
        }
        if is_last {
            self.complete(host, request);
        }
        self.sending.tell_if_it_lags(host);
    }

    /// The request's trailers pass: it is complete. Envoy sends none with a call.
    pub fn on_request_trailers(&mut self, host: &impl Host, request: &mut MirroredRequest) {
        if let Some(mirrored) = &mut request.mirrored {
            mirrored.facts.had_trailers = true;
        }
        self.complete(host, request);
    }

    /// The response's head passes; `is_all` if nothing follows.
    pub fn on_response_headers(&mut self, host: &impl Host, request: &mut MirroredRequest, is_all: bool) {
        let Some(mirrored) = &mut request.mirrored else { return };
        mirrored.response.on_headers(host, mirrored.facts, mirrored.complete_at, is_all);
        if mirrored.waiting.is_empty() || mirrored.is_answered {
            return;
        }
        let is_by_envoy = || {
            let details = host.property(property::RESPONSE_CODE_DETAILS);
            details.is_none_or(|details| details != b"via_upstream")
        };
        if !is_by_envoy() {
            mirrored.is_answered = true;
            self.send_what_is_due(host, request);
        }
    }

    /// A part of the response's body passes.
    pub fn on_response_body(&mut self, host: &impl Host, request: &mut MirroredRequest, size: usize, is_last: bool) {
        if let Some(mirrored) = &mut request.mirrored {
            mirrored.response.on_body(host, size, is_last);
        }
    }

    /// The response's trailers pass.
    pub fn on_response_trailers(&mut self, host: &impl Host, request: &mut MirroredRequest) {
        if let Some(mirrored) = &mut request.mirrored {
            mirrored.response.on_trailers(host, mirrored.facts);
        }
    }

    /// The request has ended, whatever became of it.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut MirroredRequest) {
        let Some(mut mirrored) = request.mirrored.take() else { return };
        let why = if mirrored.complete.is_some() { Skip::PrimaryUnavailable } else { Skip::Incomplete };
        skip_all(&mut self.sending.targets, &mut mirrored.waiting, host, why);
        if !mirrored.pairs.is_empty() {
            let outcome = mirrored.response.outcome(host, mirrored.facts);
            for id in mem::take(&mut mirrored.pairs) {
                self.sending.on_original_end(host, id, outcome);
            }
        }
        // Releases the memory of the request, unless a copy is still to be sent.
        drop(mirrored);
        self.sending.tell_if_none_is_ready(host);
    }

    /// Sends the copies in the queue.
    pub fn on_tick(&mut self, host: &impl Host) {
        self.sending.on_tick(host);
    }

    /// A call was answered, or has failed.
    pub fn on_call_response(&mut self, host: &impl Host, token: u32, counts: Counts) {
        self.sending.on_call_response(host, token, counts);
    }

    /// The configuration ends, and cancels its copies.
    pub fn on_end(&mut self, host: &impl Host) {
        self.sending.on_end(host);
    }

    /// Begins to copy the request, if a rule selects it.
    fn begin(&mut self, host: &impl Host) -> Option<Mirrored> {
        self.known.forget(&self.config.headers);
        let mut request = matching::RequestAtHand::new(host, &self.config.headers, &mut self.known);
        let rule = self.rules.iter().take(self.usable).find(|rule| request.is_meant_by(&rule.matches))?;
        if self.config.expires.at.is_some_and(|end| host.wall_time().is_none_or(|now| now >= end)) {
            self.usable = 0;
            return None;
        }
        let mut waiting = Vec::new();
        for (index, target) in self.sending.targets.iter().enumerate().take(rule.targets.end).skip(rule.targets.start) {
            let Mirror { percentage, sampling, salt, .. } = &target.mirror;
            let is_sampled = percentage.has(|| match sampling.key(&mut request) {
                Some(key) => random::stable(salt, key),
                None => self.random.draw(),
            });
            if is_sampled {
                waiting.push(index);
            }
        }
        if waiting.is_empty() {
            return None;
        }
        let prefix = if rule.rewrites { prefix(&rule.matches, &mut request) } else { None };
        let direction = request.direction();
        let head = request.into_all();
        let first = |name| lines(&head, name).next();
        let facts = RequestTraits {
            direction,
            prefix,
            is_grpc: first("content-type").is_some_and(content_type::is_grpc),
            is_head: first(":method") == Some(b"HEAD"),
            had_trailers: false,
        };
        let is_tunnel = first("upgrade").is_some() || first(":method") == Some(b"CONNECT");
        let is_copy = self.config.marker_header.as_ref().is_some_and(|marker| first(marker).is_some());
        let skip =
            |why| move |targets: &mut Vec<Target>, waiting: &mut Vec<usize>| skip_all(targets, waiting, host, why);
        if is_copy {
            skip(Skip::Loop)(&mut self.sending.targets, &mut waiting);
        } else if is_tunnel {
            skip(Skip::Upgrade)(&mut self.sending.targets, &mut waiting);
        }
        let copied = if waiting.is_empty() { None } else { Copied::new(head, &self.sending.budget) };
        let Some(copied) = copied else {
            skip(Skip::MemoryCap)(&mut self.sending.targets, &mut waiting);
            return None;
        };
        if skip_too_large(&mut self.sending.targets, &mut waiting, host, copied.announced().unwrap_or_default()) {
            return None;
        }
        let compares = waiting.iter().filter_map(|index| self.sending.targets.get(*index)?.mirror.compare.as_ref());
        let response = Response::compared_by(compares);
        Some(Mirrored {
            waiting,
            copied: Some(copied),
            complete: None,
            facts,
            complete_at: None,
            is_answered: false,
            pairs: Vec::new(),
            response,
        })
    }

    /// All of the request has passed.
    fn complete(&mut self, host: &impl Host, request: &mut MirroredRequest) {
        let Some(mirrored) = &mut request.mirrored else { return };
        let Some(copied) = mirrored.copied.take() else { return };
        mirrored.complete_at = host.monotonic_time();
        mirrored.complete = Some(Rc::new(Complete { copied, facts: mirrored.facts }));
        self.send_what_is_due(host, request);
    }

    /// Lets the copies be sent for which the request need not wait longer.
    fn send_what_is_due(&mut self, host: &impl Host, request: &mut MirroredRequest) {
        let Some(mirrored) = &mut request.mirrored else { return };
        let Some(complete) = mirrored.complete.take() else { return };
        let now = mirrored.complete_at.unwrap_or_default();
        let is_due = |index: &usize| {
            let send_on = self.sending.targets.get(*index).map(|target| target.mirror.send_on);
            mirrored.is_answered || send_on != Some(SendOn::PrimaryResponse)
        };
        let (due, waiting) = mem::take(&mut mirrored.waiting).into_iter().partition::<Vec<_>, _>(is_due);
        for target in due {
            mirrored.pairs.extend(self.sending.enqueue(host, target, &complete, now));
        }
        if !waiting.is_empty() {
            mirrored.complete = Some(complete);
        }
        mirrored.waiting = waiting;
        self.sending.arm(host);
    }

    fn has_expired(&self, host: &impl Host) -> bool {
        self.config.expires.at.is_some_and(|end| host.wall_time().is_none_or(|now| now >= end))
    }
}

impl MirrorRuleState {
    fn new(rule: MirrorRule, targets: &mut Vec<Target>, prefix: &str) -> Self {
        let (is_idle, first) = (rule.is_idle(), targets.len());
        let rewrites = rule.mirrors.iter().any(|mirror| mirror.uri.is_some());
        targets.extend(rule.mirrors.into_iter().map(|mirror| Target::new(mirror, prefix)));
        Self { matches: rule.matches, targets: first..targets.len(), is_idle, rewrites }
    }
}

/// How long the prefix of the path is for which the match asks that holds.
fn prefix<H: Host>(matches: &[Vec<Condition>], request: &mut matching::RequestAtHand<H>) -> Option<usize> {
    let conditions = matches.iter().find(|conditions| request.is_meant_by(core::slice::from_ref(*conditions)))?;
    conditions.iter().find_map(|condition| match condition {
        Condition::Path(Pattern::Prefix(prefix) | Pattern::PrefixAnyCase(prefix)) => Some(prefix.len()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
