//! The counters of the proxies in a mesh.

use local_mesh::{Mesh, Sample};

use crate::wait::WAIT;

/// Waits until a metric with these labels has the expected sum.
pub fn expect_total(mesh: &Mesh, reporter: &str, metric: &str, labels: &[(&str, &str)], expected: f64) {
    let total = |samples: &[Sample]| -> f64 {
        samples.iter().filter(|s| s.name == metric && s.has(labels)).map(|s| s.value).sum()
    };
    let reporter = mesh.sidecar(reporter).unwrap();
    let seen = reporter.wait_for_stats(metric, WAIT, |samples| (total(samples) == expected).then_some(()));
    if let Err(error) = seen {
        panic!("{metric} is not {expected} with {labels:?}: {error:#}");
    }
}
