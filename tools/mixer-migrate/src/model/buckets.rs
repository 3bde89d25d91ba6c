//! The buckets of distributions.

use crate::{
    diagnostic::{Code, Diagnostics},
    fields::At,
};

/// Prometheus' default, which Mixer used if no buckets were configured.
pub(super) const DEFAULT: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Most buckets: more would make every series too expensive.
const MAX: i64 = 200;

/// The upper bounds without `+Inf`; `None` if they are not valid for a histogram.
pub(super) fn read(at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<f64>> {
    let fields = at.fields(&["explicit_buckets", "linear_buckets", "exponential_buckets"], diagnostics);
    let bounds: Vec<f64> = if let Some(at) = fields.get("explicit_buckets") {
        let fields = at.fields(&["bounds"], diagnostics);
        let items = fields.items("bounds", diagnostics);
        items.iter().map(|at| at.number(diagnostics)).collect::<Option<_>>()?
    } else if let Some(at) = fields.get("linear_buckets") {
        let fields = at.fields(&["num_finite_buckets", "width", "offset"], diagnostics);
        let count = count(&fields, at, diagnostics)?;
        let width = fields.get("width").map_or(Some(0.0), |at| at.number(diagnostics))?;
        let offset = fields.get("offset").map_or(Some(0.0), |at| at.number(diagnostics))?;
        (0..=count).map(|index| offset + f64::from(index) * width).collect()
    } else if let Some(at) = fields.get("exponential_buckets") {
        let fields = at.fields(&["num_finite_buckets", "growth_factor", "scale"], diagnostics);
        let count = count(&fields, at, diagnostics)?;
        let factor = fields.get("growth_factor").map_or(Some(0.0), |at| at.number(diagnostics))?;
        let scale = fields.get("scale").map_or(Some(0.0), |at| at.number(diagnostics))?;
        (0..=count).map(|index| scale * factor.powi(index)).collect()
    } else {
        return Some(DEFAULT.to_vec());
    };
    if bounds.is_empty() {
        diagnostics.add(Code::BadBuckets, &at.place(), "there are no bounds");
        return None;
    }
    for pair in bounds.windows(2) {
        if let [first, second] = pair {
            // In this form, it also rejects NaN.
            if !(first < second && second.is_finite()) {
                diagnostics.add(
                    Code::BadBuckets,
                    &at.place(),
                    format!("bounds must increase ({second} after {first})"),
                );
                return None;
            }
        }
    }
    Some(bounds)
}

fn count(fields: &crate::fields::Fields<'_>, at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<i32> {
    let count = fields.get("num_finite_buckets").map_or(Some(0), |at| at.integer(diagnostics))?;
    if !(1..=MAX).contains(&count) {
        diagnostics.add(
            Code::BadBuckets,
            &at.place(),
            format!("num_finite_buckets is {count}; 1 to {MAX} are possible"),
        );
        return None;
    }
    i32::try_from(count).ok()
}
