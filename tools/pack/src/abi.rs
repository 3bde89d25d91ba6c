//! The exports that proxy-wasm ABI 0.2.1 knows.

/// What a module must export whatever its filter does, and whatever its manifest says.
///
/// Without `proxy_on_delete` the SDK would keep every context for ever.
pub const ALWAYS: [&str; 7] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_delete",
];

/// The allocator Envoy puts its answers in: one of these names, depending on the compiler's target.
pub const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// What a filter may name in its manifest.
pub const CALLBACKS: [&str; 21] = [
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_upstream_connection_close",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_foreign_function",
];

/// Where Envoy has a few calls of WASI.
pub const WASI: &str = "wasi_snapshot_preview1";

/// Those of them that a module may use: what the ABI has not.
pub const WASI_CALLS: [&str; 2] = ["clock_time_get", "random_get"];
