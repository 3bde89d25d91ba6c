//! Common fields in the configurations of filters with rules.

use core::time::Duration;

use configuration::{self, Quoted, Section};

use crate::moment;

/// When all rules end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Time since 1970.
    pub at: Option<Duration>,
    /// The text in the configuration.
    pub text: String,
}

impl Expiry {
    /// Reads `expiresAt`.
    pub fn read(section: &mut Section) -> Self {
        let mut text = String::new();
        let at = section.scalar("expiresAt", |written| {
            written.clone_into(&mut text);
            moment::parse(written).ok_or_else(|| "is not RFC 3339".into())
        });
        Self { at, text }
    }
}

/// Refuses what a `VirtualService` has for connections.
pub fn refuse_connections(section: &mut Section) {
    for name in ["tcp", "tls"] {
        section.refuse_if_given(name, "rules are for HTTP requests, which stand in http; connections have none");
    }
}

/// Reads `name`: a text that needs no change as a label value.
pub fn name(section: &mut Section) -> Option<String> {
    section.scalar("name", |name| match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err("is not a name of 1 to 63 letters, digits, '_', '.' and '-'".into()),
    })
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=63).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Reads `statPrefix`; the result ends with `_`.
pub fn stat_prefix(section: &mut Section) -> String {
    let prefix = section.scalar("statPrefix", |prefix| {
        let is_metric = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !prefix.starts_with(|first: char| first.is_ascii_digit());
        if !is_metric || prefix.len() > 63 {
            return Err(
                "is not a prefix of at most 63 letters, digits and '_', without a digit at the beginning".into()
            );
        }
        Ok(if prefix.is_empty() { String::new() } else { format!("{prefix}_") })
    });
    prefix.unwrap_or_default()
}

/// Reads a duration in whole milliseconds. The bounds have their texts for messages.
pub fn milliseconds(
    section: &mut Section,
    name: &'static str,
    min: (Duration, &str),
    max: (Duration, &str),
) -> Option<Duration> {
    let text = section.any_text_such_as(name, ", must be a duration (examples: 7s, 2.8s, 100ms)")?;
    let read = in_milliseconds(&text, min, max);
    if let Err(message) = &read {
        section.refuse(name, format!("{} {message}", Quoted(&text)));
    }
    read.ok()
}

fn in_milliseconds(text: &str, min: (Duration, &str), max: (Duration, &str)) -> Result<Duration, String> {
    let Some(duration) = configuration::duration(text) else {
        return Err("is not a duration (examples: 7s, 2.8s, 100ms)".into());
    };
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err("must be a whole number of milliseconds".into());
    }
    if duration < min.0 {
        return Err(format!("must be >= {}", min.1));
    }
    if duration > max.0 {
        return Err(format!("must be <= {}", max.1));
    }
    Ok(duration)
}
