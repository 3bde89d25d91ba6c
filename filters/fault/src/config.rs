//! The plugin configuration: rules with the fields of Istio's `VirtualService`, and more.

mod fault;
mod gathered;

use collections::names::Names;
use configuration::{self, ConfigError, Quoted, Section};
use host::Host;
use rules::fields::{self, Expiry};
use rules::matches;
use rules::matching::{self, Condition, HeaderNames};
use rules::percentage::Percentage;
use rules::sampling::Sampling;
use series::metric_name::without_final_dots;

use crate::abort::AbortKind;
use gathered::FaultNotes;

pub use fault::{Abort, Aborts, Delay, Delays};

/// Most rules.
pub const MAX_RULES: usize = 64;

/// Largest count or limit: arithmetic on it cannot overflow.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The configuration of fault injection.
#[derive(Clone, Debug)]
pub struct FaultConfig {
    /// `http`, or `match` and `fault` for a single rule: the first rule that a request matches is its only one.
    pub rules: Vec<FaultRule>,
    /// The headers that the rules ask for.
    pub headers: HeaderNames,
    /// `maxActiveFaults`: most requests delayed at once, by all workers and rules together.
    pub max_active: Option<u64>,
    /// `engine`: who delays and answers.
    pub engine: FaultEngine,
    /// `stripControlHeaders`: take the headers off that a rule with `headerControlled` has obeyed.
    pub strip_control_headers: bool,
    /// `enabled`.
    pub enabled: bool,
    /// `expiresAt`: end of all rules.
    pub expires: Expiry,
    /// `statPrefix`: prefix of all metric names.
    pub stat_prefix: String,
    /// Settings that are valid but probably a mistake.
    pub warnings: Vec<String>,
}

/// The filter that injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultEngine {
    /// This module.
    Wasm,
    /// Envoy's own fault filter, later in the chain; this module controls it by headers.
    Envoy,
}

/// A fault and the requests that it applies to.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// `name`, the label of its metrics.
    pub name: String,
    /// `match`: one of these must match, with all its conditions. If empty, every request matches.
    pub matches: Vec<Vec<Condition>>,
    /// `fault.delay`. Without it and an abort, the requests pass.
    pub delay: Option<Delay>,
    /// `fault.abort`.
    pub abort: Option<Abort>,
    /// `maxActiveFaults` of this rule.
    pub max_active: Option<u64>,
    /// `startAfter`: requests that pass before the rule begins.
    pub start_after: u64,
    /// `maxInjections`: requests with a fault before the rule ends.
    pub max_injections: Option<u64>,
    /// `sampling.key`.
    pub sampling: Sampling,
}

impl FaultConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Whether no rule can ever inject.
    pub fn is_idle(&self) -> bool {
        !self.enabled || self.rules.iter().all(FaultRule::is_idle)
    }

    /// Evaluates conditions on this proxy's own workload.
    pub fn look_at_node(&mut self, host: &impl Host) {
        for rule in &mut self.rules {
            matching::look_at_node(&mut rule.matches, host);
        }
    }

    fn read(section: &mut Section) -> Self {
        let mut gathered = FaultNotes::default();
        let mut names = Names::default();
        let mut index = 0_usize;
        let mut rules = section.objects("http", |section| {
            let rule = FaultRule::read(section, index, &mut gathered);
            // Envoy drops the dots at the end of a label.
            if !names.add(without_final_dots(&rule.name)).1 {
                section.refuse("name", format!("\"{}\" is the name of another rule", rule.name));
            }
            index = index.saturating_add(1);
            rule
        });
        if rules.len() > MAX_RULES {
            section.refuse("http", format!("{} rules, at most {MAX_RULES}", rules.len()));
        }
        let has_shorthand = section.has("match") || section.has("fault");
        if has_shorthand && section.has("http") {
            section.refuse("http", "cannot be combined with top-level match/fault".into());
        }
        fields::refuse_connections(section);
        gathered.warnings.extend(matches::unreached(&mut rules.iter().map(|rule| rule.matches.as_slice())));
        if has_shorthand {
            section.require("fault");
            rules.push(FaultRule::shorthand(section, &mut gathered));
        } else {
            section.ignore(&["match", "fault"]);
        }
        let engine = match section.any_text("engine").as_deref() {
            Some("envoy") => FaultEngine::Envoy,
            Some("wasm") | None => FaultEngine::Wasm,
            Some(other) => {
                section.refuse("engine", format!("{} must be wasm or envoy", Quoted(other)));
                FaultEngine::Wasm
            }
        };
        if engine == FaultEngine::Envoy {
            refuse_without_engine(section, &rules, has_shorthand);
        }
        Self {
            rules,
            max_active: section.optional_integer("maxActiveFaults", 0..=MAX_COUNT),
            engine,
            strip_control_headers: section.boolean("stripControlHeaders", false),
            enabled: section.boolean("enabled", true),
            expires: Expiry::read(section),
            stat_prefix: fields::stat_prefix(section),
            headers: gathered.headers,
            warnings: gathered.warnings,
        }
    }
}

