//! Matches requests with rules, like Istio's `HTTPMatchRequest`, with few host calls.

use collections::names::Names;
use host::pairs::Pairs;
use host::property::{self, Property};
use host::{HeaderMap, Host};
use labels::direction::Direction;
use labels::peer::TextPaths;
use labels::service;
use labels::side::DOWNSTREAM;

use crate::pattern::Pattern;

/// No condition has a higher [`cost`](Condition::cost).
pub const MAX_COST: u8 = 4;

/// What all of a match must hold.
#[derive(Clone, Debug)]
pub enum Condition {
    /// A line of the header matches.
    Header(HeaderId, Pattern),
    /// No line of the header matches.
    NotHeader {
        /// The header.
        id: HeaderId,
        /// What no line may match.
        pattern: Pattern,
        /// Whether the condition holds for a request without the header.
        holds_without: bool,
    },
    /// The path without its query matches.
    Path(Pattern),
    /// The first value of a query parameter, not decoded, matches.
    Query(String, Pattern),
    /// The connection was made to this port.
    Port(u16),
    /// The identity in the client's certificate matches one of these.
    Principal(Vec<Pattern>),
    /// The cluster of the request matches.
    Cluster(Pattern),
    /// The route of the request matches.
    Route(Pattern),
    /// The request comes from such a workload.
    Source(SourceWorkload),
}

/// A condition on the workload that sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceWorkload {
    /// The texts that it must have: the peer on the way in, this proxy's own workload on the way out.
    texts: Vec<(TextPaths, String)>,
    /// Whether this proxy's own workload has them.
    is_self: bool,
}

/// A header in the rules' conditions: its index in [`HeaderNames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderId(usize);

/// The headers in the rules' conditions.
#[derive(Clone, Debug)]
pub struct HeaderNames(Names);

/// What was read of the current request. Nothing is read twice.
#[derive(Debug, Default)]
pub struct RequestCache {
    first_lines: Vec<FirstLine>,
    /// All lines of all headers.
    all: Option<Vec<u8>>,
    /// How many calls returned bytes.
    given: usize,
    direction: Option<Direction>,
}

#[derive(Debug, Default)]
enum FirstLine {
    #[default]
    NotAsked,
    Absent,
    Is(Vec<u8>),
}

/// The request at hand.
pub struct RequestAtHand<'a, H> {
    host: &'a H,
    names: &'a HeaderNames,
    known: &'a mut RequestCache,
}

/// Evaluates conditions on the source for this proxy's own workload. Call it while the plugin is configured.
pub fn look_at_node(matches: &mut [Vec<Condition>], host: &impl Host) {
    for condition in matches.iter_mut().flatten() {
        if let Condition::Source(source) = condition {
            source.look_at_node(host);
        }
    }
}

impl Condition {
    /// No line of the header matches. As istiod has it of Envoy (`invert_match`, `treat_missing_header_as_empty`), a header that is
    /// not there is an empty one, unless the pattern is that it is there.
    pub fn without(id: HeaderId, pattern: Pattern) -> Self {
        let holds_without = matches!(pattern, Pattern::Present) || !pattern.matches(b"");
        Self::NotHeader { id, pattern, holds_without }
    }

    /// The cost of finding out that the condition does not hold. The conditions of a match are sorted by it.
    pub fn cost(&self) -> u8 {
        match self {
            // Finding a header absent costs a tenth of reading one.
            Self::Header(id, _) if !id.is_always_there() => 0,
            Self::Header(..) | Self::Path(_) | Self::Query(..) => 1,
            Self::NotHeader { .. } => 2,
            Self::Port(_) | Self::Principal(_) | Self::Cluster(_) | Self::Route(_) => 3,
            Self::Source(_) => MAX_COST,
        }
    }

    fn holds<H: Host>(&self, request: &mut RequestAtHand<H>) -> bool {
        let host = request.host;
        match self {
            Self::Header(id, pattern) => request.any_line(*id, |line| pattern.matches(line)),
            Self::NotHeader { id, pattern, holds_without } => {
                let mut is_there = false;
                let is_matched = request.any_line(*id, |line| {
                    is_there = true;
                    pattern.matches(line)
                });
                !is_matched && (is_there || *holds_without)
            }
            Self::Path(pattern) => request.any_line(HeaderNames::PATH, |path| pattern.matches(split(path).0)),
            Self::Query(name, pattern) => request.any_line(HeaderNames::PATH, |path| {
                parameter(split(path).1, name.as_bytes()).is_some_and(|value| pattern.matches(value))
            }),
            Self::Port(port) => host.int(property::DESTINATION_PORT) == Some(i64::from(*port)),
            Self::Principal(patterns) => DOWNSTREAM
                .principal(host)
                .is_some_and(|principal| patterns.iter().any(|pattern| pattern.matches(&principal))),
            Self::Cluster(pattern) => service::cluster(host).is_some_and(|name| pattern.matches(&name)),
            Self::Route(pattern) => service::route(host).is_some_and(|name| pattern.matches(&name)),
            Self::Source(source) => source.is_of(request),
        }
    }
}

