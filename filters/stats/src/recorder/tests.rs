use host::fake::FakeHost;
use host::property::Property;
use labels::{Label, Labels};
use series::metric_name::Separators;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// A recorder and its host.
struct Fixture {
    host: FakeHost,
    symbols: Symbols,
    recorder: Recorder,
}

/// A request of 7 ms.
fn request() -> Measured {
    let mut measured = without_duration();
    measured.set(Measurement::Duration, Some(7_900_000));
    measured
}

fn without_duration() -> Measured {
    Measured::from([
        (Measurement::Requests, Some(1)),
        (Measurement::RequestBytes, Some(100)),
        (Measurement::ResponseBytes, Some(1000)),
    ])
}

fn one(measurement: Measurement) -> Measured {
    Measured::from([(measurement, Some(1))])
}

fn labels<const N: usize>(of: [(Label, Symbol); N]) -> StreamLabels {
    let mut standard = Labels::all(Symbol::default());
    for (label, symbol) in of {
        standard.set(label, symbol);
    }
    StreamLabels { standard, owner: Owner::default() }
}

fn fixture(config: &str) -> Fixture {
    fixture_on(FakeHost::new(), config)
}

fn fixture_on(host: FakeHost, config: &str) -> Fixture {
    let mut symbols = Symbols::new(Separators::default(), 1000);
    let config = StatsConfig::parse(config.as_bytes()).expect("valid");
    let mut problems = Vec::new();
    let recorder = Recorder::new(&config, &host, &mut symbols, &mut problems);
    assert_eq!(problems, []);
    Fixture { host, symbols, recorder }
}

fn refusal(host: &FakeHost, config: &str) -> String {
    crate::stats::Stats::new(config.as_bytes(), host).err().expect("refused").to_string()
}

impl Fixture {
    /// Records `measured` for `family` with this source app.
    fn record(&mut self, family: Family, source_app: &str, measured: &Measured) {
        self.record_labels(family, &[(Label::SourceApp, source_app)], measured);
    }

    /// Records `measured` for `family` at the destination with these labels, on account of the service among them.
    fn record_labels(&mut self, family: Family, of: &[(Label, &str)], measured: &Measured) {
        let mut labels = labels([(Label::Reporter, self.symbols.of("destination"))]);
        if let Some((_, service)) = of.iter().find(|(label, _)| *label == Label::DestinationService) {
            labels.owner.service = self.symbols.of_ours(service);
        }
        self.symbols.open(self.recorder.has_room(labels.owner));
        for (label, text) in of {
            let symbol = if *label == Label::SourceApp { self.symbols.of(text) } else { self.symbols.of_ours(text) };
            labels.standard.set(*label, symbol);
        }
        let set = self.recorder.label_set(&self.host, &mut self.symbols, family, &labels);
        self.recorder.record(&self.host, &self.symbols, &set, measured);
    }

    /// The requests by the values of these labels, joined by spaces.
    fn requests_by(&self, labels: &[Label]) -> Vec<(String, u64)> {
        let value = |name: &str, label: &Label| {
            let mut fields = name.split(";.;").filter_map(|field| field.split_once("=.="));
            fields.find(|(field, _)| *field == label.name()).map_or(String::new(), |(_, value)| value.to_owned())
        };
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        for (name, count) in self.host.values().into_iter().filter(|(name, _)| name.ends_with("istio_requests_total")) {
            let values: Vec<String> = labels.iter().map(|label| value(&name, label)).collect();
            let counted = counts.entry(values.join(" ")).or_default();
            *counted = counted.saturating_add(count);
        }
        counts.into_iter().collect()
    }

    fn names(&self) -> Vec<String> {
        self.host.values().into_keys().chain(self.host.histograms().into_keys()).collect()
    }

    /// The values of all series of this metric.
    fn values_of(&self, metric: &str) -> Vec<u64> {
        self.host.values().into_iter().filter(|(name, _)| name.ends_with(metric)).map(|(_, value)| value).collect()
    }

    /// The labels of the only series of this metric.
    fn labels_of(&self, metric: &str) -> Vec<(String, String)> {
        let names: Vec<String> = self.names().into_iter().filter(|name| name.ends_with(metric)).collect();
        assert_eq!(names.len(), 1, "{metric} in {names:?}");
        let fields: Vec<&str> = names.iter().flat_map(|name| name.split(";.;")).filter(|f| f.contains("=.=")).collect();
        let pair = |field: &&str| field.split_once("=.=").map(|(label, value)| (label.to_string(), value.to_string()));
        fields.iter().filter_map(pair).collect()
    }

    fn label(&self, metric: &str, label: &str) -> Option<String> {
        self.labels_of(metric).into_iter().find(|(name, _)| name == label).map(|(_, value)| value)
    }
}

#[test]
fn a_label_set_is_defined_once_and_recorded_each_time() {
    let mut fixture = fixture("");
    for _ in 0..3 {
        for app in ["a", "b"] {
            fixture.record(Family::Request, app, &request());
        }
    }
    assert_eq!(fixture.host.defined(), 8);
    assert_eq!(fixture.host.values().into_values().collect::<Vec<_>>(), [3, 3]);
    for (metric, expected) in
        [("istio_request_duration_milliseconds", 21), ("istio_request_bytes", 300), ("istio_response_bytes", 3000)]
    {
        let histograms = fixture.host.histograms().into_iter();
        let samples: Vec<(u64, u64)> =
            histograms.filter(|(name, _)| name.ends_with(metric)).map(|(_, value)| value).collect();
        assert_eq!(samples, [(3, expected), (3, expected)], "{metric}");
    }
}

#[test]
fn what_was_not_measured_is_neither_recorded_nor_defined() {
    let mut fixture = fixture("");
    fixture.record(Family::Request, "a", &one(Measurement::Requests));
    assert_eq!(fixture.host.values().into_values().collect::<Vec<_>>(), [1]);
    assert_eq!(fixture.host.defined(), 1);
}

