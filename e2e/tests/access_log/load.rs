//! Many requests at once.

use std::collections::BTreeSet;

use crate::{get, start, texts, PAIR};

#[test]
fn ten_thousand_requests_have_ten_thousand_lines() {
    const COUNT: usize = 10_000;
    const AT_ONCE: usize = 200;
    let mesh = start(PAIR, |options| {
        options.concurrency = 2;
        options.log_level = "warning".to_owned();
    });
    for round in 0..COUNT / AT_ONCE {
        let requests: Vec<_> = (0..AT_ONCE)
            .map(|index| get(&mesh, &format!("/status/200?n={round}-{index}&x={}", "y".repeat(index * 10))))
            .collect();
        for answer in mesh.client().send_together(&requests) {
            assert_eq!(answer.unwrap().status, 200);
        }
    }
    for workload in ["client-v1", "server-v2"] {
        let lines = texts(&mesh, workload, COUNT);
        let numbers: BTreeSet<String> = lines
            .iter()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).expect(line);
                let path = line["path"].as_str().unwrap();
                path.split(['=', '&']).nth(1).unwrap().to_owned()
            })
            .collect();
        assert_eq!(numbers.len(), COUNT, "{workload}: some are there twice");
    }
}
