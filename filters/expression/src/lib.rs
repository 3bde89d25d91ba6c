//! Istio's expressions on stock Envoy.
//!
//! Most expressions only name an attribute. These are read directly, which costs a fifth of Envoy's expression engine. The
//! others run in the engine, after names that stock Envoy does not have are replaced:
//!
//! | written | read as |
//! |---|---|
//! | `node.metadata['K']`, `cluster_name`, `cluster_metadata…`, `route_name`, `route_metadata…`, `listener_direction`, `listener_metadata…`, `upstream_host_metadata…` | with prefix `xds.` |
//! | `upstream_peer…`, `filter_state.upstream_peer…`, `filter_state['wasm.upstream_peer']…`, the same of `downstream_peer` | the filter state of metadata exchange |
//! | `….labels['app'].value` of a peer | `….labels['app']` |
//! | `….workload`, `….cluster`, `….service`, `….revision`, `….app`, `….version` of a peer | the field or label that holds it |

pub mod evaluation;

use labels::peer::{
    APP, CANONICAL_NAME, CANONICAL_REVISION, DOWNSTREAM_PEER, DOWNSTREAM_PEER_ID, UPSTREAM_PEER, UPSTREAM_PEER_ID,
    VERSION,
};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A text literal.
    Text(String),
    /// A whole number literal.
    Number(u64),
    /// A property of this node, by the parts of its path; it is constant.
    Node(Vec<String>),
    /// An attribute of the stream, by the parts of its path.
    Attribute(Vec<String>, Kind),
    /// A time or a duration of the stream, by the parts of its path; last, the expression by which the engine converts it to
    /// text.
    Time(Vec<String>, Kind, String),
    /// An expression for the engine.
    Other(String),
}

/// The encoding of an attribute's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// An integer of 8 bytes.
    Integer,
    /// A double of 8 bytes. No attribute has this type, but a result of the engine can.
    Double,
    /// A boolean of one byte.
    Boolean,
    /// Nanoseconds, in 8 bytes.
    Duration,
    /// Nanoseconds since 1970, in 8 bytes.
    Timestamp,
}

/// Attributes with integer values.
const INTEGERS: [&[&str]; 16] = [
    &["request", "headers_bytes"],
    &["request", "size"],
    &["request", "total_size"],
    &["response", "code"],
    &["response", "flags"],
    &["response", "grpc_status"],
    &["response", "size"],
    &["response", "total_size"],
    &["source", "port"],
    &["destination", "port"],
    &["upstream", "port"],
    &["upstream", "num_endpoints"],
    &["upstream", "request_attempt_count"],
    &["connection", "id"],
    &["connection_id"],
    &["xds", "listener_direction"],
];

/// Names that were at the top level in older Envoys and are now below `xds`.
const XDS_NAMES: [&str; 9] = [
    "node",
    "cluster_name",
    "cluster_metadata",
    "route_name",
    "route_metadata",
    "listener_direction",
    "listener_metadata",
    "upstream_host_metadata",
    "upstream_host_locality_metadata",
];

/// Names that are not filter state of a module.
const NO_TEXT: [&str; 15] = [
    "request",
    "response",
    "connection",
    "source",
    "destination",
    "upstream",
    "metadata",
    "filter_state",
    "upstream_filter_state",
    "xds",
    "upstream_peer",
    "downstream_peer",
    "true",
    "false",
    "null",
];

/// A token of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name.
    Name(&'a str),
    /// A text literal: its source, and its text if it has no escapes.
    Text(&'a str, Option<&'a str>),
    /// A number.
    Number(&'a str),
    /// Anything else, including white space.
    Other(&'a str),
}

/// A step of an attribute's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    /// A name or a key: `.a` or `['a']`.
    Name(&'a str),
    /// A list index: `[0]`.
    Index(&'a str),
}

impl<'a> Part<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Name(text) | Self::Index(text) => text,
        }
    }
}

/// Parses an expression.
pub fn parse(text: &str) -> Parsed {
    let tokens = tokens(text.trim());
    match tokens.as_slice() {
        [Token::Text(_, Some(text))] => return Parsed::Text((*text).into()),
        [Token::Number(digits)] => {
            if let Ok(number) = digits.parse() {
                return Parsed::Number(number);
            }
        }
        _ => {}
    }
    if let Some(path) = path_of(&tokens) {
        if path.len() > 2 && path.iter().take(2).eq(["xds", "node"]) {
            return Parsed::Node(path);
        }
        match kind(&path) {
            Some(kind @ (Kind::Duration | Kind::Timestamp)) => return Parsed::Time(path, kind, rewrite(&tokens)),
            Some(kind) => return Parsed::Attribute(path, kind),
            None => {}
        }
    }
    Parsed::Other(rewrite(&tokens))
}

/// The expression in the form for the engine.
pub fn for_engine(text: &str) -> String {
    rewrite(&tokens(text.trim()))
}

