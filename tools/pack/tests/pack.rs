//! Small modules, before and after.
#![allow(clippy::expect_used)] // clippy.toml allows it in tests, but not in what they share

use std::collections::BTreeSet;

use catalog::{ConfigMap, Module as Row, TABLE};
use pack::{check_table, pack, ModuleCrate, Names, Packed, Report, ALWAYS, CALLBACKS, HELPERS};
use walrus::Module;

/// What every module has, around the given text.
fn module(rest: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
            (memory (export "memory") 1)
            (global (export "__heap_base") i32 (i32.const 1024))
            (func (export "malloc") (param i32) (result i32) i32.const 8)
            (func (export "_initialize"))
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_delete") (param i32))
            {rest})"#
    );
    wat::parse_str(text).expect("a module in text form")
}

fn with_log_and_tick() -> Vec<u8> {
    module(
        r#"(func $say (param i32) (drop (call $log (i32.const 0) (i32.const 0) (i32.const 0))))
           (func $set (param i32) (drop (call $tick (local.get 0))))
           (func (export "proxy_on_log") (param i32) (call $say (local.get 0)))
           (func (export "proxy_on_tick") (param i32) (call $set (local.get 0)))"#,
    )
}

fn names(callbacks: &[&str]) -> Vec<String> {
    callbacks.iter().map(|name| (*name).to_owned()).collect()
}

fn exports(bytes: &[u8]) -> Vec<String> {
    let module = Module::from_buffer(bytes).expect("a module");
    module.exports.iter().map(|export| export.name.clone()).collect()
}

fn error(linked: &[u8], callbacks: &[&str]) -> String {
    format!("{:#}", pack(linked, &names(callbacks), Names::Drop).expect_err("an error"))
}

#[test]
fn only_named_and_needed_exports_remain() {
    let packed = pack(&with_log_and_tick(), &names(&["proxy_on_log"]), Names::Drop).expect("packed");
    let mut expected: Vec<&str> = ALWAYS.to_vec();
    expected.extend(["malloc", "proxy_on_log"]);
    expected.sort_unstable();
    let mut actual = exports(&packed);
    actual.sort_unstable();
    assert_eq!(actual, expected);
}

#[test]
fn what_only_dropped_exports_reached_is_gone() {
    let linked = with_log_and_tick();
    let packed = pack(&linked, &names(&["proxy_on_log"]), Names::Drop).expect("packed");
    let after = Module::from_buffer(&packed).expect("a module");
    let imports: Vec<&str> = after.imports.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(imports, ["proxy_log"], "proxy_on_tick's host call goes with it");
    let both = pack(&linked, &names(&["proxy_on_log", "proxy_on_tick"]), Names::Drop).expect("packed");
    let before = Module::from_buffer(&both).expect("a module");
    assert_eq!(before.functions().count() - after.functions().count(), 3, "the export, its helper, its import");
    assert_eq!(after.globals.iter().count(), 0);
}

#[test]
fn a_function_of_the_table_stays() {
    let linked = module(
        r#"(type $plain (func (param i32)))
           (table 1 funcref)
           (elem (i32.const 0) $reached)
           (func $reached (param i32) (drop (call $tick (local.get 0))))
           (func (export "proxy_on_log") (param i32) (call_indirect (type $plain) (local.get 0) (i32.const 0)))"#,
    );
    let packed = pack(&linked, &names(&["proxy_on_log"]), Names::Drop).expect("packed");
    let imports: Vec<String> =
        Module::from_buffer(&packed).expect("a module").imports.iter().map(|import| import.name.clone()).collect();
    assert_eq!(imports, ["proxy_set_tick_period_milliseconds"]);
}

/// A module with one of the SDK's helpers in its table, and something that `calls` it or not.
fn with_helper(calls: &str) -> Vec<u8> {
    module(&format!(
        r#"(type $plain (func (param i32) (result i32)))
           (table 1 funcref)
           (elem (i32.const 0) $_ZN10proxy_wasm6traits11RootContext15set_tick_period17h0123456789abcdefE)
           (func $_ZN10proxy_wasm6traits11RootContext15set_tick_period17h0123456789abcdefE (param i32) (result i32)
             (call $tick (local.get 0)))
           (func $_ZN5stats4root17h0123456789abcdefE (param i32) (result i32) {calls})
           (func (export "proxy_on_log") (param i32)
             (drop (call $_ZN5stats4root17h0123456789abcdefE (local.get 0)))
             (drop (call_indirect (type $plain) (local.get 0) (i32.const 0))))"#
    ))
}