#[test]
fn label_sets_beyond_the_cap_are_counted_together_and_none_is_lost() {
    let mut fixture = fixture(r#"{"max_series": 100}"#);
    for index in 0..1000 {
        fixture.record(Family::Request, &format!("app-{index}"), &request());
    }
    let values = fixture.host.values();
    let requests = |part: &str| -> u64 {
        let matching = values.iter().filter(|(name, _)| name.ends_with("requests_total") && name.contains(part));
        matching.map(|(_, value)| value).sum()
    };
    assert_eq!(requests(""), 1000);
    assert_eq!(requests("source_app=.=overflow;"), 977);
    assert_eq!(requests("reporter=.=destination;"), 1000);
    assert_eq!(values.get(OVERFLOW_METRIC), Some(&977));
    assert_eq!(fixture.host.defined(), 92 + 4 + 1, "of one service, and without the last eight");
}

/// Services whose clients have made all the label sets that there is room for.
fn full(config: &str) -> Fixture {
    let mut fixture = fixture(config);
    for service in ["a", "b", "c"] {
        for index in 0..100 {
            let app = format!("{service}-{index}");
            let labels = [(Label::DestinationService, service), (Label::SourceApp, &app), (Label::ResponseCode, "200")];
            fixture.record_labels(Family::Request, &labels, &request());
        }
    }
    assert_eq!(fixture.recorder.room.taken(), 100);
    fixture
}

#[test]
fn an_outage_is_seen_though_there_is_no_room() {
    let mut fixture = full(r#"{"max_series": 100}"#);
    for (index, (code, flags)) in [("503", "UH"), ("500", "-"), ("502", "-"), ("200", "-")].into_iter().enumerate() {
        let app = format!("new-{index}");
        let labels = [
            (Label::DestinationService, "down"),
            (Label::DestinationWorkload, "down-v1"),
            (Label::SourceApp, &app),
            (Label::ResponseCode, code),
            (Label::ResponseFlags, flags),
        ];
        for _ in 0..5 {
            fixture.record_labels(Family::Request, &labels, &request());
        }
    }
    let by = [
        Label::Reporter,
        Label::DestinationService,
        Label::DestinationWorkload,
        Label::SourceApp,
        Label::ResponseCode,
        Label::ResponseFlags,
    ];
    let seen: Vec<(String, u64)> =
        fixture.requests_by(&by).into_iter().filter(|(labels, _)| labels.contains(" down ")).collect();
    let expected = [
        ("destination down down-v1 overflow 200 -", 5),
        ("destination down down-v1 overflow 500 -", 10),
        ("destination down down-v1 overflow 500 UH", 5),
    ];
    assert_eq!(seen, expected.map(|(labels, count)| (labels.to_owned(), count)));
}

#[test]
fn clients_of_one_service_do_not_keep_the_label_sets_of_others_out() {
    let mut fixture = fixture(r#"{"max_series": 1000}"#);
    // More than there are symbols.
    for index in 0..15_000 {
        let app = format!("forged-{index}");
        let labels = [(Label::DestinationService, "flooded"), (Label::SourceApp, &app)];
        fixture.record_labels(Family::Request, &labels, &request());
    }
    for service in ["b", "c", "d"] {
        let app = format!("of-{service}");
        fixture.record_labels(
            Family::Request,
            &[(Label::DestinationService, service), (Label::SourceApp, &app)],
            &request(),
        );
    }
    let of_others: Vec<(String, u64)> = fixture
        .requests_by(&[Label::DestinationService, Label::SourceApp])
        .into_iter()
        .filter(|(labels, _)| !labels.starts_with("flooded"))
        .collect();
    assert_eq!(of_others, ["b of-b", "c of-c", "d of-d"].map(|labels| (labels.to_owned(), 1)));
}

#[test]
fn what_is_kept_beyond_the_limit_is_limited_too() {
    let mut fixture = full(r#"{"max_series": 100}"#);
    let before = fixture.host.defined();
    for index in 0..2_000 {
        let (service, code, flags) =
            (format!("s-{}", index % 50), (100 + index % 500).to_string(), format!("F{index}"));
        let labels = [
            (Label::DestinationService, service.as_str()),
            (Label::ResponseCode, &code),
            (Label::ResponseFlags, &flags),
        ];
        fixture.record_labels(Family::Request, &labels, &request());
    }
    let all: u64 = fixture.requests_by(&[]).iter().map(|(_, count)| *count).sum();
    assert_eq!(all, 2_300, "none is lost");
    // Folded label sets have a hundred, and the least of them are those of five classes with flags.
    assert!(fixture.host.defined() <= before + LEAST_FOLDED + 4 * 5, "{} {before}", fixture.host.defined());
    let codes = fixture.requests_by(&[Label::ResponseCode, Label::ResponseFlags]);
    for class in ["100", "200", "300", "400", "500"] {
        assert!(codes.iter().any(|(labels, _)| *labels == format!("{class} overflow")), "{class} in {codes:?}");
    }
}

#[test]
fn a_response_code_of_an_expression_is_its_class_too() {
    let mut host = FakeHost::new();
    host.with_int(Property("response\0code"), 503).with_text(Property("request\0method"), "GET");
    let config = r#"{"max_series": 100, "anchored_tags": true, "definitions": [
        {"name": "calls", "value": "1", "dimensions": {"of": "source_app", "code": "response.code | '500'", "method": "request.method"}}
    ]}"#;
    let mut fixture = fixture_on(host, config);
    for index in 0..200 {
        fixture.record(Family::Request, &format!("app-{index}"), &request());
    }
    let values = fixture.host.values();
    let folded: Vec<&String> = values.keys().filter(|name| name.contains("of=.=overflow;")).collect();
    assert_eq!(folded, ["code=.=500;.;method=.=overflow;.;of=.=overflow;.;istio_calls"]);
}

#[test]
fn a_label_set_keeps_room_for_all_its_metrics() {
    let mut fixture = fixture(r#"{"max_series": 100}"#);
    let traffic = [Measurement::ReceivedBytes, Measurement::SentBytes].map(|measurement| (measurement, Some(5)));
    for measured in [one(Measurement::ConnectionsOpened), one(Measurement::ConnectionsClosed), Measured::from(traffic)]
    {
        for index in 0..100 {
            fixture.record(Family::Connection, &format!("app-{index}"), &measured);
        }
    }
    assert!(fixture.host.defined() <= 100 + 4 + 1, "{}", fixture.host.defined());
    assert!(fixture.host.defined() > 80);
}

#[test]
fn a_label_set_without_records_is_not_kept() {
    let mut fixture = fixture(r#"{"metrics": [{"drop": true}], "definitions": []}"#);
    for index in 0..100 {
        fixture.record(Family::Request, &format!("app-{index}"), &request());
    }
    assert_eq!(fixture.recorder.series.len(), 0);
}

#[test]
fn a_value_that_is_not_told_from_others_counts_as_overflow() {
    let mut fixture = fixture("");
    let labels = labels([(Label::Reporter, Symbol::OVERFLOW)]);
    let set = fixture.recorder.label_set(&fixture.host, &mut fixture.symbols, Family::Request, &labels);
    fixture.recorder.record(&fixture.host, &fixture.symbols, &set, &request());
    assert_eq!(fixture.host.values().get(OVERFLOW_METRIC), Some(&1));
}

#[test]
fn each_family_has_its_labels_in_order() {
    for (measurement, metric, count) in [
        (Measurement::Requests, "istio_requests_total", 25),
        (Measurement::RequestMessages, "istio_request_messages_total", 20),
        (Measurement::ConnectionsOpened, "istio_tcp_connections_opened_total", 23),
    ] {
        let mut fixture = fixture("");
        fixture.record(measurement.family(), "a", &one(measurement));
        let names: Vec<String> = fixture.labels_of(metric).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ::labels::names()[..count], "{metric}");
    }
}

#[test]
fn labels_are_added_replaced_and_removed() {
    let mut host = FakeHost::new();
    host.with_text(Property("request\0method"), "GET").with_int(Property("destination\0port"), 9080);
    let mut fixture = fixture_on(
        host,
        r#"{"metrics": [
            {"tags_to_remove": ["source_app", "no_such_label"], "dimensions": {"source_version": "'fixed'"}},
            {"name": "requests_total", "dimensions": {"request_method": "request.method", "a_port": "destination.port"}},
            {"name": "requests_total", "dimensions": {"source_app": "'back'"}}
        ]}"#,
    );
    fixture.record(Family::Request, "a", &request());
    assert_eq!(fixture.label("istio_request_bytes", "source_app"), None);
    assert_eq!(fixture.label("istio_request_bytes", "source_version"), Some("fixed".into()));
    let labels = fixture.labels_of("istio_requests_total");
    assert_eq!(labels.get(4), Some(&("source_app".into(), "back".into())), "at its old position");
    assert_eq!(labels.get(5), Some(&("source_version".into(), "fixed".into())));
    let added = [("a_port".into(), "9080".into()), ("request_method".into(), "GET".into())];
    assert_eq!(labels.get(25..), Some(added.as_slice()));
}

#[test]
fn a_standard_label_has_its_value_under_another_name_too() {
    let mut fixture = fixture(
        r#"{
            "attributes": [{"output_attribute": "reporter", "match": [{"value": "made"}]}],
            "definitions": [{"name": "calls", "value": "1"}],
            "metrics": [{"name": "calls", "dimensions": {
                "caller": "source_app", "who": "sourcePrincipal", "whom": "destinationPrincipal", "side": "reporter"
            }}]
        }"#,
    );
    fixture.recorder.generate(&fixture.host, &fixture.symbols);
    let labels = labels([
        (Label::Reporter, fixture.symbols.of("source")),
        (Label::SourceApp, fixture.symbols.of("web")),
        (Label::SourcePrincipal, fixture.symbols.of("spiffe://cluster.local/ns/shop/sa/web")),
    ]);
    let set = fixture.recorder.label_set(&fixture.host, &mut fixture.symbols, Family::Request, &labels);
    fixture.recorder.record(&fixture.host, &fixture.symbols, &set, &request());
    let expected = [
        ("caller", "web"),
        // Configured attributes have priority.
        ("side", "made"),
        ("who", "cluster.local/ns/shop/sa/web"),
        ("whom", "unknown"),
    ];
    assert_eq!(fixture.labels_of("istio_calls"), expected.map(|(name, value)| (name.to_string(), value.to_string())));
}

