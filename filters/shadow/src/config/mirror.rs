//! `mirrors`: the clusters to mirror to, the share of requests, and the comparison.

use core::time::Duration;

use configuration::{Quoted, Section};
use rules::fields;
use rules::percentage::Percentage;
use rules::sampling::Sampling;

use super::gathered::MirrorNotes;
use super::headers::HeaderChanges;
use super::limits::{refuse_over_buffered, MEBIBYTE};

/// Longest timeout for an answer.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(300);
/// Default timeout for an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest body to compare.
const MAX_COMPARED: u64 = 1024 * 1024;
/// Most bytes of a path, a host or a cluster's name.
const MAX_TEXT: usize = 1024;
/// Largest count: arithmetic on it cannot overflow.
const MAX_COUNT: u64 = u32::MAX as u64;

/// A cluster to mirror to.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// `name`, a label of its metrics and the value of the marker header.
    pub name: String,
    /// `cluster`, or the cluster of the service in `destination`.
    pub cluster: String,
    /// `percentage`: share of the requests.
    pub percentage: Percentage,
    /// `authority`, `rewrite.authority` or `disableShadowHostSuffixAppend`.
    pub authority: Authority,
    /// `rewrite.uri`: replaces the path, or the prefix in the rule's match.
    pub uri: Option<String>,
    /// `headers`.
    pub headers: HeaderChanges,
    /// `timeout`: how long to wait for an answer, in whole milliseconds.
    pub timeout: Duration,
    /// `maxRequestBytes`: larger bodies are not mirrored.
    pub max_request_bytes: usize,
    /// `maxRequestsPerSecond`, per worker; 0: no limit.
    pub max_per_second: u64,
    /// `sampling.key`.
    pub sampling: Sampling,
    /// `sampling.salt`: mirrors with the same salt and key select the same requests, up to their percentages.
    pub salt: String,
    /// `sendOn`.
    pub send_on: SendOn,
    /// `appendXForwardedFor`: whether to add this proxy's address.
    pub append_x_forwarded_for: bool,
    /// `traceContext`.
    pub trace_context: TraceContext,
    /// `role`.
    pub role: Role,
    /// `compare`; `None` if disabled.
    pub compare: Option<Compare>,
}

/// The host of the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The original's, with `-shadow` before the port.
    WithSuffix,
    /// The original's host.
    Same,
    /// This host.
    Is(String),
}

/// When to send the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOn {
    /// As soon as the request is complete.
    RequestComplete,
    /// Also after the upstream has begun to answer.
    PrimaryResponse,
}

/// What to do with the headers of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceContext {
    /// Mark them as not sampled.
    Unsample,
    /// Keep them.
    Keep,
    /// Leave them out.
    Drop,
}

/// What a comparison is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To find differences of a new version.
    Candidate,
    /// To measure how much the same version differs from itself.
    Control,
}

impl Role {
    /// Its value in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Control => "control",
        }
    }
}

/// How answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compare {
    /// `size`: bodies must have the same length.
    pub size: bool,
    /// `body`: bodies up to this size, `maxBodyBytes`, must be the same.
    pub max_body_bytes: Option<usize>,
    /// `latencyToleranceMs`: smaller differences do not count.
    pub tolerance: u64,
    /// `logMismatches`: most lines per second.
    pub log_per_second: u64,
}

impl Compare {
    const STANDARD: Self = Self { size: false, max_body_bytes: None, tolerance: 5, log_per_second: 0 };
}

impl Mirror {
    /// Reads the fields `mirror` and `mirrorPercentage` of a rule.
    pub(super) fn short(section: &mut Section, name: &str, gathered: &mut MirrorNotes) -> Option<Self> {
        let cluster = section.object("mirror", destination).flatten();
        let percentage = percentage(section, "mirrorPercentage");
        Some(Self {
            name: name.into(),
            cluster: cluster?,
            percentage,
            authority: Authority::WithSuffix,
            uri: None,
            headers: HeaderChanges::default(),
            timeout: DEFAULT_TIMEOUT,
            max_request_bytes: gathered.limits.max_request_bytes,
            max_per_second: 0,
            sampling: Sampling::by_request_id(&mut gathered.headers),
            salt: String::new(),
            send_on: SendOn::RequestComplete,
            append_x_forwarded_for: true,
            trace_context: TraceContext::Unsample,
            role: Role::Candidate,
            compare: Some(Compare::STANDARD),
        })
    }

