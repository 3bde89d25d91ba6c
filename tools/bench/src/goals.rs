//! What was set as a goal, and what is reached.

use crate::choice;
use crate::idle::{Taken, ALL, NONE, SIDECAR};
use crate::report::Report;
use crate::scene::Scene;

/// A goal, with what a run measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// What is limited.
    pub what: String,
    /// At most this.
    pub limit: f64,
    /// What it is; None where the run did not measure it.
    pub reached: Option<f64>,
    /// Unit of both, after the number.
    pub unit: &'static str,
}

impl Goal {
    fn new(what: impl Into<String>, limit: f64, reached: Option<f64>, unit: &'static str) -> Self {
        Self { what: what.into(), limit, reached, unit }
    }

    /// `ok`, `missed`, or that it was not measured.
    pub fn verdict(&self) -> &'static str {
        match self.reached {
            None => "not measured",
            Some(reached) if reached <= self.limit => "ok",
            Some(_) => "missed",
        }
    }

    /// The number reached, with as many digits as it deserves.
    pub fn number(&self) -> String {
        let digits = match self.limit {
            limit if limit >= 1000.0 => 0,
            limit if limit >= 5.0 => 1,
            _ => 2,
        };
        self.reached.map_or_else(|| "-".to_owned(), |reached| format!("{reached:.digits$}"))
    }
}

/// All goals. Those of filters that are not there are left out.
pub fn of(report: &Report) -> Vec<Goal> {
    let mut goals = vec![Goal::new(
        "stats as an access logger, over envoy.access_loggers.stats with the same metrics and labels",
        1.0,
        report.scene(Scene::Direct).and_then(|scene| scene.ratio_by_name("stats-logger")),
        "×",
    )];
    for scene in [Scene::Hop, Scene::Outbound] {
        for (variant, what, limit) in
            [("telemetry", "metadata exchange + stats", 20.0), ("telemetry-with-log", "the same with access log", 26.0)]
        {
            if choice::of(scene).any(|other| other.name == variant) {
                let reached = report.scene(scene).and_then(|scene| scene.added_by_name(variant));
                goals.push(Goal::new(format!("{what}, {}: added per request", scene.name()), limit, reached, "µs"));
            }
        }
    }
    for (filter, scene) in
        [("fault", Scene::Direct), ("fault", Scene::Hop), ("shadow", Scene::Direct), ("shadow", Scene::Hop)]
    {
        if choice::of(scene).any(|other| other.name == filter) {
            let reached = report.scene(scene).and_then(|scene| scene.ratio_of_names(filter, "empty-headers"));
            let what = format!("{filter}, not matching, over an empty filter, {}", scene.name());
            goals.push(Goal::new(what, 1.5, reached, "×"));
        }
    }
    for module in catalog::MODULES {
        let file = module.file();
        let reached = report.sizes.iter().find(|(name, _)| *name == file).map(|(_, size)| *size as f64);
        goals.push(Goal::new(format!("size of {file}"), module.budget as f64, reached, "bytes"));
    }

    let taken = |set: &str, workers: u32| {
        report.idle.iter().find(|idle| idle.set == set && idle.workers == workers).map(|idle| idle.taken)
    };
    let added =
        |set: &str, workers: u32, of: fn(Taken) -> f64| Some(of(taken(set, workers)?) - of(taken(NONE, workers)?));
    let private = added(SIDECAR, 2, |taken| taken.private / MEBIBYTE);
    goals.push(Goal::new(
        "all filters of a sidecar: private memory of an idle proxy with two workers",
        15.0,
        private,
        "MiB",
    ));
    let memory = |workers| added(ALL, workers, |taken| taken.resident / MEGABYTE);
    let per_worker = memory(2).zip(memory(1)).map(|(two, one)| two - one);
    goals.push(Goal::new("all five filters: memory of an idle proxy with one worker", 40.0, memory(1), "MB"));
    goals.push(Goal::new("all five filters: memory per further worker", 3.0, per_worker, "MB"));
    goals.push(Goal::new("all five filters: time to start", 0.3, added(ALL, 1, |taken| taken.ready), "s"));

    let latency = |of: fn(crate::latency::Latency) -> f64| report.latency.map(|comparison| of(comparison.added));
    goals.push(Goal::new("latency through two sidecars at 1,000/s, p50", 0.1, latency(|l| l.p50), "ms"));
    goals.push(Goal::new("latency through two sidecars at 1,000/s, p99", 0.5, latency(|l| l.p99), "ms"));
    goals
}

/// Bytes in a megabyte.
pub const MEGABYTE: f64 = 1e6;

/// Bytes in a mebibyte.
pub const MEBIBYTE: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::Idle;

    #[test]
    fn a_goal_is_met_up_to_its_limit() {
        let goal = |reached| Goal::new("x", 1.5, reached, "×");
        assert_eq!(goal(Some(1.5)).verdict(), "ok");
        assert_eq!(goal(Some(1.51)).verdict(), "missed");
        assert_eq!(goal(None).verdict(), "not measured");
        assert_eq!((goal(Some(1.2)).number(), goal(None).number()), ("1.20".to_owned(), "-".to_owned()));
    }

    #[test]
    fn what_modules_take_is_over_a_proxy_without_them() {
        let mut report = Report::default();
        let idle = |set: &str, workers, megabytes: f64, ready| {
            let taken =
                Taken { resident: megabytes * MEGABYTE, private: (megabytes - 40.0) * MEBIBYTE, ready, vms: 0.0 };
            Idle { set: set.to_owned(), workers, taken }
        };
        report.idle = vec![
            idle(NONE, 1, 60.0, 0.1),
            idle(ALL, 1, 90.0, 0.35),
            idle(NONE, 2, 61.0, 0.1),
            idle(ALL, 2, 96.0, 0.4),
            idle(SIDECAR, 2, 80.5, 0.4),
        ];
        let reached = |what: &str| of(&report).into_iter().find(|goal| goal.what.contains(what)).unwrap().number();
        assert_eq!(reached("private memory"), "19.5");
        assert_eq!(reached("with one worker"), "30.0");
        assert_eq!(reached("further worker"), "5.00");
        assert_eq!(reached("time to start"), "0.25");
        assert_eq!(reached("size of stats.wasm"), "-");
    }
}