#[test]
fn the_first_alternative_that_is_known_is_the_label() {
    let mut host = FakeHost::new();
    host.with_text(Property("request\0method"), "GET");
    let mut fixture = fixture_on(
        host,
        r#"{"anchored_tags": true, "definitions": [{"name": "calls", "value": "1", "dimensions": {
            "a": "request.headers['x-none'] | source_app | 'none'", "b": "request.headers['x-none'] | 'none'",
            "c": "request.method | 'none'", "d": "request.referer | ''", "e": "''", "f": "request.referer | request.host"
        }}]}"#,
    );
    fixture.record(Family::Request, "web", &request());
    let expected = [("a", "web"), ("b", "none"), ("c", "GET"), ("d", ""), ("e", ""), ("f", "unknown")];
    assert_eq!(fixture.labels_of("istio_calls"), expected.map(|(name, value)| (name.to_string(), value.to_string())));
}

#[test]
fn labels_that_no_metric_has_do_not_tell_label_sets_apart() {
    let mut fixture = fixture(r#"{"metrics": [{"tags_to_remove": ["source_app"]}]}"#);
    for app in ["a", "b", "c"] {
        fixture.record(Family::Request, app, &request());
    }
    assert_eq!(fixture.host.defined(), 4);
}

#[test]
fn metrics_are_dropped_by_name_or_all() {
    let mut fixture = fixture(r#"{"metrics": [{"name": "request_bytes", "drop": true}]}"#);
    fixture.record(Family::Request, "a", &request());
    assert_eq!(fixture.names().iter().filter(|name| name.ends_with("request_bytes")).count(), 0);
    assert_eq!(fixture.host.defined(), 3);

    let mut fixture = super::tests::fixture(r#"{"metrics": [{"drop": true}]}"#);
    fixture.record(Family::Request, "a", &request());
    assert_eq!(fixture.host.defined(), 0);
}

#[test]
fn metrics_are_defined_with_their_own_value_kind_and_labels() {
    let mut host = FakeHost::new();
    host.with_int(Property("request\0size"), 120).with_text(Property("request\0method"), "GET");
    let mut fixture = fixture_on(
        host,
        r#"{
            "definitions": [
                {"name": "double_total", "value": "2"},
                {"name": "body_size", "value": "request.size", "type": "HISTOGRAM"},
                {"name": "last_size", "value": "request.size", "type": "GAUGE"},
                {"name": "nothing_total", "value": "0"},
                {"name": "requests_total", "value": "10"}
            ],
            "metrics": [{"name": "double_total", "dimensions": {"request_method": "request.method"}}]
        }"#,
    );
    for _ in 0..2 {
        fixture.record(Family::Request, "a", &request());
    }
    let values = fixture.host.values();
    assert_eq!(values.get("request_method=.=GET;.;istio_double_total"), Some(&4));
    assert_eq!(values.get("istio_last_size"), Some(&120));
    assert_eq!(values.get("istio_nothing_total"), None, "nothing was added");
    assert_eq!(fixture.host.histograms().get("istio_body_size"), Some(&(2, 240)));
    let (_, requests) = values.iter().find(|(name, _)| name.ends_with("istio_requests_total")).expect("recorded");
    assert_eq!(*requests, 20, "ten per request, with its standard labels");
    assert_eq!(fixture.labels_of("istio_requests_total").len(), 25);
}

#[test]
fn a_metric_of_the_operator_s_own_needs_no_prefix() {
    let mut fixture = fixture(
        r#"{"definitions": [{"name": "shop_total", "prefix": "", "value": "1"}, {"name": "requests_total", "prefix": "", "value": "1"}]}"#,
    );
    fixture.record(Family::Request, "a", &request());
    let values = fixture.host.values();
    assert_eq!((values.get("shop_total"), values.get("requests_total")), (Some(&1), Some(&1)));
    assert_eq!(fixture.labels_of("istio_requests_total").len(), 25, "is another metric");
}

#[test]
fn a_metric_that_is_defined_twice_is_recorded_by_both() {
    let mut fixture = fixture(
        r#"{"definitions": [
            {"name": "calls", "value": "1", "dimensions": {"kind": "'one'"}},
            {"name": "calls", "value": "2", "dimensions": {"kind": "'two'"}},
            {"name": "requests_total", "value": "1"},
            {"name": "requests_total", "value": "3"}
        ]}"#,
    );
    fixture.record(Family::Request, "a", &request());
    let values = fixture.host.values();
    assert_eq!(values.get("kind=.=one;.;istio_calls"), Some(&1));
    assert_eq!(values.get("kind=.=two;.;istio_calls"), Some(&2));
    assert_eq!(fixture.values_of("istio_requests_total"), [4], "both with the standard labels");
}

