//! Modules written in WebAssembly's text form: filters that do nothing, and one that makes a peer known.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// What every module has. Nothing is ever asked of the host that would need the allocator's memory.
const BASE: &str = r#"
  (memory (export "memory") 1)
  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 32768)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_delete") (param i32))
"#;

const CONFIGURE: &str = r#"
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
"#;

/// What Envoy calls in a filter that only looks at ended streams, as stats does.
const ON_LOG: &str = r#"
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_tick") (param i32))
  (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) i32.const 0)
  (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32) i32.const 0)
"#;

/// What Envoy calls in a filter that decides at the request's headers, as fault does.
const ON_REQUEST: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0)
"#;

/// File name of the filter that is called when a stream has ended.
pub const EMPTY: &str = "empty.wasm";
/// File name of the filter that is called at a request's headers.
pub const EMPTY_HEADERS: &str = "empty_headers.wasm";
/// File name of the network filter that puts a peer on each new connection.
pub const PEER: &str = "peer.wasm";

/// Writes all of them.
pub fn write(directory: &Path, peer: &[u8]) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    for (name, body) in [
        (EMPTY, format!("{BASE}{CONFIGURE}{ON_LOG}")),
        (EMPTY_HEADERS, format!("{BASE}{CONFIGURE}{ON_REQUEST}")),
        (PEER, peer_module(peer)),
    ] {
        let module = wat::parse_str(format!("(module {body})")).with_context(|| format!("{name} is not a module"))?;
        let path = directory.join(name);
        std::fs::write(&path, module).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Does on each connection what metadata exchange does on each request: `wasm.downstream_peer` is set to a Struct, declared
/// as such. Native filters cannot: what they set is of another type, which properties do not show.
fn peer_module(peer: &[u8]) -> String {
    let key = labels::peer::DOWNSTREAM_PEER;
    let declaration = declaration(key);
    let function = "declare_property";
    let at = [1024, 1280, 1536, 4096]; // function, declaration, key, peer
    let lengths = [function.len(), declaration.len(), key.len(), peer.len()];
    let data: String = at
        .iter()
        .zip([function.as_bytes(), &declaration, key.as_bytes(), peer])
        .map(|(offset, bytes)| format!("  (data (i32.const {offset}) \"{}\")\n", escaped(bytes)))
        .collect();
    let [function_at, declaration_at, key_at, peer_at] = at;
    let [function_length, declaration_length, key_length, peer_length] = lengths;
    format!(
        r#"
  (import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set (param i32 i32 i32 i32) (result i32)))
{BASE}{data}
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (i32.eqz (call $call
      (i32.const {function_at}) (i32.const {function_length}) (i32.const {declaration_at}) (i32.const {declaration_length})
      (i32.const 512) (i32.const 516))))
  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (drop (call $set (i32.const {key_at}) (i32.const {key_length}) (i32.const {peer_at}) (i32.const {peer_length})))
    i32.const 0)
"#
    )
}

/// The argument of Envoy's `declare_property`: a key whose value is a Struct, for as long as the connection.
fn declaration(key: &str) -> Vec<u8> {
    const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
    let mut bytes = Vec::new();
    for (tag, text) in [(0x0a, key), (0x22, STRUCT)] {
        bytes.push(tag);
        bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(text.as_bytes());
        if tag == 0x0a {
            bytes.extend([0x18, 3]); // type: Protobuf
        }
    }
    bytes
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_modules_can_be_assembled() {
        let directory = std::env::temp_dir().join(format!("remixer-bench-test-{}", std::process::id()));
        write(&directory, b"\x00\"\\peer").unwrap();
        for name in [EMPTY, EMPTY_HEADERS, PEER] {
            assert!(std::fs::read(directory.join(name)).unwrap().starts_with(b"\0asm"), "{name}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_declaration_is_the_message_that_envoy_reads() {
        let expected = b"\x0a\x01k\x18\x03\x22\x2atype.googleapis.com/google.protobuf.Struct";
        assert_eq!(declaration("k"), expected);
    }
}
