//! Fluentd's forward protocol, with Envoy's own Fluentd logger.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use local_mesh::{tools, Options, RawServer};
use serde_json::{json, Map, Value};

use crate::{get, start, status, told, wait_until, PAIR, VERSIONS};

/// The address of Fluentd in the EnvoyFilter.
const ADDRESS: &str = "address: fluentd.logging.svc.cluster.local\n                        port_value: 24224";

#[test]
fn a_receiver_of_the_forward_protocol_gets_the_same_records() {
    for (index, version) in VERSIONS.into_iter().enumerate() {
        let received = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&received);
        let port = 24_224 + u16::try_from(index).unwrap();
        let address = SocketAddr::from(([127, 23, 0, 1], port));
        let _receiver = RawServer::start(address, move |mut stream| {
            let mut buffer = [0; 65_536];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        })
        .unwrap();
        let filter = std::fs::read_to_string(tools::filters().join("fluentd/access-log.yaml")).unwrap();
        assert!(filter.contains(ADDRESS));
        let here = format!("address: 127.23.0.1\n                        port_value: {port}");
        let stdout = std::fs::read_to_string(tools::filters().join("access-log.yaml")).unwrap();
        let mesh = start(PAIR, |options: &mut Options| {
            options.envoy_version = Some(version.to_owned());
            options.filters = vec![tools::filters().join("telemetry.yaml")];
            options.patches = vec![filter.replace(ADDRESS, &here), only_logger(&stdout)];
        });
        for path in ["/status/200?n=1", "/status/404?n=2", "/status/200?n=%C3%BC'3"] {
            status(&mesh, get(&mesh, path).header("user-agent", "gr\u{fc}\u{df}e \"x\""));
        }
        wait_until(|| records(&received.lock().unwrap()).len() >= 6);
        let mut received = records(&received.lock().unwrap());
        let mut written = Vec::new();
        for workload in ["client-v1", "server-v2"] {
            wait_until(|| mesh.sidecar(workload).unwrap().output().lines().count() == 3);
            let output = mesh.sidecar(workload).unwrap().output();
            written.extend(output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        let order = |line: &Value| (line["reporter"].to_string(), line["path"].to_string());
        received.sort_by_key(order);
        written.sort_by_key(order);
        assert_eq!(received, written, "{version}");
        let codes = told(&received, &["reporter", "source_workload", "destination_workload", "response_code"]);
        assert_eq!(codes[0], "destination client-v1 server-v2 200");
    }
}

/// An EnvoyFilter without its HTTP filters, because the module is already attached.
fn only_logger(yaml: &str) -> String {
    let (head, patches) = yaml.split_once("configPatches:\n").unwrap();
    let kept = patches.split("  - applyTo: ").filter(|patch| patch.starts_with("NETWORK_FILTER"));
    let kept: String = kept.map(|patch| format!("  - applyTo: {patch}")).collect();
    format!("{head}configPatches:\n{kept}").replace("name: remixer-access-log\n", "name: stdout-too\n")
}

/// The records in the received bytes: `[tag, [[time, record] …], options]`, each with the line under `log`.
fn records(bytes: &[u8]) -> Vec<Value> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some(message) = value(&mut rest) {
        assert_eq!(message[0], "access_log", "the tag");
        for entry in message[1].as_array().expect("entries") {
            assert!(entry[0].is_u64(), "the time");
            let line = entry[1]["log"].as_str().expect("a line");
            records.push(serde_json::from_str(line).expect(line));
        }
    }
    records
}

/// A value of MessagePack, as far as Envoy uses it; `None` if it is incomplete.
fn value(rest: &mut &[u8]) -> Option<Value> {
    let [tag] = take(rest, 1)? else { return None };
    Some(match *tag {
        0x00..=0x7f => json!(*tag),
        0x80..=0x8f => map(rest, usize::from(*tag & 0x0f))?,
        0x90..=0x9f => list(rest, usize::from(*tag & 0x0f))?,
        0xa0..=0xbf => text(rest, usize::from(*tag & 0x1f))?,
        0xc0 => Value::Null,
        0xc2 | 0xc3 => json!(*tag == 0xc3),
        0xcc..=0xcf => json!(number(rest, 1 << (*tag - 0xcc))?),
        0xd9..=0xdb => {
            let length = number(rest, 1 << (*tag - 0xd9))?;
            text(rest, usize::try_from(length).ok()?)?
        }
        0xdc | 0xdd => {
            let length = number(rest, 2 << (*tag - 0xdc))?;
            list(rest, usize::try_from(length).ok()?)?
        }
        0xde | 0xdf => {
            let length = number(rest, 2 << (*tag - 0xde))?;
            map(rest, usize::try_from(length).ok()?)?
        }
        other => panic!("MessagePack of kind {other:#x}"),
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8], length: usize) -> Option<u64> {
    Some(take(rest, length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text(rest: &mut &[u8], length: usize) -> Option<Value> {
    Some(json!(std::str::from_utf8(take(rest, length)?).expect("UTF-8")))
}

fn list(rest: &mut &[u8], length: usize) -> Option<Value> {
    (0..length).map(|_| value(rest)).collect::<Option<Vec<_>>>().map(Value::Array)
}

fn map(rest: &mut &[u8], length: usize) -> Option<Value> {
    let mut fields = Map::new();
    for _ in 0..length {
        let name = value(rest)?.as_str().expect("a name").to_owned();
        fields.insert(name, value(rest)?);
    }
    Some(Value::Object(fields))
}