#[test]
fn a_metric_is_recorded_where_its_condition_holds() {
    let config = r#"{"definitions": [
        {"name": "yes_total", "value": "1", "match": "yes()"}, {"name": "also_total", "value": "1", "match": "yes()"},
        {"name": "no_total", "value": "1", "match": "no()"}, {"name": "failed_total", "value": "1", "match": "fails()"},
        {"name": "requests_total", "value": "1", "match": "no()"}
    ], "metrics": [{"name": "request_bytes", "drop": true}]}"#;
    let mut host = FakeHost::new();
    host.with_expression("yes()", Some(&[1])).with_expression("no()", Some(&[0])).with_expression("fails()", None);
    let mut fixture = fixture_on(host, config);
    for _ in 0..2 {
        fixture.record(Family::Request, "a", &request());
    }
    let values = fixture.host.values();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [("istio_also_total".into(), 2), ("istio_yes_total".into(), 2)]);
    assert_eq!(fixture.recorder.plans.of(Family::Request).conditions.len(), 3, "each is evaluated once");

    let mut host = FakeHost::new();
    host.with_expression("no()", Some(&[0]));
    host.with_expression("yes()", None);
    let error = refusal(&host, config);
    assert!(error.contains("definitions[3].match: \"fails()\" is not an expression"), "{error}");
}

/// Two metrics with one condition each.
const CONDITIONS: &str = r#"{"max_series": 100, "definitions": [
    {"name": "first", "value": "1", "match": "first()", "dimensions": {"app_of_caller": "source_app"}},
    {"name": "second", "value": "1", "match": "second()", "dimensions": {"app_of_caller": "source_app"}}
]}"#;

/// Sets whether the conditions hold.
fn hold(host: &mut FakeHost, held: [bool; 2]) {
    for (text, holds) in ["first()", "second()"].into_iter().zip(held) {
        host.with_expression(text, Some(&[holds.into()]));
    }
}

#[test]
fn a_label_set_is_one_whatever_conditions_hold() {
    let mut host = FakeHost::new();
    hold(&mut host, [false, false]);
    let mut fixture = fixture_on(host, CONDITIONS);
    for held in [[false, false], [true, false], [false, true], [true, true], [false, true]] {
        hold(&mut fixture.host, held);
        fixture.record(Family::Request, "a", &request());
    }
    let values = fixture.host.values();
    assert_eq!(values.get("app_of_caller=.=a;.;istio_first"), Some(&2));
    assert_eq!(values.get("app_of_caller=.=a;.;istio_second"), Some(&3));
    assert_eq!((fixture.recorder.series.len(), fixture.recorder.room.taken()), (1, 6));

    for index in 0..1000 {
        hold(&mut fixture.host, [index % 2 == 0, index % 3 == 0]);
        fixture.record(Family::Request, &format!("app-{index}"), &request());
    }
    assert_eq!(fixture.recorder.series.len(), 15 + 1, "one for all that are too many");
}