#[test]
fn body_of_a_helper_that_only_a_table_has_is_taken_out() {
    let packed = pack(&with_helper("(local.get 0)"), &names(&["proxy_on_log"]), Names::Drop).expect("packed");
    let after = Module::from_buffer(&packed).expect("a module");
    assert_eq!(after.imports.iter().count(), 0, "the host call that only the helper made is gone");
    assert_eq!(after.elements.iter().count(), 1, "the table is as it was");
}

#[test]
fn call_of_a_helper_is_refused() {
    let call = "(call $_ZN10proxy_wasm6traits11RootContext15set_tick_period17h0123456789abcdefE (local.get 0))";
    assert_eq!(
        error(&with_helper(call), &["proxy_on_log"]),
        "stats::root calls proxy_wasm::traits::RootContext::set_tick_period, whose body is taken out: \
         call the host through the crate `adapter`"
    );
}

#[test]
fn helpers_are_those_that_clippy_forbids() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../filters/clippy.toml"))
        .expect("clippy.toml");
    let forbidden: BTreeSet<String> = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ path = \"proxy_wasm::")?.split('"').next())
        .map(|path| format!("proxy_wasm::{path}"))
        .collect();
    let helpers: BTreeSet<String> = HELPERS
        .iter()
        .flat_map(|(name, methods)| methods.iter().map(move |method| format!("proxy_wasm::traits::{name}::{method}")))
        .collect();
    assert_eq!(helpers.len(), 100);
    assert_eq!(forbidden, helpers);
}

#[test]
fn packing_is_deterministic_and_can_be_repeated() {
    let once = pack(&with_log_and_tick(), &names(&["proxy_on_log"]), Names::Drop).expect("packed");
    assert_eq!(once, pack(&with_log_and_tick(), &names(&["proxy_on_log"]), Names::Drop).expect("packed"));
    assert_eq!(once, pack(&once, &names(&["proxy_on_log"]), Names::Drop).expect("packed again"));
}

#[test]
fn names_are_dropped_unless_kept() {
    let linked = with_log_and_tick();
    let has_name = |bytes: &[u8]| bytes.windows(3).any(|window| window == b"say");
    assert!(has_name(&pack(&linked, &names(&["proxy_on_log"]), Names::Keep).expect("packed")));
    assert!(!has_name(&pack(&linked, &names(&["proxy_on_log"]), Names::Drop).expect("packed")));
}

#[test]
fn newer_instructions_of_the_compiler_are_read() {
    let linked = module(
        r#"(table $refs 1 externref)
           (func $two (result i32 i32) i32.const 1 i32.const 2)
           (func (export "proxy_on_log") (param i32)
             (memory.fill (i32.const 0) (i32.const 0) (i32.const 8))
             (memory.copy (i32.const 8) (i32.const 0) (i32.const 8))
             (drop (i32.extend8_s (i32.trunc_sat_f64_u (f64.const 1.5))))
             (drop (table.size $refs))
             (call $two) drop drop)"#,
    );
    pack(&linked, &names(&["proxy_on_log"]), Names::Drop).expect("packed");
}

#[test]
fn callback_that_the_abi_does_not_know_is_refused() {
    let text = error(&with_log_and_tick(), &["proxy_on_logs"]);
    assert_eq!(text, "callback proxy_on_logs is not one of proxy-wasm ABI 0.2.1");
}

#[test]
fn callback_that_the_module_does_not_export_is_refused() {
    let text = error(&with_log_and_tick(), &["proxy_on_done"]);
    assert_eq!(text, "callback proxy_on_done is not exported by the module");
}

#[test]
fn callback_that_need_not_be_named_or_is_named_twice_is_refused() {
    assert!(error(&with_log_and_tick(), &["proxy_on_configure"]).contains("every module keeps it"));
    assert!(error(&with_log_and_tick(), &["proxy_on_log", "proxy_on_log"]).contains("named twice"));
}

