//! The host functions of the ABI that our modules import: memory in, [`Envoy`] asked, memory out.

use anyhow::Result;
use wasmi::Linker;

use crate::abi::context::End;
use crate::abi::envoy::{Answer, Envoy};
use crate::abi::headers::Headers;
use crate::abi::memory::{hand_over, read, write, Host, Module, Trap};
use crate::abi::status::OK;

const ENV: &str = "env";
const WASI: &str = "wasi_snapshot_preview1";

/// All host functions.
pub(super) fn define(linker: &mut Linker<Host>) -> Result<()> {
    of_plugins(linker)?;
    of_streams(linker)?;
    of_buffers(linker)?;
    of_metrics(linker)?;
    of_wasi(linker)
}

fn of_plugins(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(ENV, "proxy_log", |mut m: Module, level: u32, line: u32, size: u32| {
        let line = read(&m, line, size)?;
        done(&mut m, "proxy_log", b"", |envoy| envoy.log(level, &line))
    })?;
    linker.func_wrap(ENV, "proxy_get_log_level", |mut m: Module, level: u32| {
        number(&mut m, "proxy_get_log_level", b"", |envoy| Ok(envoy.log_level as u64), level, 4)
    })?;
    linker.func_wrap(ENV, "proxy_set_effective_context", |mut m: Module, id: u32| {
        done(&mut m, "proxy_set_effective_context", b"", |envoy| envoy.set_effective_context(id))
    })?;
    linker.func_wrap(ENV, "proxy_set_tick_period_milliseconds", |mut m: Module, period: u32| {
        done(&mut m, "proxy_set_tick_period_milliseconds", b"", |envoy| envoy.set_tick_period(period))
    })?;
    linker.func_wrap(
        ENV,
        "proxy_call_foreign_function",
        |mut m: Module, name: u32, name_size: u32, argument: u32, size: u32, data_at: u32, size_at: u32| {
            let name = read(&m, name, name_size)?;
            let name = String::from_utf8_lossy(&name).into_owned();
            let argument = read(&m, argument, size)?;
            let call = ["declare_property", "expr_create", "expr_evaluate"].into_iter().find(|known| **known == name);
            let call = call.unwrap_or("proxy_call_foreign_function");
            bytes(&mut m, call, b"", |envoy| envoy.foreign(&name, &argument), [data_at, size_at])
        },
    )?;
    Ok(())
}

