//! Calls about buffers: of TCP connections, bodies and configurations.

use crate::abi::context::Kind;
use crate::abi::envoy::Envoy;
use crate::abi::status::{BAD_ARGUMENT, NOT_FOUND};
use crate::abi::stream::Buffer;

impl Envoy {
    /// Bytes of a buffer. Where it is not at hand, there are none.
    pub(super) fn buffer(&mut self, buffer: u32, start: u32, size: u32) -> Result<Vec<u8>, u32> {
        let end = start.saturating_add(size) as usize;
        let bytes = match Buffer::of(buffer).ok_or(NOT_FOUND)? {
            Buffer::PluginConfiguration if !self.is_configuring() => return Err(NOT_FOUND),
            Buffer::PluginConfiguration => match &self.current()?.kind {
                Kind::Root(root) => root.plugin.configuration.as_slice(),
                _ => return Err(NOT_FOUND),
            },
            Buffer::CallBody => self.root()?.1.response.as_ref().ok_or(NOT_FOUND)?.body.as_slice(),
            buffer => self.context()?.buffers.get(&buffer).map(Vec::as_slice).unwrap_or_default(),
        };
        Ok(bytes.get(start as usize..end.min(bytes.len())).unwrap_or_default().into())
    }

    /// Puts bytes in place of some of a buffer; before it if there are none, behind it beyond its end.
    pub(super) fn set_buffer(&mut self, buffer: u32, start: u32, size: u32, data: &[u8]) -> Result<(), u32> {
        let buffer = Buffer::of(buffer).ok_or(BAD_ARGUMENT)?;
        let bytes = self.context()?.buffers.get_mut(&buffer).ok_or(BAD_ARGUMENT)?;
        match start as usize {
            0 => drop(bytes.splice(..bytes.len().min(size as usize), data.iter().copied())),
            start if start >= bytes.len() => bytes.extend(data),
            _ => return Err(BAD_ARGUMENT),
        }
        Ok(())
    }
}
