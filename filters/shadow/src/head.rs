//! The headers of a copy.
//!
//! They are the original's headers, in order, without those of the connection and without commands for Envoy's router. The
//! router has already executed the original's commands, and would execute the copy's again.

use std::borrow::Cow;
use std::net::IpAddr;

use host::pairs::Pairs;
use labels::direction::Direction;

use crate::config::{Authority, Mirror, TraceContext};
use crate::connection_headers::DROPPED;
use crate::copied::{lines, Copied};

/// A header line.
pub type Line<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Commands for Envoy's router, after `x-envoy-`.
const ORDERS: [&[u8]; 15] = [
    b"retry-on",
    b"retry-grpc-on",
    b"max-retries",
    b"upstream-rq-timeout-ms",
    b"upstream-rq-per-try-timeout-ms",
    b"upstream-rq-timeout-alt-response",
    b"upstream-stream-duration-ms",
    b"upstream-alt-stat-name",
    b"hedge-on-per-try-timeout",
    b"retriable-status-codes",
    b"retriable-header-names",
    b"attempt-count",
    b"is-timeout-retry",
    b"expected-rq-timeout-ms",
    b"original-path",
];

/// The peer's metadata on an inbound request. The sender of the copy is another proxy.
const OF_PEER: [&[u8]; 2] = [b"peer-metadata", b"peer-metadata-id"];

const X_FORWARDED_FOR: &[u8] = b"x-forwarded-for";
const SUFFIX: &[u8] = b"-shadow";

/// What the copy's headers depend on, besides the original and the mirror.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Direction of the original.
    pub direction: Direction,
    /// Length of the path's prefix that the rule matched.
    pub prefix: Option<usize>,
    /// This proxy's address.
    pub address: Option<&'a str>,
    /// The header that marks a copy.
    pub marker: Option<&'a str>,
}

/// The headers of the copy of `original` for `mirror`.
pub fn of<'a>(original: &'a Copied, mirror: &'a Mirror, circumstances: Circumstances<'a>) -> Vec<Line<'a>> {
    let named: Vec<&[u8]> = lines(&original.head, "connection").flat_map(tokens).collect();
    let is_dropped = |name: &[u8], value: &[u8]| match name {
        b"te" => value != b"trailers",
        // Envoy writes the body's length itself.
        b"content-length" => !original.body.is_empty() || value != b"0",
        name => {
            is_dropped(name, circumstances.direction)
                || named.iter().any(|other| other.eq_ignore_ascii_case(name))
                || mirror.trace_context == TraceContext::Drop && is_of_trace(name)
        }
    };
    let mut copy: Vec<Line> = Pairs::new(&original.head)
        .filter(|(name, value)| !is_dropped(name, value))
        .map(|(name, value)| (name.into(), changed(name, value, mirror, circumstances.prefix)))
        .collect();
    if let Some(address) = circumstances.address.filter(|_| mirror.append_x_forwarded_for) {
        append_address(&mut copy, address);
    }
    if let Some(marker) = circumstances.marker {
        set(&mut copy, marker, &mirror.name);
    }
    for name in &mirror.headers.remove {
        copy.retain(|(other, _)| **other != *name.as_bytes());
    }
    for (name, value) in &mirror.headers.set {
        set(&mut copy, name, value);
    }
    copy.extend(mirror.headers.add.iter().map(|(name, value)| line(name, value)));
    copy
}

/// The address in a proxy's node id: `sidecar~10.1.2.3~pod.namespace~domain`.
pub fn address_of_node(id: &str) -> Option<&str> {
    id.split('~').nth(1).filter(|address| address.parse::<IpAddr>().is_ok())
}

/// A header's value in the copy.
fn changed<'a>(name: &[u8], value: &'a [u8], mirror: &'a Mirror, prefix: Option<usize>) -> Cow<'a, [u8]> {
    match name {
        b":authority" => match &mirror.authority {
            Authority::WithSuffix => with_suffix(value).into(),
            Authority::Same => value.into(),
            Authority::Is(host) => host.as_bytes().into(),
        },
        b":path" => match &mirror.uri {
            Some(uri) => rewritten(value, uri.as_bytes(), prefix).into(),
            None => value.into(),
        },
        _ if mirror.trace_context == TraceContext::Unsample => unsampled(name, value),
        _ => value.into(),
    }
}

