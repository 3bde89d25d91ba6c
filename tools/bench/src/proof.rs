//! That a variant does what it is there for, shown before it is measured: a number without that would say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use labels;
use local_mesh::exposition::Sample;

use crate::load::Load;
use crate::native::STATS_PREFIX;
use crate::proxy::Proxy;
use crate::response;
use crate::scene::Scene;
use crate::variants::{Proof, Variant};

/// Requests sent on each connection.
const REQUESTS: u64 = 25;

/// Counters appear at once, histograms with Envoy's next flush.
const FLUSH: Duration = Duration::from_secs(12);

const COUNTER: &str = "istio_requests_total";
const HISTOGRAMS: [&str; 3] = ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"];

/// A series of the counter by its labels.
pub type Series = BTreeMap<String, String>;

/// Sends some requests and looks at what came of them. Gives the series that they were counted in, if any.
pub fn prove(variant: &Variant, load: &mut Load<'_>, proxy: &Proxy) -> Result<Option<Series>> {
    let before = counts(proxy, variant.proof)?;
    let lines_before = lines(proxy)?;
    let head = load.head()?;
    let sent = 1 + load.run_each(REQUESTS)?;
    match variant.proof {
        Proof::Answers => return Ok(None),
        Proof::Log => {
            let lines = lines(proxy)? - lines_before;
            ensure!(lines >= sent, "{sent} requests gave {lines} lines in access logs");
            return Ok(None);
        }
        Proof::NoHeader(name) => {
            ensure!(response::header(&head, name).is_none(), "the answer still has the header {name}:\n{head}");
            return Ok(None);
        }
        Proof::Header(name) => {
            expect_header(&head, name)?;
            return Ok(None);
        }
        Proof::HeaderAndMetrics(name) => expect_header(&head, name)?,
        Proof::Metrics | Proof::NativeMetrics => {}
    }
    let after = counts(proxy, variant.proof)?;
    let grown: Vec<(&Series, f64)> = after
        .iter()
        .map(|(series, count)| (series, count - before.get(series).copied().unwrap_or(0.0)))
        .filter(|(_, growth)| *growth > 0.0)
        .collect();
    let [(series, growth)] = grown.as_slice() else {
        bail!("{sent} requests were counted in {} series of {COUNTER}, not in one", grown.len());
    };
    ensure!(*growth == sent as f64, "{sent} requests were counted as {growth} by {COUNTER}");
    check_labels(variant.scene, series)?;
    Ok(Some((*series).clone()))
}

/// That a series of the counter has its three histograms, with as many requests.
pub fn prove_histograms(proxy: &Proxy, proof: Proof, series: &Series) -> Result<()> {
    let requests = counts(proxy, proof)?.get(series).copied().unwrap_or(0.0);
    let prefix = prefix(proof);
    let complete = |samples: &[Sample]| {
        let all = HISTOGRAMS.iter().all(|name| {
            let wanted = format!("{prefix}{name}_count");
            let found = samples.iter().filter(|sample| sample.name == wanted && labels_of(sample) == *series);
            found.map(|sample| sample.value).sum::<f64>() == requests
        });
        all.then_some(())
    };
    proxy
        .sidecar
        .wait_for_stats(&format!("{prefix}istio_request"), FLUSH, complete)
        .with_context(|| format!("the three histograms do not have {requests} requests"))
}

/// That nothing was counted twice or not at all: each series has as many requests as were sent to the variants that count in
/// it.
pub fn prove_counts(proxy: &Proxy, sent: &[(Proof, Series, u64)]) -> Result<()> {
    for (proof, series, _) in sent {
        let same = |(other, labels, _): &&(Proof, Series, u64)| prefix(*other) == prefix(*proof) && labels == series;
        let expected: u64 = sent.iter().filter(same).map(|(_, _, requests)| requests).sum();
        let counted = counts(proxy, *proof)?.get(series).copied().unwrap_or(0.0);
        ensure!(counted == expected as f64, "{expected} requests were sent, and {counted} counted as {series:?}");
    }
    Ok(())
}

/// Lines in access logs, by Envoy's own counter.
fn lines(proxy: &Proxy) -> Result<u64> {
    proxy.sidecar.counter("filesystem.write_buffered")
}

/// How often each series was counted.
fn counts(proxy: &Proxy, proof: Proof) -> Result<BTreeMap<Series, f64>> {
    let name = format!("{}{COUNTER}", prefix(proof));
    let mut counts = BTreeMap::new();
    // The module and Envoy may both count in a series of the same labels, for variants of one proxy.
    for sample in proxy.sidecar.metric(&name)? {
        *counts.entry(labels_of(&sample)).or_default() += sample.value;
    }
    Ok(counts)
}

/// How a metric's name begins on the page for Prometheus.
fn prefix(proof: Proof) -> String {
    match proof {
        Proof::NativeMetrics => format!("envoy_{STATS_PREFIX}_"),
        _ => String::new(),
    }
}

/// The labels that Istio's metrics have; Envoy adds some of its own to native ones.
fn labels_of(sample: &Sample) -> Series {
    let known = labels::names();
    sample
        .labels
        .iter()
        .filter(|(name, _)| known.contains(&name.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Every label is there, and none is unknown that can be known.
fn check_labels(scene: Scene, series: &Series) -> Result<()> {
    let mut problems = Vec::new();
    for name in labels::names() {
        match series.get(name).map(String::as_str) {
            None => problems.push(format!("label {name} is missing")),
            // No label of plain HTTP, and a flag that no request of ours has.
            Some("" | "-") if ["grpc_response_status", "response_flags"].contains(&name) => {}
            Some(value @ ("" | "-" | "unknown")) if !scene.unknown_labels().contains(&name) => {
                problems.push(format!("label {name} is `{value}`"));
            }
            Some(_) => {}
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

fn expect_header(head: &str, name: &str) -> Result<()> {
    ensure!(response::header(head, name).is_some(), "the answer has no header {name}:\n{head}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(change: &[(&str, &str)]) -> Series {
        let mut series: Series = labels::names().map(|name| (name.to_owned(), "x".to_owned())).into();
        series.extend(change.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        series
    }

    #[test]
    fn what_cannot_be_known_in_a_scene_may_be_unknown() {
        let direct =
            series(&[("source_principal", "unknown"), ("destination_service", "unknown"), ("response_flags", "-")]);
        check_labels(Scene::Direct, &direct).unwrap();
        let error = check_labels(Scene::Hop, &direct).unwrap_err().to_string();
        assert_eq!(error, "label source_principal is `unknown`; label destination_service is `unknown`");
    }

    #[test]
    fn a_label_that_is_missing_or_empty_is_a_problem() {
        let mut broken = series(&[("source_app", "")]);
        broken.remove("reporter");
        let error = check_labels(Scene::Direct, &broken).unwrap_err().to_string();
        assert_eq!(error, "label reporter is missing; label source_app is ``");
    }

    #[test]
    fn labels_of_envoy_s_own_are_left_out() {
        let sample = Sample {
            name: String::new(),
            labels: [("reporter", "source"), ("envoy_x", "y")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            value: 1.0,
        };
        assert_eq!(labels_of(&sample), [("reporter".to_owned(), "source".to_owned())].into());
    }
}
