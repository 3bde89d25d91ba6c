//! The modules of `dist/`, compiled once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use wasmi::{Config, Engine, Module};

/// What all modules of a test program share.
struct Loaded {
    engine: Engine,
    modules: Mutex<BTreeMap<String, Module>>,
}

/// The built module of this name.
pub(super) fn load(name: &str) -> Result<Module> {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    let Loaded { engine, modules } = LOADED.get_or_init(|| {
        let mut config = Config::default();
        // Most functions of a module are called by no test.
        config.compilation_mode(wasmi::CompilationMode::Lazy);
        Loaded { engine: Engine::new(&config), modules: Mutex::default() }
    });
    let mut modules = modules.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(name) {
        return Ok(module.clone());
    }
    let file = format!("{name}.wasm");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist").join(&file);
    let bytes = std::fs::read(path).with_context(|| format!("dist/{file} is missing: run \"make build\""))?;
    let module = Module::new(engine, bytes).with_context(|| file)?;
    modules.insert(name.into(), module.clone());
    Ok(module)
}