/// The parts of the path in `text`; `None` if it is more than a path.
pub fn path(text: &str) -> Option<Vec<String>> {
    path_of(&tokens(text.trim()))
}

/// The path whose parts are `path`, as Envoy takes it.
#[inline(never)]
pub fn property(path: &[String]) -> String {
    path.join("\0")
}

/// What `text` names, by the first part of each path and how many parts it has: `a`, 2 in `a.b == 'c'`.
pub fn names(text: &str) -> Vec<(&str, usize)> {
    let tokens = tokens(text);
    let (mut names, mut rest, mut after_dot) = (Vec::new(), tokens.as_slice(), false);
    while let Some((token, after)) = rest.split_first() {
        rest = match (token, chain_unless(after_dot, rest)) {
            (Token::Name(first), Some((parts, after))) => {
                names.push((*first, parts.len()));
                after
            }
            _ => after,
        };
        after_dot = *token == Token::Other(".");
    }
    names
}

fn path_of(tokens: &[Token]) -> Option<Vec<String>> {
    match chain(tokens)? {
        (parts, []) => Some(canonical(parts).into_iter().map(|part| part.text().to_string()).collect()),
        _ => None,
    }
}

/// The alternatives in `text`: the parts between single `|`, outside of brackets. The first known one gives the value. CEL
/// has no such operator; Mixer had it.
pub fn alternatives(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start, mut end) = (Vec::new(), 0_usize, 0_usize, 0_usize);
    let tokens = tokens(text);
    for (index, token) in tokens.iter().enumerate() {
        let length = match token {
            Token::Name(text) | Token::Number(text) | Token::Text(text, _) | Token::Other(text) => text.len(),
        };
        let is_bar = |index: Option<usize>| index.and_then(|index| tokens.get(index)) == Some(&Token::Other("|"));
        match token {
            Token::Other("(" | "[" | "{") => depth = depth.saturating_add(1),
            Token::Other(")" | "]" | "}") => depth = depth.saturating_sub(1),
            Token::Other("|") if depth == 0 && !is_bar(index.checked_sub(1)) && !is_bar(index.checked_add(1)) => {
                parts.extend(text.get(start..end));
                start = end.saturating_add(1);
            }
            _ => {}
        }
        end = end.saturating_add(length);
    }
    parts.extend(text.get(start..));
    parts.into_iter().map(str::trim).collect()
}

/// The encoding of the attribute's bytes; `None` if only the engine knows it.
fn kind(path: &[String]) -> Option<Kind> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["connection", "mtls"] => Some(Kind::Boolean),
        ["request", "time"] => Some(Kind::Timestamp),
        ["request", "duration"] | ["response", "backend_latency"] | ["upstream", "cx_pool_ready_duration"] => {
            Some(Kind::Duration)
        }
        // Metadata can have any type, and a whole map is no label.
        ["request" | "response", "headers" | "trailers"] | ["upstream_peer" | "downstream_peer", "labels"] => None,
        ["request" | "response", "headers" | "trailers", _]
        | ["request" | "response" | "connection" | "source" | "destination" | "upstream", _]
        | ["xds", "cluster_name" | "route_name" | "virtual_host_name" | "filter_chain_name" | "listener_direction"]
        | ["plugin_name" | "plugin_root_id" | "plugin_vm_id" | "connection_id"]
        | ["upstream_peer" | "downstream_peer", _]
        | ["upstream_peer" | "downstream_peer", "labels", _] => {
            Some(if INTEGERS.contains(&path.as_slice()) { Kind::Integer } else { Kind::Text })
        }
        // A single name is filter state that another module has set.
        [name] if !NO_TEXT.contains(name) => Some(Kind::Text),
        _ => None,
    }
}

/// The expression with names replaced that stock Envoy does not have.
fn rewrite(tokens: &[Token]) -> String {
    let mut output = String::new();
    let mut rest = tokens;
    let mut after_dot = false;
    while let Some((first, after)) = rest.split_first() {
        match (chain_unless(after_dot, rest), first) {
            (Some((parts, after)), _) => {
                write_chain(&mut output, &canonical(parts));
                rest = after;
            }
            (_, Token::Name(text) | Token::Number(text) | Token::Text(text, _) | Token::Other(text)) => {
                output.push_str(text);
                rest = after;
            }
        }
        after_dot = output.ends_with('.');
    }
    output
}

fn write_chain(output: &mut String, parts: &[Part]) {
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Name(name) if index == 0 => output.push_str(name),
            Part::Name(name) if is_name(name) => output.extend([".", name]),
            Part::Name(key) if key.contains('\'') => output.extend(["[\"", key, "\"]"]),
            Part::Name(key) => output.extend(["['", key, "']"]),
            Part::Index(index) => output.extend(["[", index, "]"]),
        }
    }
}