#[test]
fn module_without_a_needed_export_is_refused() {
    let linked = wat::parse_str(r#"(module (memory (export "memory") 1))"#).expect("a module");
    assert!(error(&linked, &[]).contains("does not export _initialize"), "{}", error(&linked, &[]));
    let memory_is_a_function = wat::parse_str(r#"(module (func (export "memory")))"#).expect("a module");
    assert!(error(&memory_is_a_function, &[]).contains("does not export memory"));
}

/// A module that calls an imported function.
fn calling(module: &str, name: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "{module}" "{name}" (func $call))
            (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 8)
            (func (export "_initialize") (call $call))
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
            (func (export "proxy_on_delete") (param i32)))"#
    );
    wat::parse_str(text).expect("a module")
}

#[test]
fn call_of_what_envoy_does_not_have_is_refused() {
    for (module, name) in [("__wbindgen_placeholder__", "now"), ("env", "now"), ("wasi_snapshot_preview1", "fd_read")] {
        let expected = format!("the module calls {module}.{name}, which Envoy does not have");
        assert_eq!(error(&calling(module, name), &[]), expected);
    }
}

#[test]
fn clock_and_randomness_may_be_called() {
    for name in ["clock_time_get", "random_get"] {
        assert!(pack(&calling("wasi_snapshot_preview1", name), &[], Names::Drop).is_ok(), "{name}");
    }
}

#[test]
fn bytes_that_are_no_module_are_refused() {
    assert!(error(b"\x7fELF", &[]).contains("not a WebAssembly module"));
}

#[test]
fn no_callback_is_also_always_kept() {
    assert!(CALLBACKS.iter().all(|name| !ALWAYS.contains(name)));
}

#[test]
fn module_crates_are_those_with_the_table() {
    let json = br#"{"packages": [
        {"name": "stats", "metadata": {"module": {"callbacks": ["proxy_on_log"]}}},
        {"name": "other", "metadata": {"docs": {}}},
        {"name": "mesh", "metadata": null},
        {"name": "metadata-exchange", "metadata": {"module": {"callbacks": []}}}]}"#;
    let crates = ModuleCrate::from_metadata(json).expect("crates");
    let packages: Vec<&str> = crates.iter().map(|module| module.package.as_str()).collect();
    assert_eq!(packages, ["metadata-exchange", "stats"]);
    assert_eq!(crates.last(), Some(&module_crate("stats", &["proxy_on_log"])));
}

fn module_crate(package: &str, callbacks: &[&str]) -> ModuleCrate {
    ModuleCrate { package: package.to_owned(), callbacks: names(callbacks) }
}

#[test]
fn a_crate_without_a_row_and_a_row_without_a_crate_are_named_with_what_to_add() {
    let row = |package| Row { package, budget: 1, config_map: ConfigMap::Default };
    let crates = [module_crate("stats", &[]), module_crate("tier", &[])];
    assert!(check_table(&crates, &[row("tier"), row("stats")]).is_ok());
    let text = check_table(&crates, &[row("stats"), row("gone")]).expect_err("an error").to_string();
    let [no_row, no_crate] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(no_row.starts_with(TABLE) && no_row.contains("`module(\"tier\", "), "{text}");
    assert!(no_crate.starts_with("filters/gone/Cargo.toml: ") && no_crate.contains("callbacks = ["), "{text}");
}

#[test]
fn misspelt_key_of_the_table_is_refused() {
    let json = br#"{"packages": [{"name": "stats", "metadata": {"module": {"callback": []}}}]}"#;
    let text = format!("{:#}", ModuleCrate::from_metadata(json).expect_err("an error"));
    assert!(text.contains("callback"), "{text}");
}

#[test]
fn report_shows_size_and_digest() {
    let mut report = Report::default();
    report.push(Packed::new("stats.wasm", b"abcd", b"abc", 7));
    let text = report.to_string();
    let row = text.lines().last().expect("a row");
    assert_eq!(
        row,
        "stats.wasm         4         3         7  ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "the digest is FIPS 180-2's example"
    );
}

#[test]
fn a_module_above_its_budget_is_refused_by_name() {
    let mut report = Report::default();
    report.push(Packed::new("one.wasm", &[0; 9], &[0; 3], 3));
    assert!(report.check_sizes().is_ok());
    report.push(Packed::new("two.wasm", &[0; 9], &[0; 4], 3));
    let text = report.check_sizes().expect_err("an error").to_string();
    assert!(text.starts_with("two.wasm has 4 bytes, and may have 3: ") && text.contains(TABLE), "{text}");
}
