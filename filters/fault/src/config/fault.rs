//! `fault`: the delay and the abort of a rule.

use core::time::Duration;

use configuration::{Quoted, Section};
use rules::percentage::Percentage;
use rules::{fields, matches};

use super::gathered::FaultNotes;
use crate::abort::AbortKind;
use crate::control::ControlHeaders;
use crate::grpc_status;

/// The shortest delay, and its text form.
const SHORTEST: (Duration, &str) = (Duration::from_millis(1), "1ms");
/// The longest delay.
const LONGEST: (Duration, &str) = (Duration::from_secs(24 * 3600), "24h");
/// Default of the longest delay that a request may ask for.
const DEFAULT_MAX_ASKED: Duration = Duration::from_secs(60);
/// Most bytes of a body.
const MAX_BODY: usize = 4096;
/// Most headers of an answer.
const MAX_HEADERS: usize = 32;

/// `delay`: holds a request back.
#[derive(Clone, Debug)]
pub struct Delay {
    /// Where the length comes from.
    pub delays: Delays,
    /// `jitter`: up to this much longer, uniformly random, in whole milliseconds.
    pub jitter: Duration,
    /// `percentage`: share of the requests.
    pub percentage: Percentage,
}

/// Where the length of a delay comes from.
#[derive(Clone, Debug)]
pub enum Delays {
    /// `fixedDelay`.
    Always(Duration),
    /// `headerControlled`: a header of the request.
    AsAsked {
        /// The headers to read.
        headers: ControlHeaders,
        /// `max`: the longest delay.
        max: Duration,
    },
}

/// `abort`: ends a request.
#[derive(Clone, Debug)]
pub struct Abort {
    /// Where the status comes from.
    pub aborts: Aborts,
    /// `percentage`: share of the requests.
    pub percentage: Percentage,
    /// `body` of the answer; `None` for the default.
    pub body: Option<String>,
    /// `headers` of the answer.
    pub headers: Vec<(String, String)>,
}

/// Where the status of an abort comes from.
#[derive(Clone, Debug)]
pub enum Aborts {
    /// `httpStatus`, `grpcStatus` or `reset`.
    Always(AbortKind),
    /// `headerControlled`: a header of the request.
    AsAsked(ControlHeaders),
}

/// Reads `fault`. Without it, a rule does nothing to those that it is for.
pub(super) fn read(section: &mut Section, gathered: &mut FaultNotes) -> (Option<Delay>, Option<Abort>) {
    let (mut delay, mut abort, mut is_any) = (None, None, true);
    section.object("fault", |section| {
        is_any = section.has("delay") || section.has("abort");
        delay = section.object("delay", |section| read_delay(section, gathered)).flatten();
        abort = section.object("abort", |section| read_abort(section, gathered)).flatten();
    });
    if !is_any {
        section.refuse("fault", "must have delay and/or abort".into());
    }
    (delay, abort)
}

fn read_delay(section: &mut Section, gathered: &mut FaultNotes) -> Option<Delay> {
    let fixed = milliseconds(section, "fixedDelay", SHORTEST);
    let is_asked = section.boolean("headerControlled", false);
    if section.has("fixedDelay") == is_asked {
        let got = if is_asked { " (got 2)" } else { "" };
        section.refuse_all(format!("one of fixedDelay, headerControlled is required{got}"));
    }
    let max = milliseconds(section, "max", SHORTEST);
    if section.has("max") && !is_asked {
        section.refuse("max", "only with headerControlled".into());
    }
    let jitter = milliseconds(section, "jitter", (Duration::ZERO, "0s")).unwrap_or_default();
    let percentage = percentage(section, gathered);
    let delays = match is_asked {
        true => Delays::AsAsked {
            headers: ControlHeaders::of_delay(&mut gathered.headers),
            max: max.unwrap_or(DEFAULT_MAX_ASKED),
        },
        false => Delays::Always(fixed?),
    };
    Some(Delay { delays, jitter, percentage })
}

fn read_abort(section: &mut Section, gathered: &mut FaultNotes) -> Option<Abort> {
    let http = section.optional_integer("httpStatus", 200..=599).and_then(|status| u16::try_from(status).ok());
    let grpc = section.scalar("grpcStatus", |text| {
        grpc_status::parse(text)
            .ok_or_else(|| "is not a gRPC status name (upper case, e.g. UNAVAILABLE) or 0-16".into())
    });
    let is_reset = section.boolean("reset", false);
    let is_asked = section.boolean("headerControlled", false);
    let given = [section.has("httpStatus"), section.has("grpcStatus"), is_reset, is_asked];
    let count = given.into_iter().filter(|is_given| *is_given).count();
    if count != 1 {
        section.refuse_all(format!(
            "exactly one of httpStatus, grpcStatus, reset, headerControlled is required (got {count})"
        ));
    }
    let percentage = percentage(section, gathered);
    let body = section.any_text("body");
    if let Some(body) = body.as_ref().filter(|body| body.len() > MAX_BODY) {
        section.refuse("body", format!("{} bytes, at most {MAX_BODY}", body.len()));
    }
    let headers = answer_headers(section);
    for (field, is_given) in [("body", body.is_some()), ("headers", !headers.is_empty())] {
        if is_reset && is_given {
            section.refuse(field, "not available with reset, which gives no answer".into());
        }
    }
    let kind = http.map(AbortKind::Http).or(grpc.map(AbortKind::Grpc)).or(is_reset.then_some(AbortKind::Reset));
    let aborts = match is_asked {
        true => Aborts::AsAsked(ControlHeaders::of_abort(&mut gathered.headers)),
        false => Aborts::Always(kind?),
    };
    Some(Abort { aborts, percentage, body, headers })
}

fn percentage(section: &mut Section, gathered: &mut FaultNotes) -> Percentage {
    if section.refuse_if_given("percent", "deprecated, use percentage.value") {
        section.ignore(&["percentage"]);
        return Percentage::NEVER;
    }
    let percentage =
        section.object("percentage", |section| (section.has("value"), section.scalar("value", Percentage::parse)));
    match percentage {
        Some((true, percentage)) => percentage.unwrap_or(Percentage::NEVER),
        Some((false, _)) | None => {
            let path = section.path_of("percentage");
            gathered
                .warnings
                .push(format!("{path} is not set: this fault is never injected (set value: 100 for all requests)"));
            Percentage::NEVER
        }
    }
}

/// Reads the duration of a delay, at least `min`.
fn milliseconds(section: &mut Section, name: &'static str, min: (Duration, &str)) -> Option<Duration> {
    fields::milliseconds(section, name, min, LONGEST)
}

/// The headers of an answer. Envoy sets those for the length itself.
fn answer_headers(section: &mut Section) -> Vec<(String, String)> {
    let headers: Vec<(String, String)> = section.text_map("headers").into_iter().collect();
    if headers.len() > MAX_HEADERS {
        section.refuse("headers", format!("{} headers, at most {MAX_HEADERS}", headers.len()));
    }
    for (name, value) in &headers {
        let path = format!("headers[{}]", Quoted(name));
        let is_envoy_s = ["content-length", "transfer-encoding", "connection"];
        if !matches::is_header_name(name) || name.starts_with(':') {
            section.refuse(&path, "not a header name".into());
        } else if is_envoy_s.iter().any(|envoy_s| name.eq_ignore_ascii_case(envoy_s)) {
            section.refuse(&path, "is set by Envoy".into());
        }
        if value.len() > MAX_BODY || value.chars().any(char::is_control) {
            section.refuse(&path, format!("must be at most {MAX_BODY} bytes without control characters"));
        }
    }
    headers
}
