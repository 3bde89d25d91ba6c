//! What is left of label sets beyond the limit: what alerts need, as long as there is room for it.

use labels::{End, Label, Labels};

use crate::label_set::LabelSet;
use crate::symbols::{Symbol, Symbols};

/// How much a folded label set keeps beside reporter, protocol, the class of the response code, the gRPC status and the labels of
/// this proxy's own workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The service, the flags and the security policy.
    Service,
    /// The flags and the security policy.
    Flags,
    /// Whether there are flags; and the gRPC status only of answers that HTTP calls successful. These are so few label sets
    /// (64 per reporter) that there is always room for them.
    Least,
}

/// The values of folded label sets.
#[derive(Debug)]
pub struct Folding {
    source: Symbol,
    destination: Symbol,
    no_flags: Symbol,
    /// The first code of each class.
    codes: [Symbol; 5],
}

impl Folding {
    /// Call it while the plugin is configured.
    pub fn new(symbols: &mut Symbols) -> Self {
        let [source, destination, no_flags] = ["source", "destination", "-"].map(|text| symbols.of(text));
        Self { source, destination, no_flags, codes: ["100", "200", "300", "400", "500"].map(|code| symbols.of(code)) }
    }

    /// What is left of `set`. `codes` are the places of further response codes among the results of its expressions.
    #[inline(never)]
    pub fn fold(&self, symbols: &Symbols, set: &LabelSet, codes: &[usize], kept: Kept) -> LabelSet {
        let of = |label| set.standard.get(label);
        let [_, success, ..] = self.codes;
        let code = self.class(symbols, of(Label::ResponseCode));
        let has_failed = !matches!(code, Symbol::EMPTY) && code != success;
        let is_kept = |label| match label {
            Label::Reporter | Label::RequestProtocol => true,
            Label::DestinationService | Label::DestinationServiceName | Label::DestinationServiceNamespace => {
                kept == Kept::Service
            }
            Label::ResponseFlags => kept != Kept::Least || of(label) == self.no_flags,
            Label::ConnectionSecurityPolicy => kept != Kept::Least,
            Label::GrpcResponseStatus => {
                !(has_failed && kept == Kept::Least) && is_grpc_status(symbols.text(of(label)))
            }
            label => match label.workload_end() {
                // Where the proxy is one end, that end is the same for all.
                Some(End::Source) => of(Label::Reporter) == self.source,
                Some(End::Destination) => of(Label::Reporter) == self.destination,
                None => false,
            },
        };
        let standard = Labels::each(|label| match of(label) {
            Symbol::EMPTY => Symbol::EMPTY,
            _ if label == Label::ResponseCode => code,
            value if is_kept(label) => value,
            _ => Symbol::OVERFLOW,
        });
        let more = set.more.iter().enumerate().map(|(place, value)| match codes.contains(&place) {
            true => self.class(symbols, *value),
            false => Symbol::OVERFLOW,
        });
        LabelSet { family: set.family, standard, more: more.collect(), owner: set.owner }
    }

    /// The class of a response code, as the class's first code: so what looks for `5..` finds it, or for digits.
    #[inline(never)]
    fn class(&self, symbols: &Symbols, code: Symbol) -> Symbol {
        let [informational, success, redirection, client, server] = self.codes;
        match symbols.text(code).as_bytes() {
            // There was no response; or no label.
            b"" | b"0" => code,
            [b'1', _, _] => informational,
            [b'2', _, _] => success,
            [b'3', _, _] => redirection,
            [b'4', _, _] => client,
            [b'5', _, _] => server,
            _ => Symbol::OVERFLOW,
        }
    }
}