#[test]
fn conditions_are_not_more_than_can_be_kept() {
    let config = |count: usize| {
        let definition = |index| format!(r#"{{"name": "a", "value": "1", "match": "is({index})"}}"#);
        // A repeated condition counts once.
        let definitions: Vec<String> = (0..count).chain([count - 1]).map(definition).collect();
        format!(
            r#"{{"metrics": [{{"name": "requests_total", "drop": true}}], "definitions": [{}]}}"#,
            definitions.join(",")
        )
    };
    let mut host = FakeHost::new();
    for index in 0..65 {
        host.with_expression(&format!("is({index})"), Some(&[(index == 63).into()]));
    }
    let error = refusal(&host, &config(65));
    let expected =
        "configuration refused, 1 problem: definitions: 65 different conditions (match) of one protocol are too many, \
                    must be at most 64";
    assert_eq!(error, expected);
    let mut fixture = fixture_on(host, &config(64));
    fixture.record(Family::Request, "a", &request());
    assert_eq!(fixture.host.values().get("istio_a"), Some(&2), "by the last two");
}

#[test]
fn metrics_of_connections_are_defined_by_event() {
    let mut fixture = fixture(
        r#"{"definitions": [
            {"name": "opened", "protocol": "TCP", "event": "OPEN", "value": "2"},
            {"name": "closed", "protocol": "TCP", "event": "CLOSE", "value": "1", "dimensions": {"side": "reporter"}},
            {"name": "continued", "protocol": "TCP", "event": "CONTINUE", "value": "1"},
            {"name": "reports", "protocol": "TCP", "value": "1"},
            {"name": "sent", "protocol": "TCP", "value": "sentBytes", "type": "HISTOGRAM"}
        ], "metrics": [{"name": "tcp_sent_bytes_total", "drop": true}]}"#,
    );
    let live = Measured::from([
        (Measurement::ConnectionsOpened, Some(1)),
        (Measurement::SentBytes, Some(7)),
        (Measurement::Reports, Some(2)),
        (Measurement::Continuations, Some(1)),
    ]);
    fixture.record(Family::Connection, "a", &live);
    let end = Measured::from([(Measurement::ConnectionsClosed, Some(1)), (Measurement::Reports, Some(1))]);
    fixture.record(Family::Connection, "a", &end);
    let values = fixture.host.values();
    for (name, expected) in
        [("istio_opened", 2), ("side=.=destination;.;istio_closed", 1), ("istio_continued", 1), ("istio_reports", 3)]
    {
        assert_eq!(values.get(name).copied().unwrap_or_default(), expected, "{name}");
    }
    assert_eq!(fixture.host.histograms().get("istio_sent"), Some(&(1, 7)));

    let error = refusal(
        &FakeHost::new(),
        r#"{"definitions": [
            {"name": "a", "value": "1", "event": "OPEN"},
            {"name": "b", "value": "request.size", "protocol": "TCP"},
            {"name": "c", "value": "sentBytes", "protocol": "TCP", "event": "CLOSE"}
        ]}"#,
    );
    for problem in [
        "definitions[0].event: only with protocol TCP",
        "definitions[1].value: \"request.size\" is not allowed for TCP, must be a whole number or, without event, receivedBytes or sentBytes",
        "definitions[2].value: \"sentBytes\" is",
    ] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

#[test]
fn durations_in_seconds_are_counters_with_what_is_left_carried_on() {
    let mut fixture = fixture(
        r#"{"definitions": [{
            "name": "seconds", "value": "request.duration", "type": "HISTOGRAM", "unit": "SECONDS",
            "buckets": ["0.005", "1.5", "2"], "dimensions": {"side": "reporter"}
        }], "metrics": [{"name": "requests_total", "drop": true}]}"#,
    );
    for nanoseconds in [1_500_000_000, 700_000_000, 1_800_000_001] {
        let took = (Measurement::Duration, Some(nanoseconds));
        fixture.record(Family::Request, "a", &Measured::from([(Measurement::Requests, Some(1)), took]));
    }
    let values: Vec<(String, u64)> = fixture.host.values().into_iter().collect();
    let expected = [
        ("side=.=destination;.;istio_seconds_count", 3),
        ("side=.=destination;.;istio_seconds_sum", 4),
        ("side=.=destination;.;le=.=+Inf;.;istio_seconds_bucket", 3),
        ("side=.=destination;.;le=.=0.005;.;istio_seconds_bucket", 0),
        ("side=.=destination;.;le=.=1.5;.;istio_seconds_bucket", 2),
        ("side=.=destination;.;le=.=2;.;istio_seconds_bucket", 3),
    ];
    assert_eq!(values, expected.map(|(name, value)| (name.to_string(), value)));
    // A request without a duration is not measured.
    fixture.record(Family::Request, "a", &without_duration());
    assert_eq!(fixture.host.values().get("side=.=destination;.;istio_seconds_count"), Some(&3));
}

#[test]
fn units_and_buckets_are_those_of_durations() {
    let error = refusal(
        &FakeHost::new(),
        r#"{"definitions": [
            {"name": "a", "value": "request.duration", "unit": "SECONDS"},
            {"name": "b", "value": "1", "type": "HISTOGRAM", "unit": "MILLISECONDS", "buckets": ["1"]},
            {"name": "c", "value": "request.duration", "type": "HISTOGRAM", "unit": "SECONDS", "buckets": ["1", "0.5", "x", "1e3", "1.5.2", "0.0000000001", ".", "2.", ".5"]},
            {"name": "d", "value": "1", "protocol": "TCP", "unit": "SECONDS"}
        ]}"#,
    );
    for problem in [
        "definitions[0].buckets: missing",
        "definitions[0].unit: only of a HISTOGRAM of request.duration",
        "definitions[1].unit: only",
        "definitions[1].buckets: only of unit SECONDS",
        "definitions[2].buckets: \"0.5\" is not allowed, must be seconds such as \"0.25\", more than the one before",
        "definitions[2].buckets: \"x\"",
        "definitions[2].buckets: \"1e3\"",
        "definitions[2].buckets: \"1.5.2\"",
        "definitions[2].buckets: \"0.0000000001\"",
        "definitions[2].buckets: \".\"",
        "definitions[2].buckets: \"2.\"",
        "definitions[2].buckets: \".5\"",
        "definitions[3].unit: only",
    ] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

