//! What a run found, for people.

use std::fmt::Write;

use crate::choice;
use crate::goals::{self, Goal, MEBIBYTE, MEGABYTE};
use crate::report::{Report, SceneReport};
use crate::scene::Scene;
use crate::series::{NewLabels, SERIES_PER_SET};
use crate::statistics::Summary;
use crate::variants::{EXTRAS, NATIVE_STATS};

/// A baseline whose quartiles are further apart than this part of its median is of a machine with other things to do.
const NOISY: f64 = 0.1;

/// A load under which the worker is idle for more than this part of the time was too slow for it.
const IDLE: f64 = 0.1;

/// The variants and what they are.
pub fn list() -> String {
    let width = choice::all().iter().map(|variant| variant.id().len()).max().unwrap_or(0);
    let mut text = String::new();
    for scene in Scene::ALL {
        line(&mut text, format_args!("{}: {}", scene.name(), scene.about()));
        for variant in choice::of(scene) {
            line(&mut text, format_args!("  {:width$}  {}", variant.id(), variant.about));
        }
    }
    text.push_str("further:\n");
    for (name, about) in EXTRAS {
        line(&mut text, format_args!("  {name:width$}  {about}"));
    }
    text
}

/// Everything.
pub fn text(report: &Report) -> String {
    let mut text = head(report);
    for scene in &report.scenes {
        text.push('\n');
        text.push_str(&scene_text(scene));
    }
    text.push('\n');
    text.push_str(&modules(report));
    text.push_str(&new_labels(&report.new_labels));
    for many in &report.many {
        line(
            &mut text,
            format_args!(
                "series        {:<24}{:>7.0} bytes each, {:>5.0} after a scrape, whose text has {:>5.0} and takes {:>4.0} ms of \
                 10,000; {:>4.0} kB per connection",
                many.name,
                many.per_series,
                many.scraped,
                many.scrape_bytes,
                many.scrape,
                many.per_connection / 1000.0
            ),
        );
    }
    if let Some(latency) = &report.latency {
        line(
            &mut text,
            format_args!(
                "latency       p50 {:.3} ms, p99 {:.3} ms through two sidecars at 1,000 requests/s; without filters {:.3} \
                 and {:.3} ms",
                latency.with.p50, latency.with.p99, latency.without.p50, latency.without.p99
            ),
        );
    }
    text.push('\n');
    text.push_str(&goals_text(&goals::of(report)));
    text
}

fn head(report: &Report) -> String {
    let mut text = format!(
        "CPU time of Envoy's one worker per request, in µs, under a load that never lets it wait: the median of the \
         rounds.\n`added` is over the baseline of the same scene, which is looked at before and after each two variants of \
         a round;\nthe quartiles are those of the rounds. `× native` is the median of the rounds' ratios to {NATIVE_STATS}. \
         `calls` are calls\nof the host per warm request, with mutual TLS. Envoy has core {} for itself, load and upstreams \
         core {}. {}.\n",
        report.cores.proxy, report.cores.load, report.processor
    );
    if !report.cores.apart {
        text.push_str("! Both cores are halves of one physical core: they slow each other down.\n");
    }
    text
}

fn scene_text(report: &SceneReport) -> String {
    let mut text = format!("{}: {}\n", report.scene.name(), report.scene.about());
    let columns = ["", "µs/request", "added", "quartiles", "× native", "requests/s", "calls"];
    row(&mut text, columns.map(str::to_owned));
    for (index, variant) in report.variants.iter().enumerate() {
        let rounds = &report.rounds;
        let median = |summary: Option<Summary>| summary.map_or_else(String::new, |s| format!("{:.1}", s.median));
        row(
            &mut text,
            [
                variant.name.to_owned(),
                median(rounds.cpu(index)),
                median(rounds.added(index)),
                rounds.added(index).map(|added| format!("{:.1} to {:.1}", added.low, added.high)).unwrap_or_default(),
                report.ratio(index).map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                rounds.rate(index).map(|rate| format!("{:.0}", rate.median)).unwrap_or_default(),
                variant.calls().map(|calls| calls.to_string()).unwrap_or_default(),
            ],
        );
    }
    for remark in remarks(report) {
        line(&mut text, format_args!("  ! {remark}"));
    }
    text
}

fn row(text: &mut String, [name, cpu, added, quartiles, ratio, rate, calls]: [String; 7]) {
    let row = format!("  {name:<20}{cpu:>11}{added:>9}{quartiles:>18}{ratio:>10}{rate:>12}{calls:>7}");
    line(text, format_args!("{}", row.trim_end()));
}

