//! The host calls that the SDK's traits offer as methods, and that no filter makes.
//!
//! A context is a trait object: its table of methods has all that the trait has, so that the linker keeps a copy of each
//! of these per type of context, with all they call. Filters reach the host through the crate `adapter` instead, and
//! `filters/clippy.toml` forbids to call these. So their bodies are never run, and are taken out.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{ensure, Result};
use rustc_demangle::demangle;
use walrus::ir::{Call, RefFunc, Visitor};
use walrus::{ElementItems, FunctionBuilder, FunctionId, Module, TypeId};

/// Where the traits are.
const TRAITS: &str = "proxy_wasm::traits::";

/// The methods, by trait: all of proxy-wasm 0.2.5 but the callbacks, those that make contexts, and `get_type`.
pub const HELPERS: [(&str, &[&str]); 4] = [
    (
        "Context",
        &[
            "get_current_time",
            "get_property",
            "set_property",
            "get_shared_data",
            "set_shared_data",
            "remove_shared_data",
            "register_shared_queue",
            "resolve_shared_queue",
            "dequeue_shared_queue",
            "enqueue_shared_queue",
            "dispatch_http_call",
            "get_http_call_response_headers",
            "get_http_call_response_headers_bytes",
            "get_http_call_response_header",
            "get_http_call_response_header_bytes",
            "get_http_call_response_body",
            "get_http_call_response_trailers",
            "get_http_call_response_trailers_bytes",
            "get_http_call_response_trailer",
            "get_http_call_response_trailer_bytes",
            "dispatch_grpc_call",
            "get_grpc_call_response_body",
            "cancel_grpc_call",
            "open_grpc_stream",
            "get_grpc_stream_initial_metadata",
            "get_grpc_stream_initial_metadata_value",
            "send_grpc_stream_message",
            "get_grpc_stream_message",
            "get_grpc_stream_trailing_metadata",
            "get_grpc_stream_trailing_metadata_value",
            "cancel_grpc_stream",
            "close_grpc_stream",
            "get_grpc_status",
            "call_foreign_function",
            "done",
        ],
    ),
    ("RootContext", &["get_vm_configuration", "get_plugin_configuration", "set_tick_period"]),
    (
        "StreamContext",
        &[
            "get_downstream_data",
            "set_downstream_data",
            "resume_downstream",
            "close_downstream",
            "get_upstream_data",
            "set_upstream_data",
            "resume_upstream",
            "close_upstream",
        ],
    ),
    (
        "HttpContext",
        &[
            "get_http_request_headers",
            "get_http_request_headers_bytes",
            "set_http_request_headers",
            "set_http_request_headers_bytes",
            "get_http_request_header",
            "get_http_request_header_bytes",
            "set_http_request_header",
            "set_http_request_header_bytes",
            "add_http_request_header",
            "add_http_request_header_bytes",
            "remove_http_request_header",
            "get_http_request_body",
            "set_http_request_body",
            "get_http_request_trailers",
            "get_http_request_trailers_bytes",
            "set_http_request_trailers",
            "set_http_request_trailers_bytes",
            "get_http_request_trailer",
            "get_http_request_trailer_bytes",
            "set_http_request_trailer",
            "set_http_request_trailer_bytes",
            "add_http_request_trailer",
            "add_http_request_trailer_bytes",
            "remove_http_request_trailer",
            "resume_http_request",
            "reset_http_request",
            "get_http_response_headers",
            "get_http_response_headers_bytes",
            "set_http_response_headers",
            "set_http_response_headers_bytes",
            "get_http_response_header",
            "get_http_response_header_bytes",
            "set_http_response_header",
            "set_http_response_header_bytes",
            "add_http_response_header",
            "add_http_response_header_bytes",
            "remove_http_response_header",
            "get_http_response_body",
            "set_http_response_body",
            "get_http_response_trailers",
            "get_http_response_trailers_bytes",
            "set_http_response_trailers",
            "set_http_response_trailers_bytes",
            "get_http_response_trailer",
            "get_http_response_trailer_bytes",
            "set_http_response_trailer",
            "set_http_response_trailer_bytes",
            "add_http_response_trailer",
            "add_http_response_trailer_bytes",
            "remove_http_response_trailer",
            "resume_http_response",
            "reset_http_response",
            "send_http_response",
            "send_grpc_response",
        ],
    ),
];

