//! The change to one module.

use std::collections::BTreeSet;

use anyhow::{bail, ensure, Context, Result};
use walrus::{ExportItem, Module, ModuleConfig};

use crate::abi::{ALLOCATORS, ALWAYS, CALLBACKS, WASI, WASI_CALLS};
use crate::{duplicates, helpers};

/// What becomes of the name section, from which Envoy takes the function names of a crash backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Functions keep their names.
    Keep,
    /// A backtrace shows indices.
    Drop,
}

/// Makes of a linked module one that exports the given callbacks and what every module needs, and no more.
///
/// The result depends on the arguments alone: the same module gives the same bytes.
pub fn pack(linked: &[u8], callbacks: &[String], names: Names) -> Result<Vec<u8>> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(names == Names::Keep).generate_producers_section(false);
    let mut module = config.parse(linked).context("not a WebAssembly module that can be read")?;
    let kept = kept_exports(&module, callbacks)?;
    drop_exports(&mut module, &kept);
    drop_custom_sections(&mut module);
    helpers::take_out(&mut module)?;
    walrus::passes::gc::run(&mut module);
    check_imports(&module)?;
    duplicates::merge(module.emit_wasm(), &config)
}

fn kept_exports(module: &Module, callbacks: &[String]) -> Result<BTreeSet<String>> {
    let mut kept = BTreeSet::new();
    for name in ALWAYS {
        ensure!(exported(module, name), "the module does not export {name}, which every proxy-wasm module needs");
        kept.insert(name.to_owned());
    }
    let Some(allocator) = ALLOCATORS.into_iter().find(|name| exported(module, name)) else {
        bail!("the module exports no allocator ({})", ALLOCATORS.join(" or "));
    };
    kept.insert(allocator.to_owned());
    for name in callbacks {
        ensure!(!ALWAYS.contains(&name.as_str()), "callback {name} need not be named: every module keeps it");
        ensure!(CALLBACKS.contains(&name.as_str()), "callback {name} is not one of proxy-wasm ABI 0.2.1");
        ensure!(exported(module, name), "callback {name} is not exported by the module");
        ensure!(kept.insert(name.clone()), "callback {name} is named twice");
    }
    Ok(kept)
}

fn exported(module: &Module, name: &str) -> bool {
    module.exports.iter().any(|export| {
        let is_memory = matches!(export.item, ExportItem::Memory(_));
        let is_function = matches!(export.item, ExportItem::Function(_));
        export.name == name && if name == "memory" { is_memory } else { is_function }
    })
}

fn drop_exports(module: &mut Module, kept: &BTreeSet<String>) {
    let dropped: Vec<_> =
        module.exports.iter().filter(|export| !kept.contains(&export.name)).map(|export| export.id()).collect();
    for id in dropped {
        module.exports.delete(id);
    }
}

/// What remains here says which features the compiler used; Envoy does not read it.
fn drop_custom_sections(module: &mut Module) {
    let dropped: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in dropped {
        module.customs.delete(id);
    }
}

/// A call of anything but the ABI would make Envoy refuse the module, long after the build.
fn check_imports(module: &Module) -> Result<()> {
    for import in module.imports.iter() {
        ensure!(
            match import.module.as_str() {
                "env" => import.name.starts_with("proxy_"),
                WASI => WASI_CALLS.contains(&import.name.as_str()),
                _ => false,
            },
            "the module calls {}.{}, which Envoy does not have",
            import.module,
            import.name
        );
    }
    Ok(())
}