/// The same, unless a dot stands before `tokens`, which then go on with something else.
fn chain_unless<'t, 'a>(after_dot: bool, tokens: &'t [Token<'a>]) -> Option<(Vec<Part<'a>>, &'t [Token<'a>])> {
    // Asked first: what follows dots would be read from each of them to the end.
    (!after_dot).then(|| chain(tokens)).flatten()
}

/// The names and indices at the beginning of `tokens`, `a.b['c'][0]`, and what follows. A function is none of them.
fn chain<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(Vec<Part<'a>>, &'t [Token<'a>])> {
    let [Token::Name(first), rest @ ..] = tokens else {
        return None;
    };
    let mut parts = vec![Part::Name(first)];
    let mut rest = rest;
    loop {
        match rest {
            [Token::Other("."), Token::Name(name), after @ ..] if after.first() != Some(&Token::Other("(")) => {
                parts.push(Part::Name(name));
                rest = after;
            }
            [Token::Other("["), Token::Text(_, Some(key)), Token::Other("]"), after @ ..] => {
                parts.push(Part::Name(key));
                rest = after;
            }
            [Token::Other("["), Token::Number(index), Token::Other("]"), after @ ..] => {
                parts.push(Part::Index(index));
                rest = after;
            }
            // A function, or a literal or message with a type: `string(x)`, `b'yes'`.
            [Token::Other("(" | "{") | Token::Text(..), ..] if parts.len() == 1 => return None,
            _ => return Some((parts, rest)),
        }
    }
}

/// The path of `parts` on stock Envoy.
fn canonical(parts: Vec<Part>) -> Vec<Part> {
    let (first, rest) = match parts.as_slice() {
        [Part::Name("filter_state"), peer, rest @ ..] if peer_state(peer.text()).is_some() => (peer, rest),
        [first, rest @ ..] => (first, rest),
        [] => return parts,
    };
    if let Some(peer) = peer_state(first.text()) {
        let mut path = vec![Part::Name(peer)];
        path.extend(peer_path(rest));
        return path;
    }
    if XDS_NAMES.contains(&first.text()) {
        return [&[Part::Name("xds")], parts.as_slice()].concat();
    }
    parts
}

fn peer_state(name: &str) -> Option<&'static str> {
    match name.strip_prefix("wasm.").unwrap_or(name) {
        UPSTREAM_PEER => Some(UPSTREAM_PEER),
        DOWNSTREAM_PEER => Some(DOWNSTREAM_PEER),
        _ => None,
    }
}

/// Where metadata exchange stores a peer's field, for all names that Istio versions have for it.
fn peer_path<'a>(path: &[Part<'a>]) -> Vec<Part<'a>> {
    let names: &[&str] = match path {
        [Part::Name("labels"), label, Part::Name("value")] => return vec![Part::Name("labels"), *label],
        [Part::Name("workload")] => &["workload_name"],
        [Part::Name("cluster")] => &["cluster_id"],
        [Part::Name("app")] => &["labels", APP],
        [Part::Name("version")] => &["labels", VERSION],
        [Part::Name("service")] => &["labels", CANONICAL_NAME],
        [Part::Name("revision")] => &["labels", CANONICAL_REVISION],
        other => return other.to_vec(),
    };
    names.iter().map(|name| Part::Name(name)).collect()
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => text_length(rest, first),
            _ if first.is_ascii_alphabetic() || first == '_' => run(rest, |c| c.is_ascii_alphanumeric() || c == '_'),
            _ if first.is_ascii_digit() => run(rest, |c| c.is_ascii_digit()),
            _ => first.len_utf8(),
        };
        let Some((token, after)) = rest.split_at_checked(length) else {
            break;
        };
        tokens.push(match first {
            '\'' | '"' => Token::Text(token, plain_text(token)),
            _ if first.is_ascii_alphabetic() || first == '_' => Token::Name(token),
            _ if first.is_ascii_digit() => Token::Number(token),
            _ => Token::Other(token),
        });
        rest = after;
    }
    tokens
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|character| !of(character)).unwrap_or(text.len())
}

/// The length of the text literal that begins with `quote`. If it is not closed, the whole rest.
fn text_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        if !escaped && character == quote {
            return index.saturating_add(1);
        }
        escaped = !escaped && character == '\\';
    }
    text.len()
}

/// The text of a literal, if it is closed and has no escapes.
fn plain_text(literal: &str) -> Option<&str> {
    let quote = literal.get(..1)?;
    literal.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains('\\'))
}

/// Whether `name` has another meaning in expressions.
pub fn is_taken(name: &str) -> bool {
    NO_TEXT.contains(&name) || XDS_NAMES.contains(&name) || matches!(name, UPSTREAM_PEER_ID | DOWNSTREAM_PEER_ID)
}

/// Whether `text` can follow a dot.
pub fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests;