#[test]
fn everything_that_does_not_fit_is_refused_at_once() {
    let mut host = FakeHost::new();
    host.with_expression("string(fine())", None).with_expression("fine()", None);
    let error = refusal(
        &host,
        r#"{"metrics": [
            {"name": "request_total"},
            {"dimensions": {"app": "'x'", "version_of_app": "'y'"}}
        ]}"#,
    );
    assert!(
        error.contains(
            "metrics[0].name: \"request_total\" is not a metric at this point, must be one of requests_total, "
        ),
        "{error}"
    );
    assert!(error.contains("metrics[1].dimensions.app: \"app\" and the label \"source_app\" end alike"), "{error}");
    let error = refusal(
        &host,
        r#"{"definitions": [
            {"name": "build", "value": "1"},
            {"name": "request_bytes_sum", "value": "1"},
            {"name": "requests_count", "value": "1"},
            {"name": "requests_count", "value": "1", "type": "GAUGE", "dimensions": {"app": "'x'"}}
        ]}"#,
    );
    assert!(error.contains("definitions[3].name: \"istio_requests_count\" is defined before with another type, unit or buckets, must be with the same, or another; definitions[0].name: \"build\" is a name that istio_build has, must be another; "), "{error}");
    assert!(error.contains("definitions[1].name: \"request_bytes_sum\" is a name that the histogram istio_request_bytes has, must be another; definitions[3].dimensions.app: \"app\" and"), "{error}");
    let error = refusal(
        &host,
        r#"{
            "definitions": [{"name": "a", "value": "broken("}],
            "metrics": [{"dimensions": {"b": "fine()", "c": "fine() | also broken"}}],
            "attributes": [{"output_attribute": "d", "match": [{"condition": "worse[", "value": "x"}]}]
        }"#,
    );
    for problem in [
        "3 problems",
        "definitions[0].value: \"broken(\"",
        "metrics[0].dimensions.c: \"also broken\"",
        "attributes[0].match[0].condition: \"worse[\"",
    ] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