/// Whether it is one of gRPC's own: servers choose it.
fn is_grpc_status(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'1', b'0'..=b'6'])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use series::metric_name::Separators;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::measurement::Family;
    use crate::room::Owner;

    /// The labels of a set of which `change` are given and all others are their own names; those of the folded set.
    fn folded(change: &[(Label, &str)], kept: Kept) -> Vec<(Label, String)> {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        let folding = Folding::new(&mut symbols);
        let standard = Labels::each(|label| {
            let changed = change.iter().find(|(changed, _)| *changed == label);
            match changed.map_or(label.name(), |(_, text)| *text) {
                "" => Symbol::EMPTY,
                text => symbols.of(text),
            }
        });
        let set = LabelSet { family: Family::Request, standard, more: Vec::new(), owner: Owner::default() };
        let fold = folding.fold(&symbols, &set, &[], kept);
        let differs = |label: &Label| symbols.text(fold.standard.get(*label)) != "overflow";
        let text = |label: Label| (label, symbols.text(fold.standard.get(label)).to_owned());
        Label::ALL.into_iter().filter(differs).map(text).collect()
    }

    fn label(change: &[(Label, &str)], kept: Kept, label: Label) -> String {
        let kept = folded(change, kept).into_iter().find(|(other, _)| *other == label);
        kept.map_or("overflow".into(), |(_, text)| text)
    }

    #[test]
    fn what_alerts_need_is_kept_as_long_as_there_is_room() {
        use Label::*;
        let change = [(Reporter, "gateway"), (ResponseCode, "503"), (GrpcResponseStatus, "14"), (ResponseFlags, "UH")];
        let names = |kept| folded(&change, kept).into_iter().map(|(label, _)| label).collect::<Vec<_>>();
        assert_eq!(
            names(Kept::Service),
            [
                Reporter,
                DestinationService,
                DestinationServiceName,
                DestinationServiceNamespace,
                RequestProtocol,
                ResponseFlags,
                ConnectionSecurityPolicy,
                ResponseCode,
                GrpcResponseStatus
            ]
        );
        let flags =
            [Reporter, RequestProtocol, ResponseFlags, ConnectionSecurityPolicy, ResponseCode, GrpcResponseStatus];
        assert_eq!(names(Kept::Flags), flags);
        assert_eq!(names(Kept::Least), [Reporter, RequestProtocol, ResponseCode]);
    }

    #[test]
    fn the_labels_of_the_proxy_s_own_workload_are_kept() {
        for (reporter, own) in [("source", "source_"), ("destination", "destination_")] {
            let kept = folded(&[(Label::Reporter, reporter)], Kept::Least);
            let names = kept.iter().map(|(label, _)| label.name()).filter(|name| name.starts_with(own));
            let expected = [
                "workload",
                "workload_namespace",
                "app",
                "version",
                "canonical_service",
                "canonical_revision",
                "cluster",
            ];
            assert_eq!(names.collect::<Vec<_>>(), expected.map(|name| [own, name].concat()), "{reporter}");
        }
    }

    #[test]
    fn a_code_is_its_class() {
        for (code, expected) in [
            ("0", "0"),
            ("101", "100"),
            ("204", "200"),
            ("302", "300"),
            ("499", "400"),
            ("503", "500"),
            ("600", "overflow"),
            ("5", "overflow"),
            ("", ""),
        ] {
            assert_eq!(label(&[(Label::ResponseCode, code)], Kept::Least, Label::ResponseCode), expected, "{code}");
        }
    }

    #[test]
    fn a_grpc_status_is_kept_if_it_is_one() {
        for (status, code, expected) in [
            ("0", "200", ["0", "0"]),
            ("14", "200", ["14", "14"]),
            ("14", "503", ["14", "overflow"]),
            ("14", "", ["14", "14"]),
            ("17", "200", ["overflow", "overflow"]),
            ("", "200", ["", ""]),
        ] {
            let change = [(Label::GrpcResponseStatus, status), (Label::ResponseCode, code)];
            let kept = [Kept::Flags, Kept::Least].map(|kept| label(&change, kept, Label::GrpcResponseStatus));
            assert_eq!(kept, expected, "{status} {code}");
        }
    }

    #[test]
    fn that_there_are_flags_is_always_told() {
        for (flags, expected) in [("-", "-"), ("UH", "overflow"), ("UF,URX", "overflow")] {
            let flags = [(Label::ResponseFlags, flags)];
            assert_eq!(label(&flags, Kept::Flags, Label::ResponseFlags), flags[0].1);
            assert_eq!(label(&flags, Kept::Least, Label::ResponseFlags), expected);
        }
    }

    #[test]
    fn the_least_are_few() {
        let mut all = HashSet::new();
        for (protocol, statuses) in [("http", 1), ("grpc", 30)] {
            for code in (0..700).step_by(50) {
                for status in 0..statuses {
                    for flags in ["-", "UH", "UF,URX"] {
                        let (code, status) = (code.to_string(), status.to_string());
                        let status = if protocol == "grpc" { status.as_str() } else { "" };
                        let change = [
                            (Label::RequestProtocol, protocol),
                            (Label::ResponseCode, &code),
                            (Label::GrpcResponseStatus, status),
                            (Label::ResponseFlags, flags),
                        ];
                        all.insert(folded(&change, Kept::Least).into_iter().map(|(_, text)| text).collect::<Vec<_>>());
                    }
                }
            }
        }
        // One more is that of TCP, with flags or without.
        assert_eq!(all.len() + 2, 64);
    }
}
