//! `match`: Istio's `HTTPMatchRequest`, and more.

use configuration::Section;

use crate::matching::{Condition, HeaderId, HeaderNames, SourceWorkload, MAX_COST};
use crate::pattern::Pattern;

/// Most matches of one rule.
const MAX_MATCHES: usize = 16;
/// Most texts in one list.
const MAX_LIST: usize = 64;

/// The header with the calling proxy's service node, as in Envoy's own fault filter.
const DOWNSTREAM_NODE: &str = "x-envoy-downstream-service-node";

/// Reads the list `match`. The conditions of each match are in the order of evaluation: cheapest first.
pub fn read(section: &mut Section, headers: &mut HeaderNames) -> Vec<Vec<Condition>> {
    let matches = section.objects("match", |section| {
        let mut unsorted = one(section, headers);
        let mut conditions = Vec::new();
        // The library's sorting would be 1 KB of code.
        for cost in 0..=MAX_COST {
            conditions.extend(unsorted.extract_if(.., |condition| condition.cost() == cost));
        }
        conditions
    });
    if matches.len() > MAX_MATCHES {
        section.refuse("match", format!("{} matches, at most {MAX_MATCHES}", matches.len()));
    }
    matches
}

fn one(section: &mut Section, headers: &mut HeaderNames) -> Vec<Condition> {
    // A field of Istio's; it has no effect there, either.
    section.ignore(&["name"]);
    let mut conditions = Vec::new();
    let any_case = section.boolean("ignoreUriCase", false);
    let uri = section.object("uri", path).flatten();
    conditions.extend(uri.map(|uri| Condition::Path(if any_case { uri.any_case() } else { uri })));
    for (field, header) in
        [("scheme", HeaderNames::SCHEME), ("method", HeaderNames::METHOD), ("authority", HeaderNames::AUTHORITY)]
    {
        let pattern = section.object(field, Pattern::required).flatten();
        conditions.extend(pattern.map(|pattern| Condition::Header(header, pattern)));
    }
    for (field, condition) in
        [("headers", Condition::Header as fn(_, _) -> _), ("withoutHeaders", Condition::without as fn(_, _) -> _)]
    {
        conditions
            .extend(header_patterns(section, field, headers).into_iter().map(|(id, pattern)| condition(id, pattern)));
    }
    let parameters =
        section.object_map("queryParams", |name, section| Some((name.to_owned(), Pattern::or_present(section)?)));
    conditions.extend(parameters.into_iter().flatten().map(|(name, pattern)| Condition::Query(name, pattern)));
    let port = section.optional_integer("port", 1..=65_535);
    conditions.extend(port.and_then(|port| u16::try_from(port).ok()).map(Condition::Port));
    conditions.extend(source(section).map(Condition::Source));
    let principals = section.objects("sourcePrincipals", Pattern::required);
    if section.has("sourcePrincipals") {
        conditions.push(Condition::Principal(principals.into_iter().flatten().collect()));
    }
    let cluster = section.object("upstreamCluster", Pattern::required).flatten();
    conditions.extend(cluster.map(Condition::Cluster));
    let route = section.object("routeName", Pattern::required).flatten();
    conditions.extend(route.map(Condition::Route));
    let nodes = section.texts("downstreamNodes", MAX_LIST);
    if section.has("downstreamNodes") && nodes.is_empty() {
        section.refuse("downstreamNodes", "[] would match nobody, must have an entry or be left out".into());
    } else if !nodes.is_empty() {
        conditions.push(Condition::Header(headers.id(DOWNSTREAM_NODE), Pattern::OneOf(nodes)));
    }
    conditions
}

fn path(section: &mut Section) -> Option<Pattern> {
    let pattern = Pattern::required(section);
    if matches!(pattern, Some(Pattern::Present)) {
        section.refuse("regex", "\"*\" is no expression, and every request has a path: leave uri out".into());
    }
    pattern
}

fn header_patterns(section: &mut Section, field: &'static str, headers: &mut HeaderNames) -> Vec<(HeaderId, Pattern)> {
    let patterns = section.object_map(field, |name, section| {
        if !is_header_name(name) {
            section.refuse_all("not a header name".into());
        }
        Some((headers.id(&name.to_ascii_lowercase()), Pattern::or_present(section)?))
    });
    patterns.into_iter().flatten().collect()
}

/// What an operator is told of rules that no request gets to, because every request matches one before them.
pub fn unreached(rules: &mut dyn Iterator<Item = &[Vec<Condition>]>) -> Option<String> {
    let mut rules = rules.enumerate();
    let (index, _) = rules.find(|(_, matches)| matches.is_empty() || matches.iter().any(Vec::is_empty))?;
    rules.next()?;
    Some(format!("http[{index}] is for every request: no request gets to the rules after it"))
}

/// Whether this is a valid header name: RFC 9110's `token`, or a pseudo-header of HTTP/2, which begins with a colon.
pub fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !token.is_empty() && token.len() <= 255 && token.bytes().all(is_allowed)
}

/// Reads `sourceLabels` and `sourceNamespace`.
fn source(section: &mut Section) -> Option<SourceWorkload> {
    let labels = section.text_map("sourceLabels");
    let namespace = section.text("sourceNamespace");
    (!labels.is_empty() || namespace.is_some()).then(|| SourceWorkload::new(labels, namespace))
}