    /// Reads a mirror of the list; `name` is its name if it has none.
    pub(super) fn read(section: &mut Section, name: &str, gathered: &mut MirrorNotes) -> Self {
        if section.has("cluster") == section.has("destination") {
            section.refuse_all("exactly one of cluster, destination is required".into());
        }
        let cluster = short_text(section, "cluster");
        let cluster = section.object("destination", destination).flatten().or(cluster).unwrap_or_default();
        let buffered = gathered.limits.max_buffered_bytes;
        let default = gathered.limits.max_request_bytes as u64;
        let max_request_bytes = section.optional_integer("maxRequestBytes", 0..=16 * MEBIBYTE).unwrap_or(default);
        let max_request_bytes = usize::try_from(max_request_bytes).unwrap_or_default();
        refuse_over_buffered(section, max_request_bytes, buffered);
        let (sampling, salt) = section.object_or_empty("sampling", |section| {
            let key = Sampling::read(section, &mut gathered.headers);
            (key, section.any_text("salt").unwrap_or_default())
        });
        let (uri, rewritten) =
            section.object_or_empty("rewrite", |section| (path(section), short_text(section, "authority")));
        let send_on = section.choice("sendOn", &["requestComplete", "primaryResponse"]);
        let trace_context = section.choice("traceContext", &["unsample", "keep", "drop"]);
        let timeout = fields::milliseconds(section, "timeout", (Duration::from_millis(1), "1ms"), (MAX_TIMEOUT, "5m"));
        Self {
            name: fields::name(section).unwrap_or_else(|| name.into()),
            cluster,
            percentage: percentage(section, "percentage"),
            authority: authority(section, rewritten, gathered),
            uri,
            headers: section.object_or_empty("headers", HeaderChanges::read),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            max_request_bytes,
            max_per_second: section.optional_integer("maxRequestsPerSecond", 0..=MAX_COUNT).unwrap_or_default(),
            sampling: sampling.unwrap_or_else(|| Sampling::by_request_id(&mut gathered.headers)),
            salt,
            send_on: if send_on == Some("primaryResponse") { SendOn::PrimaryResponse } else { SendOn::RequestComplete },
            append_x_forwarded_for: section.boolean("appendXForwardedFor", true),
            trace_context: match trace_context {
                Some("keep") => TraceContext::Keep,
                Some("drop") => TraceContext::Drop,
                _ => TraceContext::Unsample,
            },
            role: match section.choice("role", &["candidate", "control"]) {
                Some("control") => Role::Control,
                _ => Role::Candidate,
            },
            compare: section.object_or_empty("compare", compare),
        }
    }
}

/// The name of Istio's cluster for a service.
fn destination(section: &mut Section) -> Option<String> {
    let host = short_text(section, "host");
    section.require("host");
    if let Some(host) = host.as_ref().filter(|host| !host.contains('.')) {
        section.refuse("host", format!("{} must be fully qualified", Quoted(host)));
    }
    let subset = section.any_text("subset").unwrap_or_default();
    let port = section.object_or_empty("port", |section| {
        if !section.has("number") {
            section.refuse("number", "required (the Envoy cluster name contains it)".into());
        }
        section.optional_integer("number", 1..=65_535)
    });
    Some(format!("outbound|{}|{subset}|{}", port?, host?))
}

/// Reads a percentage; default 100. The messages have Istio's wording.
fn percentage(section: &mut Section, field: &'static str) -> Percentage {
    let share = section.object(field, |section| {
        section.require("value");
        section.scalar("value", |text| {
            Percentage::parse(text).map_err(|message| {
                let whole = text.split('.').next().unwrap_or_default();
                match whole.parse::<i64>() {
                    Ok(percent) if percent >= 100 => "must have a max value of 100".into(),
                    Ok(_) if text.starts_with('-') => "must have a min value of 0".into(),
                    _ => message,
                }
            })
        })
    });
    share.flatten().unwrap_or(Percentage::ALWAYS)
}

fn authority(section: &mut Section, rewritten: Option<String>, gathered: &mut MirrorNotes) -> Authority {
    // An empty one is none.
    let given = section.any_text("authority").filter(|host| !host.is_empty());
    let is_same = section.boolean("disableShadowHostSuffixAppend", false);
    if given.is_some() && rewritten.is_some() {
        section.refuse("rewrite.authority", "cannot be combined with authority".into());
    }
    let Some(host) = given.or(rewritten) else {
        return if is_same { Authority::Same } else { Authority::WithSuffix };
    };
    if host.len() > MAX_TEXT || host.chars().any(|sign| sign.is_control() || sign.is_whitespace()) {
        section.refuse("authority", format!("{} is not a host", Quoted(&host)));
    }
    if section.has("disableShadowHostSuffixAppend") && !is_same {
        let path = section.path_of("authority");
        gathered.remarks.push(format!("{path}: this is the host, without a suffix"));
    }
    Authority::Is(host)
}

fn path(section: &mut Section) -> Option<String> {
    let uri = short_text(section, "uri")?;
    if !uri.starts_with('/') || uri.chars().any(|sign| sign.is_control() || sign.is_whitespace() || sign == '#') {
        section.refuse("uri", format!("{} is not a path, which begins with /", Quoted(&uri)));
    }
    Some(uri)
}

fn compare(section: &mut Section) -> Option<Compare> {
    let enabled = section.boolean("enabled", true);
    let size = section.boolean("size", false);
    let body = section.boolean("body", false);
    let max = section.optional_integer("maxBodyBytes", 1..=MAX_COMPARED).unwrap_or(65_536);
    let compare = Compare {
        size,
        max_body_bytes: usize::try_from(max).ok().filter(|_| body),
        tolerance: section.optional_integer("latencyToleranceMs", 0..=MAX_COUNT).unwrap_or(Compare::STANDARD.tolerance),
        log_per_second: section.optional_integer("logMismatches", 0..=1000).unwrap_or_default(),
    };
    enabled.then_some(compare)
}

fn short_text(section: &mut Section, field: &'static str) -> Option<String> {
    let text = section.text(field);
    if let Some(text) = text.as_ref().filter(|text| text.len() > MAX_TEXT) {
        section.refuse(field, format!("{} bytes, at most {MAX_TEXT}", text.len()));
    }
    text
}
