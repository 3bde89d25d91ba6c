//! Expressions as Istio's users wrote them, for stock Envoy.
//!
//! Most expressions only name an attribute. Those are read as such, which costs a fifth of what Envoy's expression engine
//! does. The rest runs in the engine, with the names replaced that stock Envoy does not have:
//!
//! | written | read as |
//! |---|---|
//! | `node.metadata['K']`, `cluster_name`, `cluster_metadata…`, `route_name`, `route_metadata…`, `listener_direction`, `listener_metadata…`, `upstream_host_metadata…` | `xds.` before it |
//! | `upstream_peer…`, `filter_state.upstream_peer…`, `filter_state['wasm.upstream_peer']…`, the same of `downstream_peer` | the filter state of metadata exchange |
//! | `….labels['app'].value` of a peer | `….labels['app']` |
//! | `….workload`, `….cluster`, `….service`, `….revision`, `….app`, `….version` of a peer | the field or label that has it |

use mesh_common::peer::{APP, CANONICAL_NAME, CANONICAL_REVISION, DOWNSTREAM_PEER, UPSTREAM_PEER, VERSION};

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A text literal.
    Text(String),
    /// A whole number literal.
    Number(u64),
    /// Something of this node, by the parts of its path; it does not change.
    Node(Vec<String>),
    /// An attribute of the stream, by the parts of its path.
    Attribute(Vec<String>, Kind),
    /// An expression for the engine.
    Other(String),
}

/// How an attribute's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As text.
    Text,
    /// As an integer of 8 bytes.
    Integer,
    /// As a boolean of one byte.
    Boolean,
}

/// Attributes that hold integers.
const INTEGERS: [&[&str]; 15] = [
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

/// Names that Envoy had at the top and has below `xds` now.
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

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name.
    Name(&'a str),
    /// A text literal: as it was written, and the text itself if it has no escapes.
    Text(&'a str, Option<&'a str>),
    /// A number.
    Number(&'a str),
    /// Anything else, white space included.
    Other(&'a str),
}

/// Reads an expression.
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
    if let Some((parts, [])) = chain(&tokens) {
        let path = canonical(parts);
        if path.len() > 2 && path.iter().take(2).eq(["xds", "node"]) {
            return Parsed::Node(path);
        }
        if let Some(kind) = kind(&path) {
            return Parsed::Attribute(path, kind);
        }
    }
    Parsed::Other(rewrite(&tokens))
}

/// How the attribute's bytes are to be read; `None` if only the engine can tell.
fn kind(path: &[String]) -> Option<Kind> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["connection", "mtls"] => Some(Kind::Boolean),
        // Times and durations have a form of their own; what is in metadata may be of any type.
        ["request", "time" | "duration"] | ["response", "backend_latency"] | ["upstream", "cx_pool_ready_duration"] => {
            None
        }
        ["request" | "response" | "connection" | "source" | "destination" | "upstream", _, ..]
        | ["xds", "cluster_name" | "route_name" | "virtual_host_name" | "filter_chain_name" | "listener_direction"]
        | ["plugin_name" | "plugin_root_id" | "plugin_vm_id" | "connection_id"]
        | ["upstream_peer" | "downstream_peer", _, ..] => {
            Some(if INTEGERS.contains(&path.as_slice()) { Kind::Integer } else { Kind::Text })
        }
        // A bare name is filter state that another module has set.
        [name] if !matches!(*name, "request" | "response" | "connection" | "xds" | "true" | "false" | "null") => {
            Some(Kind::Text)
        }
        _ => None,
    }
}

