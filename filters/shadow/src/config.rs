//! The plugin configuration: rules with the fields of Istio's `VirtualService`, and more.

mod gathered;
mod headers;
mod limits;
mod mirror;

use collections::names::Names;
use configuration::{self, ConfigError, Quoted, Section};
use host::Host;
use rules::fields::{self, Expiry};
use rules::matches::{self, is_header_name};
use rules::matching::{self, Condition, HeaderNames};
use rules::percentage::Percentage;
use series::metric_name::without_final_dots;

use gathered::MirrorNotes;
pub use headers::HeaderChanges;
pub use limits::MirrorLimits;
pub use mirror::{Authority, Compare, Mirror, Role, SendOn, TraceContext};

/// Most rules.
pub const MAX_RULES: usize = 64;
/// Most mirrors of a rule.
pub const MAX_MIRRORS: usize = 8;
/// Default header that marks a copy.
pub const DEFAULT_MARKER: &str = "x-shadow-mirror";

/// Prefixes of headers that clients, proxies and tracers use. Requests with the marker are not mirrored, and many have such
/// headers.
pub const KNOWN: [&str; 17] = [
    "x-amzn-",
    "x-api-",
    "x-b3-",
    "x-client-",
    "x-cloud-",
    "x-correlation-",
    "x-csrf-",
    "x-datadog-",
    "x-envoy-",
    "x-forwarded-",
    "x-http-",
    "x-istio-",
    "x-original-",
    "x-ot-",
    "x-real-",
    "x-request", // and -id, -start, ed-with
    "x-xsrf-",
];

/// The configuration of shadowing.
#[derive(Clone, Debug)]
pub struct ShadowConfig {
    /// `http`: the first rule that a request matches is its only one.
    pub rules: Vec<MirrorRule>,
    /// The headers that the rules ask for.
    pub headers: HeaderNames,
    /// `limits`.
    pub limits: MirrorLimits,
    /// `markerHeader`: names on a mirrored request the mirror; a request that has it is not mirrored. In small letters. None
    /// if empty.
    pub marker_header: Option<String>,
    /// `enabled`.
    pub enabled: bool,
    /// `expiresAt`: end of all rules.
    pub expires: Expiry,
    /// `statPrefix`: prefix of all metric names.
    pub stat_prefix: String,
    /// Messages for the operator.
    pub remarks: Vec<String>,
}

/// Which requests to mirror, and to which mirrors.
#[derive(Clone, Debug)]
pub struct MirrorRule {
    /// `name`; that of its only mirror, unless that has one.
    pub name: String,
    /// `match`: one of these must match, with all its conditions. If empty, every request matches.
    pub matches: Vec<Vec<Condition>>,
    /// `mirrors`, or `mirror` for a single one. Without any, the requests are not mirrored.
    pub mirrors: Vec<Mirror>,
}

impl ShadowConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Whether no rule can ever mirror anything.
    pub fn is_idle(&self) -> bool {
        !self.enabled || self.rules.iter().all(MirrorRule::is_idle)
    }

    /// Evaluates conditions on this proxy's own workload.
    pub fn look_at_node(&mut self, host: &impl Host) {
        for rule in &mut self.rules {
            matching::look_at_node(&mut rule.matches, host);
        }
    }

    fn read(section: &mut Section) -> Self {
        let limits = section.object_or_empty("limits", MirrorLimits::read);
        let mut gathered = MirrorNotes { headers: HeaderNames::new(), remarks: Vec::new(), limits };
        let mut index = 0_usize;
        let rules = section.objects("http", |section| {
            let rule = MirrorRule::read(section, index, &mut gathered);
            index = index.saturating_add(1);
            rule
        });
        if rules.len() > MAX_RULES {
            section.refuse("http", format!("{} rules, at most {MAX_RULES}", rules.len()));
        }
        fields::refuse_connections(section);
        gathered.remarks.extend(matches::unreached(&mut rules.iter().map(|rule| rule.matches.as_slice())));
        Self {
            rules,
            limits,
            marker_header: marker(section),
            enabled: section.boolean("enabled", true),
            expires: Expiry::read(section),
            stat_prefix: fields::stat_prefix(section),
            headers: gathered.headers,
            remarks: gathered.remarks,
        }
    }
}

impl MirrorRule {
    fn read(section: &mut Section, index: usize, gathered: &mut MirrorNotes) -> Self {
        let name = fields::name(section).unwrap_or_else(|| format!("rule-{index}"));
        let matches = matches::read(section, &mut gathered.headers);
        let (has_one, has_list) = (section.has("mirror"), section.has("mirrors"));
        if has_one && has_list {
            section.refuse_all("cannot contain both mirror and mirrors".into());
        }
        section.refuse_if_given("mirror_percent", "deprecated, use mirrorPercentage.value");
        let mut mirrors = Vec::new();
        if has_one {
            mirrors.extend(Mirror::short(section, &name, gathered));
        } else if section.has("mirrorPercentage") {
            section.refuse("mirrorPercentage", "only with mirror; mirrors have percentage".into());
        }
        section.ignore(&["mirror", "mirrorPercentage"]);
        let mut names = Names::default();
        let mut index = 0_usize;
        let list = section.objects("mirrors", |section| {
            let mirror = Mirror::read(section, &format!("{name}-{index}"), gathered);
            // Envoy drops the dots at the end of a label.
            if !names.add(without_final_dots(&mirror.name)).1 {
                section.refuse("name", format!("duplicate \"{}\"", mirror.name));
            }
            index = index.saturating_add(1);
            mirror
        });
        if has_list && !(1..=MAX_MIRRORS).contains(&list.len()) {
            let message = match list.len() {
                0 => "0, at least 1".to_owned(),
                count => format!("{count}, at most {MAX_MIRRORS}"),
            };
            section.refuse("mirrors", message);
        }
        mirrors.extend(list);
        Self { name, matches, mirrors }
    }

    /// Whether the rule can never mirror anything.
    pub fn is_idle(&self) -> bool {
        self.mirrors.iter().all(|mirror| mirror.percentage == Percentage::NEVER)
    }
}

fn marker(section: &mut Section) -> Option<String> {
    let Some(name) = section.any_text("markerHeader") else { return Some(DEFAULT_MARKER.into()) };
    if name.is_empty() {
        return None;
    }
    let (lower, quoted) = (name.to_ascii_lowercase(), Quoted(&name));
    if !is_header_name(&name) {
        section.refuse("markerHeader", format!("{quoted} is not a header name"));
    } else if !lower.starts_with("x-") {
        section.refuse("markerHeader", format!("{quoted} must begin with x-, such as x-shadow-mirror"));
    } else if let Some(known) = KNOWN.iter().find(|known| lower.starts_with(**known)) {
        let message = format!(
            "{quoted} begins with {known}, as headers of other requests do, must be another, such as x-shadow-mirror"
        );
        section.refuse("markerHeader", message);
    }
    Some(lower)
}

#[cfg(test)]
mod tests;
