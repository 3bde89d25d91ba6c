//! The foreign functions that stock Envoy has for modules.

use crate::abi::context::Kind;
use crate::abi::envoy::Envoy;
use crate::abi::status::{BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND};

impl Envoy {
    pub(super) fn foreign(&mut self, name: &str, argument: &[u8]) -> Result<Vec<u8>, u32> {
        match name {
            "declare_property" => self.declare(argument),
            "expr_create" => self.compile(argument),
            "expr_evaluate" => self.evaluate(argument),
            _ => Err(NOT_FOUND),
        }
    }

    /// `DeclarePropertyArguments`, whose first field is the name.
    fn declare(&mut self, argument: &[u8]) -> Result<Vec<u8>, u32> {
        let [0x0a, length, rest @ ..] = argument else { return Err(BAD_ARGUMENT) };
        let name = rest.get(..usize::from(*length)).ok_or(BAD_ARGUMENT)?;
        let name = String::from_utf8_lossy(name).into_owned();
        // Called for a stream, it has no effect.
        let Kind::Root(root) = &mut self.current()?.kind else { return Ok(Vec::new()) };
        if root.declared.insert(name) {
            Ok(Vec::new())
        } else {
            Err(BAD_ARGUMENT)
        }
    }

    fn compile(&mut self, text: &[u8]) -> Result<Vec<u8>, u32> {
        let text = String::from_utf8_lossy(text).into_owned();
        if self.is_no_expression(&text) {
            return Err(BAD_ARGUMENT);
        }
        let root = self.root_of_current()?;
        root.expressions.push(text);
        Ok((root.expressions.len() as u32 - 1).to_le_bytes().into())
    }

    /// Expressions are about the context of the callback, whatever the effective one is.
    fn evaluate(&mut self, token: &[u8]) -> Result<Vec<u8>, u32> {
        let token: [u8; 4] = token.try_into().map_err(|_| BAD_ARGUMENT)?;
        let root = self.root_of_current()?;
        let text = root.expressions.get(u32::from_le_bytes(token) as usize).cloned().ok_or(NOT_FOUND)?;
        let stream = self.current()?.stream.as_ref().ok_or(INTERNAL_FAILURE)?;
        stream.evaluate(&text).map(Into::into).ok_or(INTERNAL_FAILURE)
    }
}