/// Takes the helpers out of the tables, where traps are instead. A direct call of one, which clippy should have refused, is an error.
pub fn take_out(module: &mut Module) -> Result<()> {
    let helpers: BTreeSet<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_helper))
        .collect();
    for (caller, body) in module.funcs.iter_local().filter(|(id, _)| !helpers.contains(id)) {
        let mut found = Calls { of: &helpers, first: None };
        walrus::ir::dfs_in_order(&mut found, body, body.entry_block());
        if let Some(helper) = found.first {
            let name = |id| module.funcs.get(id).name.as_deref().map(|name| format!("{:#}", demangle(name)));
            ensure!(
                false,
                "{} calls {}, whose body is taken out: call the host through the crate `adapter`",
                name(caller).unwrap_or_default(),
                name(helper).unwrap_or_default()
            );
        }
    }
    replace_by_traps(module, &helpers);
    Ok(())
}

/// Puts traps where tables have helpers, one for each type of function.
fn replace_by_traps(module: &mut Module, helpers: &BTreeSet<FunctionId>) {
    let mut traps: BTreeMap<TypeId, FunctionId> = BTreeMap::new();
    for id in helpers {
        let kind = module.funcs.get(*id).ty();
        if let Entry::Vacant(entry) = traps.entry(kind) {
            let (parameters, results) = module.types.params_results(kind);
            let (parameters, results) = (parameters.to_vec(), results.to_vec());
            let mut trap = FunctionBuilder::new(&mut module.types, &parameters, &results);
            trap.name("taken_out".to_owned()).func_body().unreachable();
            let arguments = parameters.into_iter().map(|kind| module.locals.add(kind)).collect();
            entry.insert(trap.finish(arguments, &mut module.funcs));
        }
    }
    for element in module.elements.iter_mut() {
        if let ElementItems::Functions(functions) = &mut element.items {
            for function in functions.iter_mut().filter(|function| helpers.contains(function)) {
                if let Some(trap) = traps.get(&module.funcs.get(*function).ty()) {
                    *function = *trap;
                }
            }
        }
    }
}

/// Whether a symbol is a helper: `proxy_wasm::traits::Context::done`, or, as newer compilers name the copy of a type,
/// `<stats::module::Root as proxy_wasm::traits::Context>::done`.
fn is_helper(symbol: &str) -> bool {
    let path = format!("{:#}", demangle(symbol));
    let method = match path.strip_prefix('<').and_then(|path| path.rsplit_once(" as ")) {
        Some((_, method)) => method.replacen(">::", "::", 1),
        None => path,
    };
    let Some((name, method)) = method.strip_prefix(TRAITS).and_then(|method| method.split_once("::")) else {
        return false;
    };
    HELPERS.iter().any(|(of, methods)| *of == name && methods.contains(&method))
}

struct Calls<'a> {
    of: &'a BTreeSet<FunctionId>,
    first: Option<FunctionId>,
}

impl Calls<'_> {
    fn see(&mut self, id: FunctionId) {
        if self.first.is_none() && self.of.contains(&id) {
            self.first = Some(id);
        }
    }
}

impl<'i> Visitor<'i> for Calls<'_> {
    fn visit_call(&mut self, call: &Call) {
        self.see(call.func);
    }

    fn visit_ref_func(&mut self, reference: &RefFunc) {
        self.see(reference.func);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_known_by_its_whole_path() {
        for symbol in [
            "_ZN10proxy_wasm6traits7Context4done17h15071535af55b890E",
            "_ZN10proxy_wasm6traits11HttpContext18reset_http_request17h15071535af55b890E",
            "_ZN67_$LT$stats..module..Root$u20$as$u20$proxy_wasm..traits..Context$GT$4done17h15071535af55b890E",
            "_RNvYNtCs1234_5stats4RootNtNtCs1234_10proxy_wasm6traits7Context4done",
        ] {
            assert!(is_helper(symbol), "{symbol}: {:#}", demangle(symbol));
        }
        for symbol in [
            "proxy_on_done",
            "_ZN10proxy_wasm6traits7Context7on_done17h15071535af55b890E",
            "_ZN10proxy_wasm6traits11RootContext4done17h15071535af55b890E",
            "_ZN10proxy_wasm9hostcalls4done17h15071535af55b890E",
            "_ZN5other10proxy_wasm6traits7Context4done17h15071535af55b890E",
            "_ZN71_$LT$stats..module..Root$u20$as$u20$proxy_wasm..traits..RootContext$GT$8get_type17h15071535af55b890E",
        ] {
            assert!(!is_helper(symbol), "{symbol}: {:#}", demangle(symbol));
        }
    }
}
