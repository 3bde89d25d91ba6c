//! Diagnostics of resources: the place, the problem, and what to do.

use std::{fmt, rc::Rc};

use envoy_filter::yaml::Position;

/// Severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not migrated.
    Error,
    /// Something is migrated with a difference.
    Warning,
    /// Information.
    Note,
}

macro_rules! codes {
    ($($name:ident, $text:literal, $meaning:literal;)*) => {
        /// The codes of diagnostics. The first letter is the severity.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All codes, with their names and descriptions.
            pub const ALL: &[(Self, &'static str, &'static str)] = &[$((Self::$name, $text, $meaning),)*];
        }
    };
}

codes! {
    Yaml, "E-YAML", "the file is not YAML, or not of objects";
    Kind, "E-KIND", "a kind, adapter or template that has no place in telemetry";
    OutOfProcess, "E-OOP", "an adapter or template out of Mixer's process";
    UnknownField, "E-UNKNOWN-FIELD", "a field that Mixer did not know";
    Field, "E-FIELD", "a field without the value that it needs";
    Dangling, "E-DANGLING", "a rule names an object that is not in the input";
    InstanceName, "E-INSTANCE-NAME", "the Prometheus handler and the rule do not agree on the instance's name";
    Template, "E-TEMPLATE", "an adapter gets instances of a template that it does not take";
    Parse, "E-PARSE", "an expression that cannot be parsed";
    Type, "E-TYPE", "an expression whose types do not fit";
    UnknownAttribute, "E-UNKNOWN-ATTR", "an attribute that no manifest declares";
    UnknownFunction, "E-UNKNOWN-FUNC", "a function or an operator that CEXL does not have";
    OrOperand, "E-OR-OPERAND", "an operand of | that Mixer computed wrongly";
    Language, "E-LANG", "an object in another expression language";
    MatchType, "E-MATCH-TYPE", "a rule's match that is not a boolean";
    ValueType, "E-VALUE-TYPE", "a metric's value that is not a number";
    Fraction, "E-FRACTION", "a counter or gauge of fractions, which Envoy does not have";
    MetricKind, "E-METRIC-KIND", "a metric without kind";
    BadBuckets, "E-BUCKETS", "buckets that make no histogram";
    LabelMismatch, "E-LABEL-MISMATCH", "label_names and dimensions that differ";
    HeaderOperations, "E-HEADER-OPS", "a rule that changes headers";
    Duplicate, "E-DUPLICATE", "two objects of the same name";
    NotExpressible, "E-FILTER", "something that the filters cannot compute";
    Double, "W-DOUBLE", "an instance that reaches the same handler by several rules";
    Unfed, "W-UNFED", "a metric or a handler that no rule feeds";
    BareLiteral, "W-BARE-LITERAL", "a number or boolean where an expression is expected";
    Matches, "W-MATCHES", "matches() with text and pattern the wrong way round";
    HeaderCase, "W-HEADER-CASE", "a header's name with capitals, which never matched";
    Sampling, "W-SAMPLING", "sampling, which Mixer never did";
    Expiry, "W-EXPIRY", "series that Mixer removed after a while and Envoy keeps";
    Buckets, "W-BUCKETS", "buckets that go into the bootstrap";
    Renamed, "W-RENAMED", "a metric under another name";
    Gauge, "W-GAUGE", "a gauge, which is now one per proxy";
    FileSink, "W-FILE-SINK", "a log that Mixer wrote to its own disk";
    Fluentd, "W-FLUENTD", "a log that Mixer sent to Fluentd";
    RawClaims, "W-RAW-CLAIMS", "claims whose text differs from the token's";
    NotObtainable, "W-NOT-OBTAINABLE", "an attribute that the filters cannot know";
    NeverSet, "W-NEVER-SET", "an attribute that was never set";
    SourceService, "W-SOURCE-SERVICE", "source.service, which nobody set since 1.0";
    Cardinality, "W-CARDINALITY", "a label with values without end";
    Differs, "W-DIFFERS", "a value or a line that is not always Mixer's";
    Nothing, "W-NOTHING", "an input without any of Mixer's objects";
    TcpDropped, "W-TCP-DROPPED", "a metric that also counted TCP reports";
    LegacyKind, "N-LEGACY-KIND", "a kind that Mixer ignored from 1.2 on unless told otherwise";
    Alias, "N-ALIAS", "an attribute under its older name";
    Approximate, "N-APPROX", "a value that is nearly what it was";
    Scheme, "N-SCHEME", "request.scheme, which is https under mutual TLS now";
    IpText, "N-IP-10", "an address that Mixer 1.0 printed as base64";
    OutputLevel, "N-OUTPUT-LEVEL", "output_level, which had no effect";
    KubernetesAssumed, "N-K8S-ASSUMED", "no kubernetesenv in the input: the default one is assumed";
    DefaultOverwrite, "N-DEFAULT-OVERWRITE", "a handler that replaced Istio's own";
    NeverSetNote, "N-NEVER-SET", "an attribute that proxies never sent, but exists now";
    TcpPeer, "N-TCP-PEER", "a TCP peer, who is known by metadata exchange only";
    MoreLabels, "N-MX-LABELS", "labels that metadata exchange has to be told to send";
    PrometheusJob, "N-PROMETHEUS", "a Prometheus configuration that scrapes Mixer";
}

impl Code {
    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(code, ..)| *code == self).map_or("", |(_, name, _)| name)
    }

    /// Its severity.
    pub fn severity(self) -> Severity {
        match self.name().as_bytes().first() {
            Some(b'E') => Severity::Error,
            Some(b'W') => Severity::Warning,
            _ => Severity::Note,
        }
    }
}

/// An object's kind, namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// `kind`
    pub kind: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

impl ObjectName {
    /// `name.kind.namespace`, Mixer's name for the object.
    pub fn qualified(&self) -> String {
        format!("{}.{}.{}", self.name, self.kind, self.namespace)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The place of a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; `-` for standard input.
    pub file: Rc<str>,
    /// Position in the file.
    pub position: Position,
    /// The object, if it could be read.
    pub object: Option<Rc<ObjectName>>,
    /// Path of the field in the object; empty for the whole object.
    pub field: String,
}

impl Place {
    /// A field below this one; the position is unchanged.
    pub fn field(&self, name: &str) -> Self {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        Self { field, ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if self.position.line > 0 {
            write!(out, ":{}:{}", self.position.line, self.position.column)?;
        }
        if let Some(object) = &self.object {
            write!(out, " {object}")?;
        }
        if !self.field.is_empty() {
            write!(out, " {}", self.field)?;
        }
        Ok(())
    }
}

/// A diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code.
    pub code: Code,
    /// Its place.
    pub place: Place,
    /// The problem, and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.place, self.code.name(), self.message)
    }
}

/// All diagnostics, without duplicates.
#[derive(Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a diagnostic, unless there is the same already.
    pub fn add(&mut self, code: Code, place: &Place, message: impl Into<String>) {
        let diagnostic = Diagnostic { code, place: place.clone(), message: message.into() };
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    /// Whether there is an error or a warning for this place.
    pub fn has_told(&self, place: &Place) -> bool {
        self.0.iter().any(|told| told.code.severity() != Severity::Note && told.place == *place)
    }

    /// All diagnostics, in the order of the input.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.0.iter().collect();
        all.sort_by_key(|diagnostic| (Rc::clone(&diagnostic.place.file), diagnostic.place.position));
        all
    }

    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Number of diagnostics with this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|diagnostic| diagnostic.code.severity() == severity).count()
    }
}
