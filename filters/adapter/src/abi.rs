//! The host functions of proxy-wasm 0.2.1 that the filters use.
//!
//! To return bytes, Envoy allocates memory with the module's `malloc`. This is the SDK's, and allocates like `Vec`. An empty
//! value is returned as a null pointer.
#![allow(unsafe_code)] // the ABI is raw pointers; each of them ends in this file

use core::ptr::null_mut;

use host::{Call, HostError, Reply};
use proxy_wasm::hostcalls;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
/// Any other failure of the host.
pub const INTERNAL_FAILURE: u32 = 10;
/// The buffer that holds the plugin's configuration.
pub const PLUGIN_CONFIGURATION: u32 = 7;

#[link(wasm_import_module = "env")]
extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, value: *mut *mut u8, value_size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, pairs: *mut *mut u8, pairs_size: *mut usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        data_size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, size: usize, data: *const u8, data_size: usize) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context_id: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        result: *mut *mut u8,
        result_size: *mut usize,
    ) -> u32;
}

// Envoy's WASI functions: the target of the module has neither clock nor randomness.
#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn random_get(bytes: *mut u8, size: usize) -> u32;
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

pub fn log(level: u32, message: &str) {
    // If logging fails, the failure cannot be reported either.
    let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}

pub fn log_level() -> Option<u32> {
    let mut level = 0;
    let status = unsafe { proxy_get_log_level(&mut level) };
    (status == OK).then_some(level)
}

pub fn get_property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    bytes("proxy_get_property", |data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    let status = unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    done("proxy_set_property", status)
}

pub fn get_header(map: u32, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    bytes("proxy_get_header_map_value", |data, size| unsafe {
        proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size)
    })
}

pub fn replace_header(map: u32, name: &str, value: &str) -> Result<(), HostError> {
    let status = unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    done("proxy_replace_header_map_value", status)
}

pub fn remove_header(map: u32, name: &str) -> Result<(), HostError> {
    let status = unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) };
    done("proxy_remove_header_map_value", status)
}

pub fn get_header_pairs(map: u32) -> Result<Option<Vec<u8>>, HostError> {
    bytes("proxy_get_header_map_pairs", |data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

pub fn send_local_response(reply: &Reply, headers: &[u8]) -> Result<(), HostError> {
    // Without a gRPC status, Envoy derives one from the HTTP status.
    let grpc_status = reply.grpc_status.map_or(-1, i32::from);
    let (details, body) = (reply.details, reply.body);
    let status = unsafe {
        proxy_send_local_response(
            u32::from(reply.status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    };
    done("proxy_send_local_response", status)
}

/// Makes an HTTP call with the SDK's own function, because the SDK's dispatcher panics on the answer to a call that it did
/// not make. The function also panics on unknown statuses, but Envoy returns none for this call: its statuses are all in the
/// SDK's list, and a call that the operator has forbidden is an internal failure.
pub fn http_call(call: &Call) -> Result<u32, HostError> {
    // SAFETY: the SDK only copies the bytes of the texts, and Envoy accepts any bytes.
    let text = |bytes| unsafe { str::from_utf8_unchecked(bytes) };
    let headers = call.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    let body = Some(call.body).filter(|body| !body.is_empty());
    hostcalls::dispatch_http_call(call.cluster, headers, body, Vec::new(), call.timeout)
        .map_err(|status| HostError { call: "proxy_http_call", status: status as u32 })
}

pub fn get_buffer(buffer: u32, size: usize) -> Result<Option<Vec<u8>>, HostError> {
    bytes("proxy_get_buffer_bytes", |data, data_size| unsafe {
        proxy_get_buffer_bytes(buffer, 0, size, data, data_size)
    })
}

pub fn set_buffer(buffer: u32, size: usize, data: &[u8]) -> Result<(), HostError> {
    let status = unsafe { proxy_set_buffer_bytes(buffer, 0, size, data.as_ptr(), data.len()) };
    done("proxy_set_buffer_bytes", status)
}

pub fn continue_stream(stream: u32) -> Result<(), HostError> {
    done("proxy_continue_stream", unsafe { proxy_continue_stream(stream) })
}

pub fn close_stream(stream: u32) -> Result<(), HostError> {
    done("proxy_close_stream", unsafe { proxy_close_stream(stream) })
}

pub fn set_effective_context(context_id: u32) -> Result<(), HostError> {
    done("proxy_set_effective_context", unsafe { proxy_set_effective_context(context_id) })
}

pub fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    done("proxy_set_tick_period_milliseconds", unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

pub fn define_metric(kind: u32, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) };
    done("proxy_define_metric", status).map(|()| id)
}

pub fn increment_metric(id: u32, by: i64) -> Result<(), HostError> {
    done("proxy_increment_metric", unsafe { proxy_increment_metric(id, by) })
}

pub fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    done("proxy_record_metric", unsafe { proxy_record_metric(id, value) })
}

pub fn get_metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0;
    done("proxy_get_metric", unsafe { proxy_get_metric(id, &mut value) }).map(|()| value)
}

/// A clock's time in nanoseconds.
pub fn clock_time(clock: u32) -> Result<u64, HostError> {
    let mut time = 0;
    done("clock_time_get", unsafe { clock_time_get(clock, 0, &mut time) }).map(|()| time)
}

pub fn random<const SIZE: usize>() -> Result<[u8; SIZE], HostError> {
    let mut bytes = [0; SIZE];
    done("random_get", unsafe { random_get(bytes.as_mut_ptr(), SIZE) }).map(|()| bytes)
}

pub fn call_foreign_function(name: &'static str, argument: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
    bytes(name, |data, size| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, size)
    })
}

fn done(call: &'static str, status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        status => Err(HostError { call, status }),
    }
}

/// The result of a call that returns bytes: `None` if the value does not exist, `Some` of an empty `Vec` if it is empty.
fn bytes(call: &'static str, ask: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, HostError> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    match ask(&mut data, &mut size) {
        OK if data.is_null() => Ok(Some(Vec::new())),
        // SAFETY: Envoy got `data` from the module's own `malloc`, with exactly `size` bytes, and passes on its ownership.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        NOT_FOUND => Ok(None),
        status => Err(HostError { call, status }),
    }
}
