//! Samples: one line of `/stats/prometheus`, or one element of a query's result.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail, Context, Result};

/// A metric's value and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl Sample {
    /// A label's value; empty if the label is absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether it has all these labels with these values.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == *value)
    }
}

/// The values of a counter, by the values of `labels` joined by spaces.
pub fn counts<'a>(samples: impl IntoIterator<Item = &'a Sample>, labels: &[&str]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        let values: Vec<&str> = labels.iter().map(|label| sample.label(label)).collect();
        *counts.entry(values.join(" ")).or_default() += sample.value as u64;
    }
    counts
}

/// Parses the text format without comments.
pub fn parse(text: &str) -> Result<Vec<Sample>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse_line(line).with_context(|| format!("not a sample: {line}")))
        .collect()
}

fn parse_line(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).ok_or_else(|| anyhow!("no value"))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().ok_or_else(|| anyhow!("no value"))?;
    let value = value.parse().with_context(|| format!("`{value}` is no number"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads up to and including the closing brace. Returns the rest.
fn parse_labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").ok_or_else(|| anyhow!("a label without a value"))?;
        let (value, after) = parse_value(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            bail!("label {name} is there twice");
        }
        rest = after;
    }
}

/// Reads up to and including the closing quote.
fn parse_value(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(index + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => bail!("an escape without end"),
            },
            other => value.push(other),
        }
    }
    bail!("a label value without end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unescaped_and_values_read() {
        let text = "# TYPE a counter\na{x=\"1,}\\\"\\\\\\n\",y=\"\"} 7\nb 0.5 1234\n\nc_bucket{le=\"+Inf\"} 3\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[0].label("x"), "1,}\"\\\n");
        assert!(samples[0].has(&[("y", "")]));
        assert_eq!((samples[0].value, samples[1].value), (7.0, 0.5));
        assert_eq!(samples[2].label("le"), "+Inf");
    }

    #[test]
    fn broken_lines_are_errors_that_quote_the_line() {
        for line in ["a", "a{x=\"1\" 3", "a{x=1} 3", "a x", "a{x=\"1\",x=\"2\"} 3"] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(line), "{error}");
        }
    }
}
