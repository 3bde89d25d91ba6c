//! The measurement: CPU time of the proxy's worker per request, variant by variant, in rounds.
//!
//! In a round each variant is loaded once for a part of a second, and before and after each two of them the baseline is:
//! what a machine does slowly (its clock, its neighbours) is in both, and is subtracted. The order of the variants is
//! another one in each round.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::interrupt::Interrupt;

use crate::load::Load;
use crate::machine::Thread;
use crate::statistics::{median, Summary};

/// Between two looks at the baseline.
const VARIANTS_PER_BASELINE: usize = 2;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Load before the clock is looked at.
    pub warm_up: Duration,
    /// Load that is measured.
    pub window: Duration,
    /// Load on each variant before the first round, in which code is compiled and tables fill.
    pub first: Duration,
}

/// One look at one variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// CPU time per request in microseconds.
    pub cpu: f64,
    /// Requests per second.
    pub rate: f64,
    /// How much of the time the worker was at work.
    pub busy: f64,
}

/// What the rounds gave for the variants of one scene, in their order; the first is the baseline.
#[derive(Debug, Default)]
pub struct Rounds {
    looks: Vec<Vec<Look>>,
    /// Added CPU time per request of each variant in each round, in microseconds.
    added: Vec<Vec<f64>>,
}

/// The steps of a round: indices of variants, the baseline's is 0.
fn order(variants: usize, round: usize) -> Vec<usize> {
    let others = variants.saturating_sub(1);
    let rotated = (0..others).map(|place| 1 + (place + round) % others);
    // Neighbours change too: every other round goes backwards.
    let mut rotated: Vec<usize> = rotated.collect();
    if round % 2 == 1 {
        rotated.reverse();
    }
    let mut steps = vec![0];
    for pair in rotated.chunks(VARIANTS_PER_BASELINE) {
        steps.extend_from_slice(pair);
        steps.push(0);
    }
    steps
}

/// What each look adds to the baseline around it: the mean of the one before and the one after.
fn added(steps: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let baseline =
        |mut steps: Box<dyn Iterator<Item = &(usize, f64)> + '_>| steps.find(|step| step.0 == 0).map(|s| s.1);
    let around = |place: usize| {
        let before = baseline(Box::new(steps.iter().take(place).rev()))?;
        let after = baseline(Box::new(steps.iter().skip(place)))?;
        Some((before + after) / 2.0)
    };
    let variants = steps.iter().enumerate().filter(|(_, step)| step.0 != 0);
    variants.filter_map(|(place, (variant, cpu))| Some((*variant, cpu - around(place)?))).collect()
}

impl Rounds {
    /// Measures; `loads` are those of the variants, the baseline's first.
    pub fn measure(
        loads: &mut [Load<'_>],
        worker: &Thread,
        timing: Timing,
        rounds: usize,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut result = Self { looks: vec![Vec::new(); loads.len()], added: vec![Vec::new(); loads.len()] };
        for load in loads.iter_mut() {
            interrupt.check()?;
            load.run_for(timing.first)?;
        }
        for round in 0..rounds {
            let mut steps = Vec::new();
            for variant in order(loads.len(), round) {
                interrupt.check()?;
                let load = loads.get_mut(variant).context("a variant without load")?;
                let look = look(load, worker, timing)?;
                steps.push((variant, look.cpu));
                result.looks.get_mut(variant).context("a variant without looks")?.push(look);
            }
            for (variant, added) in added(&steps) {
                result.added.get_mut(variant).context("a variant without looks")?.push(added);
            }
        }
        Ok(result)
    }

    /// What was seen of each variant, and what each added in each round.
    #[cfg(test)]
    pub(crate) fn of(looks: Vec<Vec<Look>>, added: Vec<Vec<f64>>) -> Self {
        Self { looks, added }
    }

    /// CPU time per request of a variant.
    pub fn cpu(&self, variant: usize) -> Option<Summary> {
        self.summary(variant, |look| look.cpu)
    }

    /// Requests per second of a variant.
    pub fn rate(&self, variant: usize) -> Option<Summary> {
        self.summary(variant, |look| look.rate)
    }

    /// The part of the time that the worker was at work. Near 1: the load is quick enough.
    pub fn busy(&self, variant: usize) -> Option<Summary> {
        self.summary(variant, |look| look.busy)
    }

    /// What a variant adds; None for the baseline.
    pub fn added(&self, variant: usize) -> Option<Summary> {
        Summary::of(self.added.get(variant)?)
    }

    /// What each round said a variant adds.
    pub fn added_by_round(&self, variant: usize) -> &[f64] {
        self.added.get(variant).map_or(&[], Vec::as_slice)
    }

    /// How many times what `other` adds a variant adds: the median of the rounds' ratios.
    pub fn ratio(&self, variant: usize, other: usize) -> Option<f64> {
        let ratios: Vec<f64> =
            self.added.get(variant)?.iter().zip(self.added.get(other)?).map(|(mine, others)| mine / others).collect();
        median(&ratios)
    }

    fn summary(&self, variant: usize, of: fn(&Look) -> f64) -> Option<Summary> {
        let values: Vec<f64> = self.looks.get(variant)?.iter().map(of).collect();
        Summary::of(&values)
    }
}

/// The worker sleeps before and after, as every request has its answer: so count and time belong together exactly.
fn look(load: &mut Load<'_>, worker: &Thread, timing: Timing) -> Result<Look> {
    load.run_for(timing.warm_up)?;
    let (before, begin) = (worker.settled_cpu_time()?, Instant::now());
    let answered = load.run_for(timing.window)?;
    let elapsed = begin.elapsed().as_secs_f64();
    let nanoseconds = worker.settled_cpu_time()?.saturating_sub(before) as f64;
    ensure!(answered > 0, "no request was answered in {:?}", timing.window);
    Ok(Look {
        cpu: nanoseconds / 1000.0 / answered as f64,
        rate: answered as f64 / elapsed,
        busy: nanoseconds / 1e9 / elapsed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_each_variant_once_between_baselines() {
        for round in 0..6 {
            let steps = order(6, round);
            assert_eq!((steps.first(), steps.last()), (Some(&0), Some(&0)));
            let mut variants: Vec<usize> = steps.iter().copied().filter(|step| *step != 0).collect();
            variants.sort_unstable();
            assert_eq!(variants, [1, 2, 3, 4, 5], "round {round}");
            assert_eq!(steps.iter().filter(|step| **step == 0).count(), 4);
        }
        assert_eq!(order(4, 0), [0, 1, 2, 0, 3, 0]);
        assert_eq!(order(4, 1), [0, 1, 3, 0, 2, 0]);
        assert_eq!(order(1, 0), [0]);
    }

    #[test]
    fn what_is_added_is_over_the_baselines_on_both_sides() {
        let steps = [(0, 10.0), (1, 15.0), (2, 21.0), (0, 12.0), (3, 20.0), (0, 20.0)];
        assert_eq!(added(&steps), [(1, 4.0), (2, 10.0), (3, 4.0)]);
    }

    #[test]
    fn a_ratio_is_of_what_the_same_round_said() {
        let rounds = Rounds { added: vec![vec![], vec![4.0, 40.0, 8.0], vec![2.0, 20.0, 2.0]], ..Rounds::default() };
        assert_eq!(rounds.ratio(1, 2), Some(2.0));
        assert_eq!(rounds.added(0), None);
        assert_eq!(rounds.added(1).unwrap().median, 8.0);
    }
}