/// What should keep a reader from believing the numbers.
fn remarks(report: &SceneReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(baseline) = report.rounds.cpu(0).filter(|baseline| baseline.spread() > NOISY) {
        remarks.push(format!(
            "this machine is too noisy: the baseline's quartiles are {:.1} and {:.1} µs, {:.0} % of its median apart",
            baseline.low,
            baseline.high,
            baseline.spread() * 100.0
        ));
    }
    let idle = |index: &usize| report.rounds.busy(*index).is_some_and(|busy| busy.median < 1.0 - IDLE);
    let names: Vec<&str> =
        report.variants.iter().enumerate().filter(|(index, _)| idle(index)).map(|(_, variant)| variant.name).collect();
    if !names.is_empty() {
        remarks.push(format!("the load was too slow to keep the worker at work: {}", names.join(", ")));
    }
    remarks
}

/// A line per module or set of modules: size, memory of an idle proxy, time until it is ready.
fn modules(report: &Report) -> String {
    let mut text = String::new();
    for (name, size) in &report.sizes {
        line(&mut text, format_args!("module        {name:<24}{size:>9} bytes"));
    }
    for idle in &report.idle {
        let workers = if idle.workers == 1 { "worker, " } else { "workers," };
        line(
            &mut text,
            format_args!(
                "idle proxy    {:<24}{:>3} {workers} {:>2} VMs, {:>6.1} MB resident, {:>6.1} MiB private, ready after {:.3} s",
                idle.set,
                idle.workers,
                idle.taken.vms,
                idle.taken.resident / MEGABYTE,
                idle.taken.private / MEBIBYTE,
                idle.taken.ready
            ),
        );
    }
    text
}

/// What a new set of labels costs, by the bootstrap.
fn new_labels(rows: &[NewLabels]) -> String {
    let mut text = String::new();
    if !rows.is_empty() {
        line(
            &mut text,
            format_args!(
                "new labels: CPU time in µs that stats adds to a caller's first request, which makes {SERIES_PER_SET} series"
            ),
        );
    }
    for NewLabels { counter, bootstrap, expressions, time } in rows {
        let who = counter.name();
        let quartiles = format!("{:.0} to {:.0}", time.low, time.high);
        let (name, median) = (bootstrap.name, time.median);
        line(
            &mut text,
            format_args!("  {expressions:>3} expressions: {name:<36}{who:<18}{median:>7.0}{quartiles:>18}"),
        );
    }
    text
}

fn goals_text(goals: &[Goal]) -> String {
    let mut text = String::new();
    let (goals, others): (Vec<&Goal>, Vec<&Goal>) = goals.iter().partition(|goal| goal.reached.is_some());
    let width = goals.iter().map(|goal| goal.what.chars().count()).max().unwrap_or(0);
    for goal in goals {
        let limit = format!("at most {} {}", goal.limit, goal.unit);
        line(
            &mut text,
            format_args!("goal  {:<width$}  {:<20}{:>9}  {}", goal.what, limit, goal.number(), goal.verdict()),
        );
    }
    if !others.is_empty() {
        line(&mut text, format_args!("{} goals are not measured by this run", others.len()));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{Look, Rounds};

    fn scene(looks: &[(f64, f64, f64)]) -> SceneReport {
        let variants: Vec<_> = choice::of(Scene::Direct).take(2).copied().collect();
        let looks = looks.iter().map(|(cpu, rate, busy)| Look { cpu: *cpu, rate: *rate, busy: *busy }).collect();
        let added = vec![Vec::new(), vec![3.0, 4.0, 5.0]];
        SceneReport { scene: Scene::Direct, rounds: Rounds::of(vec![looks, Vec::new()], added), variants }
    }

    #[test]
    fn a_row_has_the_median_and_the_quartiles() {
        let text = scene_text(&scene(&[(20.0, 40_000.0, 1.0)]));
        let rows: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [vec!["none", "20.0", "40000"], vec!["empty", "4.0", "3.5", "to", "4.5"]]);
    }

    #[test]
    fn a_noisy_machine_and_a_slow_load_are_told() {
        assert_eq!(remarks(&scene(&[(20.0, 1.0, 0.95), (20.1, 1.0, 0.95)])), [""; 0]);
        let noisy = remarks(&scene(&[(20.0, 1.0, 0.8), (30.0, 1.0, 0.8)]));
        assert_eq!(
            noisy,
            [
                "this machine is too noisy: the baseline's quartiles are 22.5 and 27.5 µs, 20 % of its median apart",
                "the load was too slow to keep the worker at work: none",
            ]
        );
    }

    #[test]
    fn every_variant_is_listed_once() {
        let list = list();
        for variant in choice::all() {
            assert_eq!(list.matches(&format!("  {} ", variant.id())).count(), 1, "{}", variant.id());
        }
    }

    #[test]
    fn goals_that_were_not_measured_say_so() {
        let text = text(&Report::default());
        assert!(text.contains(" goals are not measured") && !text.contains("missed"), "{text}");
    }
}