impl FaultRule {
    fn read(section: &mut Section, index: usize, gathered: &mut FaultNotes) -> Self {
        let name = fields::name(section);
        let of_faults = ["maxActiveFaults", "startAfter", "maxInjections", "sampling"];
        section.refuse_unless(section.has("fault"), "with fault", &of_faults);
        let sampling = section.object("sampling", |section| Sampling::read(section, &mut gathered.headers)).flatten();
        Self {
            name: name.unwrap_or_else(|| format!("rule-{index}")),
            max_active: section.optional_integer("maxActiveFaults", 0..=MAX_COUNT),
            start_after: section.optional_integer("startAfter", 0..=MAX_COUNT).unwrap_or_default(),
            max_injections: section.optional_integer("maxInjections", 0..=MAX_COUNT).filter(|max| *max > 0),
            sampling: sampling.unwrap_or(Sampling::Random),
            ..Self::shorthand(section, gathered)
        }
    }

    /// The fields that may also stand at the top.
    fn shorthand(section: &mut Section, gathered: &mut FaultNotes) -> Self {
        let matches = matches::read(section, &mut gathered.headers);
        let (delay, abort) = fault::read(section, gathered);
        Self {
            name: "rule-0".into(),
            matches,
            delay,
            abort,
            max_active: None,
            start_after: 0,
            max_injections: None,
            sampling: Sampling::Random,
        }
    }

    /// Whether the rule can never inject.
    pub fn is_idle(&self) -> bool {
        let delays = self.delay.as_ref().is_some_and(|delay| delay.percentage > Percentage::NEVER);
        let aborts = self.abort.as_ref().is_some_and(|abort| abort.percentage > Percentage::NEVER);
        !delays && !aborts
    }
}

/// What Envoy's filter cannot be told by headers.
fn refuse_without_engine(section: &mut Section, rules: &[FaultRule], is_shorthand: bool) {
    const MESSAGE: &str = "not available with engine envoy";
    for (index, rule) in rules.iter().enumerate() {
        let path = |field: &str| match is_shorthand {
            true => format!("fault.{field}"),
            false => format!("http[{index}].fault.{field}"),
        };
        if let Some(abort) = &rule.abort {
            let unavailable = [
                ("abort.reset", matches!(abort.aborts, Aborts::Always(AbortKind::Reset))),
                ("abort.body", abort.body.is_some()),
                ("abort.headers", !abort.headers.is_empty()),
            ];
            for (field, _) in unavailable.into_iter().filter(|(_, is_given)| *is_given) {
                section.refuse(&path(field), MESSAGE.into());
            }
        }
        if rule.max_active.is_some() {
            section.refuse(&format!("http[{index}].maxActiveFaults"), MESSAGE.into());
        }
    }
    if section.has("maxActiveFaults") {
        section.refuse("maxActiveFaults", MESSAGE.into());
    }
}

#[cfg(test)]
mod tests;