/// Adds `-shadow` to a host where Envoy does: before the port. The port follows the last colon, unless a bracket follows
/// that colon, as in an IPv6 address.
fn with_suffix(host: &[u8]) -> Vec<u8> {
    let colon = host.iter().rposition(|byte| *byte == b':');
    let bracket = host.iter().rposition(|byte| *byte == b']');
    let port_at = colon.filter(|colon| bracket.is_none_or(|bracket| bracket < *colon)).unwrap_or(host.len());
    let (name, port) = host.split_at_checked(port_at).unwrap_or((host, &[]));
    [name, SUFFIX, port].concat()
}

/// Replaces a path's prefix, or the whole path without the query.
fn rewritten(path: &[u8], uri: &[u8], prefix: Option<usize>) -> Vec<u8> {
    let query_at = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let rest = path.get(prefix.unwrap_or(query_at)..).unwrap_or_default();
    // Avoids a double slash, as Envoy does in prefix rewrites of routes.
    let rest = if uri.ends_with(b"/") { rest.strip_prefix(b"/").unwrap_or(rest) } else { rest };
    [uri, rest].concat()
}

/// Adds this proxy's address at the end of `x-forwarded-for`.
fn append_address(copy: &mut Vec<Line>, address: &str) {
    match copy.iter_mut().rev().find(|(name, _)| **name == *X_FORWARDED_FOR) {
        Some((_, value)) if !value.is_empty() => *value = [value, b",".as_slice(), address.as_bytes()].concat().into(),
        Some((_, value)) => *value = address.as_bytes().to_vec().into(),
        None => copy.push((X_FORWARDED_FOR.into(), address.as_bytes().to_vec().into())),
    }
}

fn set<'a>(copy: &mut Vec<Line<'a>>, name: &'a str, value: &'a str) {
    copy.retain(|(other, _)| **other != *name.as_bytes());
    copy.push(line(name, value));
}

fn line<'a>(name: &'a str, value: &'a str) -> Line<'a> {
    (name.as_bytes().into(), value.as_bytes().into())
}

fn is_dropped(name: &[u8], direction: Direction) -> bool {
    if DROPPED.contains(&name) {
        return true;
    }
    let Some(of_envoy) = name.strip_prefix(b"x-envoy-") else { return false };
    ORDERS.contains(&of_envoy)
        || of_envoy.starts_with(b"fault-")
        || direction == Direction::Inbound && OF_PEER.contains(&of_envoy)
}

/// The elements of a comma-separated list.
fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn is_of_trace(name: &[u8]) -> bool {
    let names: [&[u8]; 6] =
        [b"traceparent", b"tracestate", b"b3", b"x-ot-span-context", b"x-cloud-trace-context", b"grpc-trace-bin"];
    names.contains(&name) || name.starts_with(b"x-b3-")
}

/// A trace header's value, marked as not sampled.
fn unsampled<'a>(name: &[u8], value: &'a [u8]) -> Cow<'a, [u8]> {
    match name {
        b"traceparent" => match value.rsplitn(2, |byte| *byte == b'-').nth(1) {
            Some(ids) => [ids, b"-00"].concat().into(),
            None => value.into(),
        },
        b"x-b3-sampled" | b"x-b3-flags" => b"0".as_slice().into(),
        // Trace, span, sampled, parent; or sampled alone.
        b"b3" => {
            let mut fields: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
            let at = if fields.len() < 3 { 0 } else { 2 };
            match fields.len() {
                2 => fields.push(b"0"),
                _ => fields.iter_mut().skip(at).take(1).for_each(|sampled| *sampled = b"0"),
            }
            fields.join(b"-".as_slice()).into()
        }
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests;
