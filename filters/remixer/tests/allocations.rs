//! How often a warm request allocates. In the sandbox, each allocation of the core and each value that Envoy hands over
//! walks the allocator's lists.
#![allow(unsafe_code)] // a global allocator cannot be written otherwise
#![allow(clippy::expect_used)] // a test that cannot be set up fails
#![cfg(not(target_arch = "wasm32"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use host::fake::FakeHost;
use host::property::{self, node_metadata, Property};
use host::{
    Body, Buffer, Call, CallToken, Expression, HeaderMap, Host, HostError, MetricId, MetricKind, Reply, StateKind,
};
use labels::peer::Peer;
use metadata_exchange::wire::{self, ID_HEADER, METADATA_HEADER};
use remixer::telemetry::{Telemetry, TelemetryRequest};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get().wrapping_add(1)));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A host whose own allocations do not count.
struct Uncounted(FakeHost);

fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNT.get();
    let result = work();
    COUNT.set(before);
    result
}

macro_rules! delegate {
    ($($method:ident($($name:ident: $type:ty),*) -> $result:ty,)*) => {
        impl Host for Uncounted {
            $(fn $method(&self, $($name: $type),*) -> $result {
                uncounted(|| self.0.$method($($name),*))
            })*
        }
    };
}

delegate! {
    property(path: Property) -> Option<Vec<u8>>,
    set_filter_state(key: &str, value: &[u8]) -> Result<(), HostError>,
    declare_filter_state(key: &str, kind: StateKind) -> Result<(), HostError>,
    header(map: HeaderMap, name: &str) -> Option<Vec<u8>>,
    header_pairs(map: HeaderMap) -> Option<Vec<u8>>,
    replace_header(map: HeaderMap, name: &str, value: &str) -> Result<(), HostError>,
    remove_header(map: HeaderMap, name: &str) -> Result<(), HostError>,
    buffer(buffer: Buffer, size: usize) -> Option<Vec<u8>>,
    replace_front(buffer: Buffer, size: usize, bytes: &[u8]) -> Result<(), HostError>,
    body(body: Body, size: usize) -> Option<Vec<u8>>,
    call(call: &Call) -> Result<CallToken, HostError>,
    reply(reply: &Reply) -> Result<(), HostError>,
    resume_request() -> Result<(), HostError>,
    reset_request() -> Result<(), HostError>,
    resume(buffer: Buffer) -> Result<(), HostError>,
    set_context(context_id: u32) -> Result<(), HostError>,
    create_expression(text: &str) -> Result<Expression, HostError>,
    evaluate(expression: Expression) -> Option<Vec<u8>>,
    define_metric(kind: MetricKind, name: &str) -> Result<MetricId, HostError>,
    increment_metric(id: MetricId, by: i64) -> Result<(), HostError>,
    record_metric(id: MetricId, value: u64) -> Result<(), HostError>,
    metric(id: MetricId) -> Option<u64>,
    monotonic_time() -> Option<Duration>,
    wall_time() -> Option<Duration>,
    random() -> Option<[u8; 16]>,
    set_tick_period(period: Duration) -> Result<(), HostError>,
}

const ALLOCATIONS: [(&str, HeaderMap); 2] =
    [("telemetry_inbound", HeaderMap::Request), ("telemetry_outbound", HeaderMap::Response)];

#[test]
fn a_warm_request_allocates_nothing_but_what_envoy_hands_over() {
    for (root_id, map) in ALLOCATIONS {
        let mut host = Uncounted(host(root_id));
        let mut telemetry = Telemetry::new(b"", &host).expect("valid");
        let mut counted = Vec::new();
        for _ in 0..3 {
            for (name, value) in headers() {
                host.0.with_header(map, name, &value);
            }
            let before = COUNT.get();
            let mut request = TelemetryRequest::default();
            telemetry.on_request_headers(&host, &mut request);
            telemetry.on_response_headers(&host, &mut request);
            telemetry.on_request_end(&host, &mut request);
            counted.push(COUNT.get().wrapping_sub(before));
        }
        assert!(counted.first().is_some_and(|cold| *cold > 0), "{counted:?}: nothing is counted");
        assert_eq!(counted.last(), Some(&0), "{root_id}: {counted:?}");
    }
}

fn headers() -> [(&'static str, String); 2] {
    let peer = Peer { workload_name: "ratings-v1".into(), namespace: "default".into(), ..Peer::default() };
    [(METADATA_HEADER, wire::encode(&peer).expect("fits")), (ID_HEADER, "ratings".to_string())]
}

/// The proxy of reviews, where a request with mutual TLS is under way.
fn host(root_id: &str) -> FakeHost {
    let mut host = FakeHost::new();
    host.with_text(property::PLUGIN_ROOT_ID, root_id)
        .with_text(property::NODE_ID, "sidecar~10.0.0.1~reviews-v1-1.default~default.svc.cluster.local")
        .with_text(Property(&node_metadata("WORKLOAD_NAME")), "reviews-v1")
        .with_text(property::CLUSTER_NAME, "outbound|9080||ratings.default.svc.cluster.local")
        .with_int(property::RESPONSE_CODE, 200)
        .with_int(property::RESPONSE_FLAGS, 0)
        .with_int(property::REQUEST_DURATION, 12_900_000)
        .with_int(property::REQUEST_TOTAL_SIZE, 120)
        .with_int(property::RESPONSE_TOTAL_SIZE, 3400);
    for certificate in [property::CONNECTION_PEER_SAN, property::UPSTREAM_PEER_SAN] {
        host.with_text(certificate, "spiffe://cluster.local/ns/default/sa/any");
    }
    host
}
