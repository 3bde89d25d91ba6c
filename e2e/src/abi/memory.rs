//! The module's memory, as host functions read and write it.

use anyhow::Result;
use wasmi::{AsContextMut, Caller, Memory, TypedFunc};

use crate::abi::envoy::Envoy;

/// What a module's host functions reach.
#[derive(Default)]
pub(super) struct Host {
    pub envoy: Envoy,
    pub exports: Option<Exports>,
}

/// What they need of the module.
#[derive(Clone, Copy)]
pub(super) struct Exports {
    pub memory: Memory,
    /// Memory for what is handed over.
    pub malloc: TypedFunc<u32, u32>,
}

/// The caller of a host function. A pointer that is wrong is the module's mistake, and a trap.
pub(super) type Module<'a> = Caller<'a, Host>;

/// An error that becomes a trap.
pub(super) type Trap = wasmi::Error;

fn exports(module: &Module) -> Result<Exports, Trap> {
    module.data().exports.ok_or_else(|| Trap::new("a host call while the module is made"))
}

/// The bytes at a pointer.
pub(super) fn read(module: &Module, pointer: u32, size: u32) -> Result<Vec<u8>, Trap> {
    let memory = exports(module)?.memory.data(module);
    let bytes = memory.get(pointer as usize..).and_then(|rest| rest.get(..size as usize));
    bytes.map(Into::into).ok_or_else(|| Trap::new(format!("no {size} bytes at {pointer}")))
}

/// Puts bytes at a pointer.
pub(super) fn write(module: &mut Module, pointer: u32, bytes: &[u8]) -> Result<(), Trap> {
    let memory = exports(module)?.memory;
    let wrong = |_| Trap::new(format!("no place for {} bytes at {pointer}", bytes.len()));
    memory.write(module.as_context_mut(), pointer as usize, bytes).map_err(wrong)
}

/// Hands bytes over: in memory that the module allocates, or as a null pointer if there are none.
pub(super) fn hand_over(module: &mut Module, bytes: &[u8], pointer_at: u32, size_at: u32) -> Result<(), Trap> {
    let size = u32::try_from(bytes.len()).map_err(|_| Trap::new("too much to hand over"))?;
    let pointer = if bytes.is_empty() {
        0
    } else {
        let malloc = exports(module)?.malloc;
        malloc.call(module.as_context_mut(), size)?
    };
    if !bytes.is_empty() {
        write(module, pointer, bytes)?;
    }
    write(module, pointer_at, &pointer.to_le_bytes())?;
    write(module, size_at, &size.to_le_bytes())
}
