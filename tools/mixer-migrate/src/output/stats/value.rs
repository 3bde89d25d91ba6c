//! Values and labels in the module's configuration.

use crate::{
    cexl::{Type, Value},
    diagnostic::{Code, Diagnostics},
    model::{Compiled, MetricKind},
    scene::Protocol,
    spec::MetricSpec,
    translate::{literal, Alternative, Made},
};

use super::standard;

/// Bounds of Envoy's own histogram. They must be above 0: with any other bound, a proxy would not start.
pub(super) fn native(
    bounds: &[f64],
    factor: f64,
    spec: &MetricSpec,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<f64>> {
    let scaled = bounds.iter().map(|bound| bound * factor);
    let taken: Vec<f64> = scaled.filter(|bound| *bound > 0.0 && bound.is_finite()).collect();
    if taken.is_empty() {
        let message = format!("{} has no bucket above 0, and Envoy no others", spec.name);
        diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
        return None;
    }
    if taken.len() < bounds.len() {
        let message = format!(
            "Envoy has no buckets up to 0: those of {} are left out, and what they held is in the first one that is left",
            spec.name
        );
        diagnostics.add(Code::Buckets, &spec.origin.place, message);
    }
    Some(taken)
}

/// The expression of the recorded value.
pub(super) fn number(
    made: &Made,
    spec: &MetricSpec,
    protocol: Protocol,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let fraction = |what: String, diagnostics: &mut Diagnostics| {
        let kind = match spec.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Distribution => "histogram",
        };
        let message = format!(
            "{kind} value {what} is fractional; Envoy's are integers. A DISTRIBUTION of a duration is possible"
        );
        diagnostics.add(Code::Fraction, &spec.value.place, message);
        None
    };
    if let (Some(constant), true) = (&made.otherwise, made.alternatives.is_empty()) {
        let number = match constant {
            Value::Int64(number) if *number >= 0 => return Some(number.to_string()),
            Value::Int64(number) => *number as f64,
            Value::Double(number) => *number,
            Value::String(text) => text.parse().unwrap_or(f64::NAN),
            Value::Duration(_) if spec.kind == MetricKind::Distribution => return Some(String::new()),
            Value::Duration(nanoseconds) => *nanoseconds as f64 / 1e9,
            _ => f64::NAN,
        };
        if number >= 0.0 && number.fract() == 0.0 && number < 1e15 {
            return Some(format!("{number:.0}"));
        }
        let (value, place) = (&spec.value.text, &spec.value.place);
        if !number.is_nan() && !(0.0..1e15).contains(&number) {
            let message = format!("{value} is out of range: Envoy's values are whole numbers from 0");
            diagnostics.add(Code::Fraction, place, message);
            return None;
        }
        return fraction(constant.to_string(), diagnostics);
    }
    let text = &spec.value.text;
    match made.ty {
        Type::Duration if spec.kind != MetricKind::Distribution => fraction(format!("{text} in seconds"), diagnostics),
        Type::Double => fraction(text.clone(), diagnostics),
        // An attribute that always exists when a request ends needs no fallback.
        Type::Duration => match made.alternatives.as_slice() {
            [Alternative::Cel(text)] => Some(text.clone()),
            _ => Some(String::new()),
        },
        _ => match (protocol, made.alternatives.as_slice(), &made.whole) {
            (Protocol::Tcp, [Alternative::Known(name @ ("sentBytes" | "receivedBytes"))], _) => {
                Some((*name).to_owned())
            }
            (Protocol::Http, _, Some(whole)) => Some(whole.clone()),
            _ => {
                let message = format!(
                    "the stats module counts reports of connections, and connection.sent.bytes or connection.received.bytes by \
                     themselves; {text} can be logged"
                );
                diagnostics.add(Code::NotExpressible, &spec.value.place, message);
                None
            }
        },
    }
}

/// The expression of a label. The module itself writes `unknown` if there is no value.
pub(super) fn text(made: &Made, compiled: &Compiled, diagnostics: &mut Diagnostics) -> Option<String> {
    if matches!(made.ty, Type::Duration | Type::Timestamp) && !made.alternatives.is_empty() {
        let message = "as a label, it is written as Envoy writes durations and times, not as Go does";
        diagnostics.add(Code::Approximate, &compiled.place, message);
    }
    let mut texts = Vec::new();
    for alternative in &made.alternatives {
        match alternative {
            Alternative::Known(name) if !standard::is_label(name) => {
                let message = format!(
                    "{} has no label of it in the stats module, where addresses, times, bytes and events would make series \
                     without end; log it, or make a rule with a metric of its own for each event",
                    compiled.text
                );
                diagnostics.add(Code::NotExpressible, &compiled.place, message);
                return None;
            }
            Alternative::Known(name) => texts.push((*name).to_owned()),
            Alternative::Cel(text) => texts.push(text.clone()),
        }
    }
    let end = made.otherwise.as_ref().map(ToString::to_string);
    match end {
        Some(end) if end != "unknown" || texts.is_empty() => texts.push(literal(&Value::String(end))),
        _ => {}
    }
    Some(texts.join(" | "))
}
