use super::*;

fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sample { name: String::new(), labels, value }
}

#[test]
fn an_edge_is_a_block_of_aligned_rows_within_110_columns() {
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    let edge = [
        ("source_workload", "istio-ingressgateway"),
        ("destination_workload", "productpage-v1"),
        ("destination_version", "v1"),
    ];
    for (reporter, code, flags, count) in [
        ("source", "200", "-", 120.0),
        ("source", "503", "UF,URX", 3.0),
        ("source", "0", "DC", 1.0),
        ("destination", "200", "-", 12345.0),
    ] {
        let mut labels = edge.to_vec();
        labels.extend([
            ("reporter", reporter),
            ("response_code", code),
            ("response_flags", flags),
            ("connection_security_policy", "mutual_tls"),
        ]);
        let sample = sample(&labels, count);
        add_requests(rows.entry(key(&sample)).or_default(), &sample);
    }
    for row in rows.values_mut() {
        row.p50 = Some(2.5);
        row.p99 = Some(12_345.6);
    }
    let text = layout::text(&rows);
    let expected = "\
SOURCE -> DESTINATION                   VER  REPORTER     MTLS  REQUESTS  SUCCESS     P50       P99  CODES
istio-ingressgateway -> productpage-v1  v1   source                  124   96.8 %  2.5 ms  12346 ms  0 DC x1
                                                                                                     200 x120
                                                                                                     503 UF,URX x3
                                             destination  yes      12345  100.0 %  2.5 ms  12346 ms  200
";
    assert_eq!(text, expected);
    // The longest code may be a little longer, because it is last.
    assert!(text.lines().all(|line| line.chars().count() <= 116));
}

#[test]
fn a_request_that_reached_nobody_shows_the_service() {
    let sample = sample(&[("destination_workload", "unknown"), ("destination_service_name", "details")], 1.0);
    assert_eq!(key(&sample).destination, "(details)");
}
