//! Functions that are equal: the linker keeps each copy that generic code makes.
//!
//! Nothing in the modules compares the addresses of functions, so one of them can stand for all.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use walrus::ir::{self, Call, RefFunc, ReturnCall, VisitorMut};
use walrus::{ElementItems, ExportItem, FunctionId, Module, ModuleConfig};

/// Keeps one of each until all differ: callers of equal functions may be equal then.
pub fn merge(mut packed: Vec<u8>, config: &ModuleConfig) -> Result<Vec<u8>> {
    loop {
        let mut module = config.parse(&packed).context("the packed module is not valid")?;
        let first = firsts(&module, &packed);
        if first.is_empty() {
            return Ok(packed);
        }
        replace(&mut module, &Replacing { first });
        walrus::passes::gc::run(&mut module);
        packed = module.emit_wasm();
    }
}

/// For each function that has an equal one before it, that one.
fn firsts(module: &Module, packed: &[u8]) -> HashMap<FunctionId, FunctionId> {
    let code = code_section(packed).unwrap_or_default();
    let mut seen = BTreeMap::new();
    let mut first = HashMap::new();
    for (id, function) in module.funcs.iter_local() {
        let Some(body) = function.original_range.clone().and_then(|range| code.get(range)) else {
            continue;
        };
        match seen.get(&(function.ty(), body)) {
            Some(equal) => {
                first.insert(id, *equal);
            }
            None => {
                seen.insert((function.ty(), body), id);
            }
        }
    }
    first
}

/// What is in the code section, where walrus counts from; sections are an id, a length in LEB128, and as many bytes.
fn code_section(packed: &[u8]) -> Option<&[u8]> {
    const HEADER: usize = 8;
    const CODE: u8 = 10;
    let mut rest = packed.get(HEADER..)?;
    loop {
        let (id, mut after) = rest.split_first()?;
        let (mut length, mut shift) = (0_usize, 0_u32);
        loop {
            let (byte, next) = after.split_first()?;
            after = next;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift = 7_u32.checked_add(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (content, next) = after.split_at_checked(length)?;
        if *id == CODE {
            return Some(content);
        }
        rest = next;
    }
}

fn replace(module: &mut Module, replacing: &Replacing) {
    for (_, function) in module.funcs.iter_local_mut() {
        let entry = function.entry_block();
        ir::dfs_pre_order_mut(&mut &*replacing, function, entry);
    }
    for element in module.elements.iter_mut() {
        if let ElementItems::Functions(functions) = &mut element.items {
            functions.iter_mut().for_each(|function| replacing.replace(function));
        }
    }
    for export in module.exports.iter_mut() {
        if let ExportItem::Function(function) = &mut export.item {
            replacing.replace(function);
        }
    }
}

struct Replacing {
    first: HashMap<FunctionId, FunctionId>,
}

impl Replacing {
    fn replace(&self, function: &mut FunctionId) {
        if let Some(first) = self.first.get(function) {
            *function = *first;
        }
    }
}

impl VisitorMut for &Replacing {
    fn visit_call_mut(&mut self, call: &mut Call) {
        self.replace(&mut call.func);
    }

    fn visit_return_call_mut(&mut self, call: &mut ReturnCall) {
        self.replace(&mut call.func);
    }

    fn visit_ref_func_mut(&mut self, reference: &mut RefFunc) {
        self.replace(&mut reference.func);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_equal_functions_stands_for_all_and_others_stay() {
        let wat = r#"(module
            (table (export "table") funcref (elem $b $c))
            (func $a (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func $b (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func $c (param i32) (result i32) (i32.add (local.get 0) (i32.const 2)))
            (func $unsigned (param i64) (result i64) (local.get 0))
            (func $calls_a (param i32) (result i32) (call $a (local.get 0)))
            (func $calls_b (param i32) (result i32) (call $b (local.get 0)))
            (func (export "ends") (param i32) (result i64)
                (call $unsigned (i64.extend_i32_u (i32.add (call $calls_a (local.get 0)) (call $calls_b (local.get 0)))))))"#;
        let expected = r#"(module
            (table (export "table") funcref (elem $a $c))
            (func $a (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func $c (param i32) (result i32) (i32.add (local.get 0) (i32.const 2)))
            (func $unsigned (param i64) (result i64) (local.get 0))
            (func $calls_a (param i32) (result i32) (call $a (local.get 0)))
            (func (export "ends") (param i32) (result i64)
                (call $unsigned (i64.extend_i32_u (i32.add (call $calls_a (local.get 0)) (call $calls_a (local.get 0)))))))"#;
        let mut config = ModuleConfig::new();
        config.generate_name_section(false).generate_producers_section(false);
        let emit = |wat| config.parse(&wat::parse_str(wat).unwrap()).unwrap().emit_wasm();
        assert_eq!(merge(emit(wat), &config).unwrap(), emit(expected));
    }
}