/// The expression with the names replaced that stock Envoy does not have.
fn rewrite(tokens: &[Token]) -> String {
    let mut output = String::new();
    let mut rest = tokens;
    let mut after_dot = false;
    while let Some((first, after)) = rest.split_first() {
        match (chain(rest), first) {
            (Some((parts, after)), _) if !after_dot => {
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

fn write_chain(output: &mut String, parts: &[String]) {
    for (index, part) in parts.iter().enumerate() {
        if index == 0 {
            output.push_str(part);
        } else if is_name(part) {
            output.push('.');
            output.push_str(part);
        } else if part.bytes().all(|byte| byte.is_ascii_digit()) {
            output.extend(["[", part, "]"]);
        } else {
            output.extend(["['", part, "']"]);
        }
    }
}

/// The names and indices at the beginning of `tokens`, `a.b['c'][0]`, and what follows. A function is none of them.
fn chain<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(Vec<&'a str>, &'t [Token<'a>])> {
    let [Token::Name(first), rest @ ..] = tokens else {
        return None;
    };
    let mut parts = vec![*first];
    let mut rest = rest;
    loop {
        match rest {
            [Token::Other("."), Token::Name(name), after @ ..] if after.first() != Some(&Token::Other("(")) => {
                parts.push(name);
                rest = after;
            }
            [Token::Other("["), Token::Text(_, Some(key)), Token::Other("]"), after @ ..] => {
                parts.push(key);
                rest = after;
            }
            [Token::Other("["), Token::Number(index), Token::Other("]"), after @ ..] => {
                parts.push(index);
                rest = after;
            }
            // A function, or a text or a message of some type: `string(x)`, `b'yes'`.
            [Token::Other("(" | "{") | Token::Text(..), ..] if parts.len() == 1 => return None,
            _ => return Some((parts, rest)),
        }
    }
}

/// The path by which stock Envoy knows what `parts` name.
fn canonical(parts: Vec<&str>) -> Vec<String> {
    let own = |parts: &[&str]| parts.iter().map(|part| (*part).to_string()).collect::<Vec<_>>();
    match parts.as_slice() {
        [first, ..] if XDS_NAMES.contains(first) => own(&[&["xds"], parts.as_slice()].concat()),
        ["filter_state", peer, rest @ ..] | [peer, rest @ ..] if peer_state(peer).is_some() => {
            let mut path = vec![peer_state(peer).unwrap_or_default().to_string()];
            path.extend(own(&peer_path(rest)));
            path
        }
        _ => own(&parts),
    }
}

fn peer_state(name: &str) -> Option<&'static str> {
    match name.strip_prefix("wasm.").unwrap_or(name) {
        UPSTREAM_PEER => Some(UPSTREAM_PEER),
        DOWNSTREAM_PEER => Some(DOWNSTREAM_PEER),
        _ => None,
    }
}

/// Where in the filter state of metadata exchange a peer's field is, by Istio's names for it of all times.
fn peer_path<'a>(path: &[&'a str]) -> Vec<&'a str> {
    match path {
        ["labels", label, "value"] => vec!["labels", label],
        ["workload"] => vec!["workload_name"],
        ["cluster"] => vec!["cluster_id"],
        ["app"] => vec!["labels", APP],
        ["version"] => vec!["labels", VERSION],
        ["service"] => vec!["labels", CANONICAL_NAME],
        ["revision"] => vec!["labels", CANONICAL_REVISION],
        other => other.to_vec(),
    }
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

/// The length of the text literal that begins with `quote`, to the end if it is not closed.
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

/// Whether `text` can stand behind a dot.
pub fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn expressions_that_only_name_an_attribute_are_attributes() {
        for (text, path, kind) in [
            ("request.host", "request host", Kind::Text),
            (" request.method ", "request method", Kind::Text),
            ("request.headers['x-user']", "request headers x-user", Kind::Text),
            ("request.headers[\"x-user\"]", "request headers x-user", Kind::Text),
            ("response.code", "response code", Kind::Integer),
            ("destination.port", "destination port", Kind::Integer),
            ("connection.mtls", "connection mtls", Kind::Boolean),
            ("cluster_name", "xds cluster_name", Kind::Text),
            ("route_name", "xds route_name", Kind::Text),
            ("listener_direction", "xds listener_direction", Kind::Integer),
            ("upstream_peer.cluster_id", "upstream_peer cluster_id", Kind::Text),
            ("upstream_peer.labels['app'].value", "upstream_peer labels app", Kind::Text),
            ("downstream_peer.labels['role']", "downstream_peer labels role", Kind::Text),
            ("filter_state.upstream_peer.workload", "upstream_peer workload_name", Kind::Text),
            (
                "filter_state['wasm.downstream_peer'].service",
                "downstream_peer labels service.istio.io/canonical-name",
                Kind::Text,
            ),
            ("upstream_peer_id", "upstream_peer_id", Kind::Text),
            ("istio_operationId", "istio_operationId", Kind::Text),
        ] {
            let path = path.split(' ').map(String::from).collect();
            assert_eq!(parse(text), Parsed::Attribute(path, kind), "{text}");
        }
    }

    #[test]
    fn what_is_of_the_node_never_changes() {
        for (text, path) in [
            ("node.id", "xds node id"),
            ("node.metadata['CLUSTER_ID']", "xds node metadata CLUSTER_ID"),
            ("xds.node.metadata.LABELS['app']", "xds node metadata LABELS app"),
        ] {
            assert_eq!(parse(text), Parsed::Node(path.split(' ').map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn literals_need_no_engine() {
        assert_eq!(parse("'constant'"), Parsed::Text("constant".into()));
        assert_eq!(parse("\"\""), Parsed::Text(String::new()));
        assert_eq!(parse("10"), Parsed::Number(10));
    }

    #[test]
    fn the_rest_is_for_the_engine_with_the_names_that_it_has() {
        for (text, expected) in [
            ("node.metadata['CLUSTER_ID'] + ''", "xds.node.metadata.CLUSTER_ID + ''"),
            (
                "cluster_metadata.filter_metadata['istio']['services'][0]['name']",
                "xds.cluster_metadata.filter_metadata.istio.services[0].name",
            ),
            ("string(destination.port)", "string(destination.port)"),
            (
                "response.code >= 500 ? 'cluster_name' : cluster_name",
                "response.code >= 500 ? 'cluster_name' : xds.cluster_name",
            ),
            (
                "has(upstream_peer.labels) && upstream_peer.labels['app'].value == 'a'",
                "has(upstream_peer.labels) && upstream_peer.labels.app == 'a'",
            ),
            ("request.path.startsWith('/node')", "request.path.startsWith('/node')"),
            ("upstream_peer.workload.startsWith('a')", "upstream_peer.workload_name.startsWith('a')"),
            ("m.node.id + node.id", "m.node.id + xds.node.id"),
            ("'x-a' in request.headers", "'x-a' in request.headers"),
            ("request.duration", "request.duration"),
            ("filter_state['wasm.keep'] == b'yes'", "filter_state['wasm.keep'] == b'yes'"),
            ("request.headers['it\\'s']", "request.headers['it\\'s']"),
            ("'open", "'open"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("a..b[", "a..b["),
        ] {
            assert_eq!(parse(text), Parsed::Other(expected.into()), "{text}");
        }
    }

    #[test]
    fn anything_at_all_is_read_without_a_panic() {
        for text in [
            "",
            " ",
            "ü",
            "'",
            "\"\\",
            "a.'b'",
            "[",
            "a[",
            "a['",
            "a[0",
            "...",
            "a.b.c(",
            "\u{0}",
            "9999999999999999999999",
        ] {
            parse(text);
        }
    }
}