fn of_streams(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_property",
        |mut m: Module, path: u32, size: u32, data_at: u32, size_at: u32| {
            let path = read(&m, path, size)?;
            bytes(&mut m, "proxy_get_property", &path, |envoy| envoy.attribute(&path), [data_at, size_at])
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_property",
        |mut m: Module, key: u32, key_size: u32, value: u32, value_size: u32| {
            let (key, value) = (read(&m, key, key_size)?, read(&m, value, value_size)?);
            done(&mut m, "proxy_set_property", &key, |envoy| envoy.set_filter_state(&key, &value))
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_value",
        |mut m: Module, map: u32, name: u32, size: u32, data_at: u32, size_at: u32| {
            let name = read(&m, name, size)?;
            bytes(&mut m, "proxy_get_header_map_value", &name, |envoy| envoy.header(map, &name), [data_at, size_at])
        },
    )?;
    linker.func_wrap(ENV, "proxy_get_header_map_pairs", |mut m: Module, map: u32, data_at: u32, size_at: u32| {
        bytes(&mut m, "proxy_get_header_map_pairs", b"", |envoy| envoy.header_pairs(map), [data_at, size_at])
    })?;
    linker.func_wrap(
        ENV,
        "proxy_replace_header_map_value",
        |mut m: Module, map: u32, name: u32, name_size: u32, value: u32, value_size: u32| {
            let (name, value) = (read(&m, name, name_size)?, read(&m, value, value_size)?);
            done(&mut m, "proxy_replace_header_map_value", &name, |envoy| envoy.replace_header(map, &name, &value))
        },
    )?;
    linker.func_wrap(ENV, "proxy_remove_header_map_value", |mut m: Module, map: u32, name: u32, size: u32| {
        let name = read(&m, name, size)?;
        done(&mut m, "proxy_remove_header_map_value", &name, |envoy| envoy.remove_header(map, &name))
    })?;
    linker.func_wrap(ENV, "proxy_continue_stream", |mut m: Module, stream: u32| {
        done(&mut m, "proxy_continue_stream", b"", |envoy| envoy.continue_stream(stream))
    })?;
    linker.func_wrap(ENV, "proxy_close_stream", |mut m: Module, stream: u32| {
        done(&mut m, "proxy_close_stream", b"", |envoy| envoy.close_stream(stream))
    })?;
    linker.func_wrap(
        ENV,
        "proxy_send_local_response",
        |mut m: Module,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         grpc_status: i32| {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let (details, body) = (text(read(&m, details, details_size)?), text(read(&m, body, body_size)?));
            let headers = Headers::decoded(&read(&m, headers, headers_size)?);
            let end = End::Replied { status, grpc_status, details, body, headers };
            done(&mut m, "proxy_send_local_response", b"", |envoy| envoy.reply(end))
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_http_call",
        |mut m: Module,
         cluster: u32,
         cluster_size: u32,
         headers: u32,
         headers_size: u32,
         body: u32,
         body_size: u32,
         _trailers: u32,
         _trailers_size: u32,
         timeout: u32,
         token_at: u32| {
            let (cluster, headers) = (read(&m, cluster, cluster_size)?, read(&m, headers, headers_size)?);
            let body = read(&m, body, body_size)?;
            let call = |envoy: &mut Envoy| envoy.call(&cluster, &headers, &body, timeout).map(u64::from);
            number(&mut m, "proxy_http_call", &cluster, call, token_at, 4)
        },
    )?;
    Ok(())
}

fn of_buffers(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_buffer_bytes",
        |mut m: Module, buffer: u32, start: u32, size: u32, data_at: u32, size_at: u32| {
            let ask = |envoy: &mut Envoy| envoy.buffer(buffer, start, size);
            bytes(&mut m, "proxy_get_buffer_bytes", b"", ask, [data_at, size_at])
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_buffer_bytes",
        |mut m: Module, buffer: u32, start: u32, size: u32, data: u32, data_size: u32| {
            let data = read(&m, data, data_size)?;
            done(&mut m, "proxy_set_buffer_bytes", b"", |envoy| envoy.set_buffer(buffer, start, size, &data))
        },
    )?;
    Ok(())
}

fn of_metrics(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(ENV, "proxy_define_metric", |mut m: Module, kind: u32, name: u32, size: u32, id_at: u32| {
        let name = read(&m, name, size)?;
        let define = |envoy: &mut Envoy| envoy.metrics.define(kind, &String::from_utf8_lossy(&name)).map(u64::from);
        number(&mut m, "proxy_define_metric", &name, define, id_at, 4)
    })?;
    linker.func_wrap(ENV, "proxy_increment_metric", |mut m: Module, id: u32, by: i64| {
        done(&mut m, "proxy_increment_metric", b"", |envoy| envoy.metrics.increment(id, by))
    })?;
    linker.func_wrap(ENV, "proxy_record_metric", |mut m: Module, id: u32, value: u64| {
        done(&mut m, "proxy_record_metric", b"", |envoy| envoy.metrics.record(id, value))
    })?;
    linker.func_wrap(ENV, "proxy_get_metric", |mut m: Module, id: u32, value_at: u32| {
        number(&mut m, "proxy_get_metric", b"", |envoy| envoy.metrics.get(id), value_at, 8)
    })?;
    Ok(())
}

fn of_wasi(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(WASI, "clock_time_get", |mut m: Module, clock: u32, _precision: u64, time_at: u32| {
        number(&mut m, "clock_time_get", b"", |envoy| envoy.clock(clock), time_at, 8)
    })?;
    linker.func_wrap(WASI, "random_get", |mut m: Module, at: u32, size: u32| {
        let mut random = Vec::new();
        let draw = |envoy: &mut Envoy| {
            random = envoy.random(size as usize);
            Ok(())
        };
        let status = done(&mut m, "random_get", b"", draw)?;
        if status == OK {
            write(&mut m, at, &random)?;
        }
        Ok::<_, Trap>(status)
    })?;
    Ok(())
}

/// A call that gives nothing but its status.
fn done(
    module: &mut Module,
    call: &'static str,
    subject: &[u8],
    work: impl FnOnce(&mut Envoy) -> Result<(), u32>,
) -> Result<u32, Trap> {
    let envoy = &mut module.data_mut().envoy;
    Ok(match envoy.scripted(call, subject) {
        Some(Answer::Status(status)) => status,
        Some(Answer::Bytes(_) | Answer::Number(_)) => OK,
        None => work(envoy).err().unwrap_or(OK),
    })
}

/// A call that gives bytes.
fn bytes(
    module: &mut Module,
    call: &'static str,
    subject: &[u8],
    ask: impl FnOnce(&mut Envoy) -> Result<Vec<u8>, u32>,
    [data_at, size_at]: [u32; 2],
) -> Result<u32, Trap> {
    let envoy = &mut module.data_mut().envoy;
    let result = match envoy.scripted(call, subject) {
        Some(Answer::Status(OK)) => Ok(Vec::new()),
        Some(Answer::Status(status)) => Err(status),
        Some(Answer::Bytes(bytes)) => Ok(bytes),
        Some(Answer::Number(number)) => Ok(number.to_le_bytes().into()),
        None => ask(envoy),
    };
    match result {
        Ok(bytes) => hand_over(module, &bytes, data_at, size_at).map(|()| OK),
        Err(status) => Ok(status),
    }
}

/// A call that gives a number of so many bytes.
fn number(
    module: &mut Module,
    call: &'static str,
    subject: &[u8],
    ask: impl FnOnce(&mut Envoy) -> Result<u64, u32>,
    at: u32,
    size: usize,
) -> Result<u32, Trap> {
    let envoy = &mut module.data_mut().envoy;
    let result = match envoy.scripted(call, subject) {
        Some(Answer::Status(OK) | Answer::Bytes(_)) => return Ok(OK),
        Some(Answer::Status(status)) => Err(status),
        Some(Answer::Number(number)) => Ok(number),
        None => ask(envoy),
    };
    match result {
        Ok(number) => write(module, at, number.to_le_bytes().get(..size).unwrap_or_default()).map(|()| OK),
        Err(status) => Ok(status),
    }
}
