//! Medians and quartiles: what is said of several rounds.

/// What several measurements of one thing say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Half of the values are below.
    pub median: f64,
    /// A quarter of the values is below.
    pub low: f64,
    /// A quarter of the values is above.
    pub high: f64,
    /// How many there were.
    pub count: usize,
}

impl Summary {
    /// None without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
            count: sorted.len(),
        })
    }

    /// The width between the quartiles, as a part of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.high - self.low) / self.median
    }
}

/// The median alone.
pub fn median(values: &[f64]) -> Option<f64> {
    Summary::of(values).map(|summary| summary.median)
}

/// The value below which a part of the sorted values lies, on a straight line between neighbours.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    let (below, rest) = (place.floor(), place.fract());
    let low = *sorted.get(below as usize)?;
    let high = *sorted.get(last.min(below as usize + 1))?;
    Some(low + (high - low) * rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(summary, Summary { median: 2.5, low: 1.75, high: 3.25, count: 4 });
        assert_eq!(Summary::of(&[1.0, 2.0, 9.0]).unwrap().median, 2.0);
        assert_eq!(summary.spread(), 0.6);
    }

    #[test]
    fn one_value_is_its_own_quartile_and_none_has_no_median() {
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { median: 7.0, low: 7.0, high: 7.0, count: 1 });
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(median(&[f64::NAN, f64::INFINITY]), None, "a division by zero is no value");
    }

    #[test]
    fn quantiles_reach_both_ends() {
        let sorted: Vec<f64> = (0..=100).map(f64::from).collect();
        for part in [0.0, 0.5, 0.99, 1.0] {
            assert_eq!(quantile(&sorted, part), Some(part * 100.0));
        }
    }
}