#[test]
fn definitions_that_prometheus_would_show_as_one_are_refused_in_any_order() {
    let seconds = |name: &str, buckets: &str| {
        format!(
            r#"{{"name": "{name}", "value": "request.duration", "type": "HISTOGRAM", "unit": "SECONDS", "buckets": [{buckets}]}}"#
        )
    };
    let one = seconds("x", r#""1""#);
    let other = |rest: &str| format!(r#"{{"name": "x", "value": "request.duration", "type": "HISTOGRAM"{rest}}}"#);
    let counter = |name: &str, prefix: &str| format!(r#"{{"name": "{name}", "value": "1", "prefix": "{prefix}"}}"#);
    let form = r#"definitions[1].name: "istio_x" is defined before with another type, unit or buckets, must be with the same, or another"#;
    let mut host = FakeHost::new();
    host.with_expression("yes()", Some(&[1])).with_expression("no()", Some(&[0]));
    host.with_expression("request.duration", None);
    for (definitions, expected) in [
        ([one.clone(), other(r#", "unit": "MILLISECONDS""#)], form),
        ([other(""), other(r#", "unit": "MILLISECONDS""#)], form),
        ([one.clone(), seconds("x", r#""1", "2""#)], form),
        ([one.clone(), counter("istio_x", "")], form),
        (
            [counter("x_count", "istio_"), one.clone()],
            r#"definitions[0].name: "x_count" is a name that the histogram istio_x has, must be another"#,
        ),
        ([other(""), counter("istio_x_bucket", "")], "definitions[1].name: "),
        ([one.clone(), seconds("x_sum", r#""1""#)], "definitions[1].name: "),
        ([one.clone(), counter("request_bytes_count", "istio_")], "definitions[1].name: "),
        ([one.clone(), counter("stats_overflow_total", "")], "definitions[1].name: "),
    ] {
        let error = refusal(&host, &format!(r#"{{"definitions": [{}]}}"#, definitions.join(", ")));
        assert!(error.starts_with(&format!("configuration refused, 1 problem: {expected}")), "{error}");
    }
    // A dropped metric does not occupy its name.
    let dropped = r#"{"metrics": [{"name": "request_bytes", "drop": true}], "definitions": [{"name": "request_bytes_sum", "value": "1"}]}"#;
    fixture(dropped);
    // As several rules of Mixer were, and what is no histogram is no matter.
    let with = |text: &str, condition: &str| format!(r#"{}, "match": "{condition}"}}"#, text.trim_end_matches('}'));
    let definitions = [
        with(&one, "yes()"),
        with(&one, "no()"),
        counter("calls", "istio_"),
        counter("calls_count", "istio_"),
        // Replaces the histogram.
        counter("request_bytes", "istio_"),
        counter("request_bytes_sum", "istio_"),
        // The standard metric by its full name.
        counter("istio_requests_total", ""),
    ];
    let mut fixture = fixture_on(host, &format!(r#"{{"definitions": [{}]}}"#, definitions.join(", ")));
    let measured = [Measurement::Requests, Measurement::Duration].map(|measurement| (measurement, Some(1)));
    fixture.record(Family::Request, "a", &Measured::from(measured));
    let values = fixture.host.values();
    assert_eq!(values.get("istio_x_count"), Some(&1));
    assert_eq!(fixture.values_of("istio_requests_total"), [1], "recorded once");
}

#[test]
fn a_value_that_can_never_be_a_number_is_refused() {
    // Expressions for the engine, and whether the result may be a number.
    let values = [
        ("7", true),
        ("request.size", true),
        ("response.code", true),
        ("request.duration", true),
        ("request.size + response.size", true),
        ("request.size-response.size", true),
        ("int(request.headers['x-cost'])", true),
        ("size(request.host)", true),
        ("request.method == 'GET' ? 1 : 0", true),
        ("metadata.filter_metadata['shop']['cost']", true),
        ("cluster_metadata.filter_metadata['shop'].cost", true),
        ("filter_state['cost']", true),
        ("int(cost)", true),
        ("[1].exists(x, x.y > 0) ? 1 : 2", true),
        ("upstream_peer.labels['weight'] == '' ? 0 : int(upstream_peer.labels['weight'])", true),
        ("'1'", false),
        ("\\\"10\\\"", false),
        ("request.host", false),
        ("request.headers['x-cost']", false),
        ("request.headers", false),
        ("upstream_peer.labels['weight']", false),
        ("upstream_peer.labels", false),
        ("node.metadata['SHARDS']", false),
        ("connection.mtls", false),
        ("true", false),
        ("-1", false),
        ("1.5", false),
        // Filter state of other modules is text, and so are configured attributes.
        ("cost", false),
        ("made", false),
        ("receivedBytes", false),
        ("sentBytes", false),
        ("request.sizee", false),
        ("requst.size", false),
        ("requst.size * 2", false),
        ("request.size + responce.size", false),
    ];
    for (value, allowed) in values {
        let mut host = FakeHost::new();
        let text = value.replace('\\', "");
        host.with_expression(&expression::for_engine(&text), None);
        let config = format!(
            r#"{{"attributes": [{{"output_attribute": "made", "match": [{{"value": "1"}}]}}], "definitions": [{{"name": "a", "value": "{value}"}}]}}"#
        );
        let error = crate::stats::Stats::new(config.as_bytes(), &host).err().map(|error| error.to_string());
        let expected = format!(
            "configuration refused, 1 problem: definitions[0].value: {text:?} is not allowed for HTTP, must be a whole number, or an attribute or expression of one"
        );
        assert_eq!(error, (!allowed).then_some(expected), "{value}");
    }
}

#[test]
fn what_is_refused_is_told_where_it_stands() {
    let mut host = FakeHost::new();
    host.with_expression("request.host", Some(b"a"));
    let number = "is not allowed for HTTP, must be a whole number, or an attribute or expression of one";
    let label = "is a label, must be an attribute such as upstream_peer.workload";
    let label_as_number = "is a label, must be an attribute such as response.code or request.size";
    for (definitions, problems) in [
        (
            r#"{"name": "a", "value": "1", "dimensions": {"h": "request.host"}}, {"name": "b", "value": "request.host"}"#,
            vec![("1.value", "request.host", number)],
        ),
        (
            r#"{"name": "a", "value": "request.host"}, {"name": "b", "value": "1"}, {"name": "c", "value": "request.host"}"#,
            vec![("0.value", "request.host", number), ("2.value", "request.host", number)],
        ),
        (
            r#"{"name": "a", "value": "1", "dimensions": {"h": "reporter"}}, {"name": "b", "value": "1", "match": "reporter"}"#,
            vec![("1.match", "reporter", label)],
        ),
        (
            r#"{"name": "a", "value": "response_code", "dimensions": {"h": "response_code"}}, {"name": "b", "value": "response_code"}"#,
            vec![("0.value", "response_code", label_as_number), ("1.value", "response_code", label_as_number)],
        ),
    ] {
        let told = |(place, text, message): &(&str, &str, &str)| {
            let (index, field) = place.split_once('.').expect("a field");
            format!("definitions[{index}].{field}: {text:?} {message}")
        };
        let (count, told) = (problems.len(), problems.iter().map(told).collect::<Vec<_>>().join("; "));
        let plural = if count == 1 { "problem" } else { "problems" };
        let expected = format!("configuration refused, {count} {plural}: {told}");
        assert_eq!(refusal(&host, &format!(r#"{{"definitions": [{definitions}]}}"#)), expected);
    }
}

#[test]
fn labels_are_refused_where_the_engine_cannot_know_them() {
    let mut host = FakeHost::new();
    let readable =
        ["source_apps == 'a'", "request.headers['source_app'] == \"source_app\"", "request.source_app == ''"];
    let labels =
        ["reporter == 'source'", "source_app.startsWith('a')", "sourcePrincipal != '' || true", "response_code"];
    for text in readable.into_iter().chain(labels).chain(["source_app + '-'"]) {
        host.with_expression(&expression::for_engine(text), Some(&[1]));
    }
    let config = |condition: &str| {
        let condition = condition.replace('"', "\\\"");
        format!(r#"{{"definitions": [{{"name": "a", "value": "1", "match": "{condition}"}}]}}"#)
    };
    for text in readable {
        assert_eq!(crate::stats::Stats::new(config(text).as_bytes(), &host).err(), None, "{text}");
    }
    for (text, label) in labels.into_iter().zip(["reporter", "source_app", "sourcePrincipal", "response_code"]) {
        let expected = format!(
            "configuration refused, 1 problem: definitions[0].match: {label:?} is a label, must be an attribute such as upstream_peer.workload"
        );
        assert_eq!(refusal(&host, &config(text)), expected);
    }
    let error = refusal(
        &host,
        r#"{"metrics": [{"dimensions": {"a": "source_app + '-' | reporter"}}],
            "attributes": [{"output_attribute": "b", "match": [{"condition": "reporter == 'source'", "value": "x"}]}]}"#,
    );
    assert!(error.starts_with("configuration refused, 2 problems: "), "{error}");
    assert!(error.contains("metrics[0].dimensions.a: \"source_app\" is a label"), "{error}");
    assert!(error.contains("attributes[0].match[0].condition: \"reporter\" is a label"), "{error}");

    // One that the configuration makes is filter state by then.
    let made = r#"{"attributes": [{"output_attribute": "reporter", "match": [{"value": "source"}]}], "#;
    fixture_on(host, &config(labels[0]).replacen('{', made, 1));
}

#[test]
fn labels_may_end_alike_where_the_bootstrap_tells_them_apart() {
    let config =
        r#"{"anchored_tags": true, "metrics": [{"name": "requests_total", "dimensions": {"code": "response_code"}}]}"#;
    let mut fixture = fixture(config);
    fixture.record(Family::Request, "a", &request());
    assert_eq!(fixture.label("istio_requests_total", "code"), Some("unknown".into()));
}

#[test]
fn separators_are_the_operator_s() {
    let mut symbols = Symbols::new(Separators { value: "==".into(), field: "|".into() }, 1000);
    let host = FakeHost::new();
    let config = StatsConfig::parse(b"").expect("valid");
    let mut recorder = Recorder::new(&config, &host, &mut symbols, &mut Vec::new());
    let labels = labels([(Label::Reporter, symbols.of("a|b"))]);
    let set = recorder.label_set(&host, &mut symbols, Family::Messages, &labels);
    recorder.record(&host, &symbols, &set, &one(Measurement::RequestMessages));
    let name = host.values().into_keys().next().expect("defined");
    assert!(name.starts_with("reporter==a_b|source_workload==unknown|"), "{name}");
}

/// Where Envoy counts.
mod told {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::metrics::TagSource;
    use crate::states::Keys;

    fn counting(config: &str) -> Fixture {
        counting_on(FakeHost::new(), config)
    }

    fn counting_on(mut host: FakeHost, config: &str) -> Fixture {
        host.with_random([7; 16]);
        let fixture = fixture_on(host, &config.replacen('{', r#"{"envoy_counts": true, "#, 1));
        fixture.recorder.declare(&fixture.host);
        fixture
    }

    fn state(fixture: &Fixture, key: &str) -> Option<String> {
        fixture.host.state_of(key).map(|value| String::from_utf8(value).expect("text"))
    }

    /// Host calls of `record`.
    fn calls(fixture: &mut Fixture, app: &str, measured: &Measured) -> usize {
        fixture.host.take_calls();
        fixture.record(Family::Request, app, measured);
        fixture.host.take_calls()
    }

    #[test]
    fn labels_are_left_to_envoy_and_nothing_is_defined() {
        let mut fixture = counting(r#"{"metrics": [{"dimensions": {"kind": "'fixed'"}}]}"#);
        fixture.record(Family::Request, "shop", &request());
        assert_eq!(fixture.names(), Vec::<String>::new());
        assert_eq!(state(&fixture, "remixer.source_app").as_deref(), Some("shop"));
        let keys = Keys::new("");
        let kind = keys.label(&TagSource::Expression("'fixed'".into()));
        assert_eq!(state(&fixture, &kind).as_deref(), Some("fixed"));
        assert_eq!(state(&fixture, &keys.counted()).as_deref(), Some("1"));
    }

    #[test]
    fn a_stream_writes_only_the_labels_that_its_connection_has_not() {
        let mut fixture = counting("{}");
        let first = calls(&mut fixture, "shop", &request());
        // The mark is read, and the sign written.
        assert_eq!(calls(&mut fixture, "shop", &request()), 2);
        // Also the label, and the mark.
        assert_eq!(calls(&mut fixture, "other", &request()), 4);
        assert_eq!(state(&fixture, "remixer.source_app").as_deref(), Some("other"));
        assert!(first > 20, "{first}");
    }

    #[test]
    fn without_a_mark_of_its_own_a_plugin_writes_all_labels() {
        let mut fixture = fixture(r#"{"envoy_counts": true}"#);
        let first = calls(&mut fixture, "shop", &request());
        assert_eq!(calls(&mut fixture, "shop", &request()), first);
    }

    #[test]
    fn labels_of_another_plugin_are_not_relied_on() {
        let mut fixture = counting("{}");
        let first = calls(&mut fixture, "shop", &request());
        fixture.host.set_filter_state("remixer.labels", b"another one").expect("set");
        assert_eq!(calls(&mut fixture, "shop", &request()), first);
    }

    #[test]
    fn a_plugin_with_a_name_has_states_of_its_own() {
        let mut fixture = counting(r#"{"envoy_counts_as": "mine"}"#);
        fixture.record(Family::Request, "shop", &request());
        let keys = fixture.host.states();
        assert!(keys.iter().all(|(key, _)| key.starts_with("remixer-mine.")), "{keys:?}");
        assert_eq!(state(&fixture, "remixer-mine.source_app").as_deref(), Some("shop"));
    }

    #[test]
    fn numbers_that_envoy_does_not_know_are_told_when_they_are_recorded() {
        let mut host = FakeHost::new();
        host.with_expression("request.method == 'GET'", Some(&[1]));
        let mut fixture = fixture_on(
            host,
            r#"{"envoy_counts": true, "definitions": [{"name": "gets_total", "value": "7", "match": "request.method == 'GET'"}]}"#,
        );
        fixture.record(Family::Request, "shop", &request());
        let told = |fixture: &Fixture| {
            let states = fixture.host.states();
            states
                .into_iter()
                .filter(|(key, _)| key.starts_with("remixer.number."))
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&fixture), [b"7".to_vec()]);
        let mut messages = request();
        messages.set(Measurement::RequestMessages, Some(3));
        fixture.record(Family::Request, "shop", &messages);
        assert_eq!(told(&fixture).len(), 2);
    }

    #[test]
    fn label_sets_beyond_the_limit_have_the_overflow_s_labels() {
        let mut fixture = counting(r#"{"max_series": 100}"#);
        for app in 0..26 {
            fixture.record(Family::Request, &format!("app-{app}"), &request());
        }
        assert_eq!(state(&fixture, "remixer.source_app").as_deref(), Some("overflow"));
        assert_eq!(fixture.values_of(OVERFLOW_METRIC), [3]);
    }

    #[test]
    fn an_outage_is_told_though_there_is_no_room() {
        let mut fixture = full(r#"{"envoy_counts": true, "max_series": 100}"#);
        let labels = [
            (Label::DestinationService, "down"),
            (Label::SourceApp, "new"),
            (Label::ResponseCode, "503"),
            (Label::ResponseFlags, "UH"),
        ];
        fixture.record_labels(Family::Request, &labels, &request());
        for (key, expected) in [
            ("remixer.reporter", "destination"),
            ("remixer.destination_service", "down"),
            ("remixer.source_app", "overflow"),
            ("remixer.response_code", "500"),
            ("remixer.response_flags", "UH"),
        ] {
            assert_eq!(state(&fixture, key).as_deref(), Some(expected), "{key}");
        }
    }

    #[test]
    fn keys_depend_on_what_they_are_for_alone() {
        let of = |json: &str| {
            let config = StatsConfig::parse(json.as_bytes()).expect("valid");
            let metrics = crate::metrics::of_config(&config, &mut Vec::new());
            let mut keys: Vec<String> = metrics.iter().map(|metric| Keys::new("").number(metric)).collect();
            keys.sort_unstable();
            let all = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), all, "{json}");
            keys
        };
        let one = of("{}");
        let more = of(r#"{"definitions": [{"name": "a", "value": "1"}, {"name": "b", "value": "1"},
                          {"name": "c", "type": "HISTOGRAM", "value": "request.duration", "unit": "SECONDS", "buckets": ["1", "2"]}]}"#);
        assert!(one.iter().all(|key| more.contains(key)));
    }
}