impl SourceWorkload {
    /// A workload with these labels and in this namespace.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>, namespace: Option<String>) -> Self {
        let mut texts = Vec::new();
        for (label, value) in labels {
            texts.push((TextPaths::of_label(&label), value));
        }
        if let Some(namespace) = namespace {
            texts.push((TextPaths::of_namespace(), namespace));
        }
        Self { texts, is_self: false }
    }

    /// Evaluates the condition for this proxy's own workload. Istio does that when it generates the configuration.
    fn look_at_node(&mut self, host: &impl Host) {
        self.is_self = self.has_texts(host, Direction::Outbound);
    }

    fn is_of<H: Host>(&self, request: &mut RequestAtHand<H>) -> bool {
        match request.direction() {
            Direction::Outbound => self.is_self,
            Direction::Inbound => self.has_texts(request.host, Direction::Inbound),
        }
    }

    /// Whether the source workload has these texts, seen from a proxy that the request passes in this direction.
    fn has_texts(&self, host: &impl Host, direction: Direction) -> bool {
        self.texts.iter().all(|(paths, text)| {
            let path = match direction {
                Direction::Inbound => &paths.of_caller,
                Direction::Outbound => &paths.of_node,
            };
            host.property(Property(path)).is_some_and(|value| value == text.as_bytes())
        })
    }
}

impl HeaderId {
    fn is_always_there(self) -> bool {
        self.0 <= HeaderNames::SCHEME.0
    }
}

impl HeaderNames {
    /// `:path`.
    pub const PATH: HeaderId = HeaderId(0);
    /// `:method`.
    pub const METHOD: HeaderId = HeaderId(1);
    /// `:authority`.
    pub const AUTHORITY: HeaderId = HeaderId(2);

    /// `:scheme`.
    pub const SCHEME: HeaderId = HeaderId(3);

    /// Only the headers that every request has.
    pub fn new() -> Self {
        Self([":path", ":method", ":authority", ":scheme"].into_iter().collect())
    }

    /// The index of a header. `name` is in lower case.
    pub fn id(&mut self, name: &str) -> HeaderId {
        // Envoy stores `host` as `:authority`, and finds it as `host` only if it is read alone.
        if name == "host" {
            return Self::AUTHORITY;
        }
        let (number, _) = self.0.add(name);
        HeaderId(number)
    }

    fn name(&self, id: HeaderId) -> &str {
        self.0.text(id.0)
    }
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestCache {
    /// Nothing, of a new request.
    pub fn forget(&mut self, names: &HeaderNames) {
        self.first_lines.clear();
        self.first_lines.resize_with(names.0.len(), FirstLine::default);
        self.all = None;
        self.given = 0;
        self.direction = None;
    }
}

impl<'a, H: Host> RequestAtHand<'a, H> {
    /// The request at hand, of which this much is known.
    pub fn new(host: &'a H, names: &'a HeaderNames, known: &'a mut RequestCache) -> Self {
        Self { host, names, known }
    }

    /// Whether all conditions of one match hold. Without any match, every request matches.
    pub fn is_meant_by(&mut self, matches: &[Vec<Condition>]) -> bool {
        matches.is_empty() || matches.iter().any(|all| all.iter().all(|condition| condition.holds(self)))
    }

    /// The first line of a header.
    pub fn header(&mut self, id: HeaderId) -> Option<Vec<u8>> {
        let mut first = None;
        self.any_line(id, |line| {
            first = Some(line.to_owned());
            true
        });
        first
    }

    /// All lines of all headers, as [`Pairs`] reads them.
    pub fn all(&mut self) -> &[u8] {
        let (host, known) = (self.host, &mut *self.known);
        known.all.get_or_insert_with(|| {
            known.given = known.given.saturating_add(1);
            host.header_pairs(HeaderMap::Request).unwrap_or_default()
        })
    }

    /// Like `all`, for a caller that keeps the bytes.
    pub fn into_all(mut self) -> Vec<u8> {
        self.all();
        self.known.all.take().unwrap_or_default()
    }

    /// Whether `holds` is true for any line of a header.
    ///
    /// The most expensive calls are those that return bytes, however many bytes. An optional header is therefore read
    /// alone: an absent one returns none. After two calls with bytes, all headers are read at once. A header that every
    /// request has is read alone only if no call has returned bytes so far.
    fn any_line(&mut self, id: HeaderId, mut holds: impl FnMut(&[u8]) -> bool) -> bool {
        let names = self.names;
        let name = names.name(id);
        let most_given = if id.is_always_there() { 1 } else { 2 };
        if let Some(first_line @ FirstLine::NotAsked) = self.known.first_lines.get_mut(id.0) {
            if self.known.all.is_none() && self.known.given < most_given {
                let line = self.host.header(HeaderMap::Request, name);
                self.known.given = self.known.given.saturating_add(usize::from(line.is_some()));
                *first_line = line.map_or(FirstLine::Absent, FirstLine::Is);
            }
        }
        match self.known.first_lines.get(id.0) {
            Some(FirstLine::Absent) => return false,
            Some(FirstLine::Is(line)) => {
                let held = holds(line);
                if held || id.is_always_there() {
                    return held;
                }
            }
            Some(FirstLine::NotAsked) | None => {}
        }
        let name = name.as_bytes();
        Pairs::new(self.all()).any(|(other, line)| other == name && holds(line))
    }

    /// The direction in which the request passes this proxy.
    pub fn direction(&mut self) -> Direction {
        let host = self.host;
        *self.known.direction.get_or_insert_with(|| Direction::of_listener(host))
    }
}

/// Path and query.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let (path, query) = path.split_at_checked(at).unwrap_or((path, &[]));
    (path, query.get(1..).unwrap_or_default())
}

/// The first value of a parameter, not decoded. Empty if there is only the name.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|parameter| match parameter.strip_prefix(name)? {
        [] => Some(&[][..]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
