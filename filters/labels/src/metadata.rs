//! Metadata as text. Operators write versions such as `2` or `1.10` without quotes, so that they are numbers.

use host::property::{self, Property};
use host::{text_of, Host};

use crate::protobuf::Struct;
use crate::written::{boolean_text, number_text};

/// A value of this node's metadata as text; empty if it is absent, or a list or struct. Envoy gives a number as the 8 bytes of a
/// double, and a boolean as one byte. Call it while the plugin is configured.
#[inline(never)]
pub fn node_text(host: &impl Host, path: &str) -> String {
    let bytes = host.property(Property(path)).unwrap_or_default();
    let has_control = bytes.iter().any(u8::is_ascii_control);
    match bytes.as_slice() {
        [boolean @ (0 | 1)] => boolean_text(*boolean == 1).into(),
        [.., last] if bytes.len() == size_of::<f64>() => {
            if has_control || core::str::from_utf8(&bytes).is_err() {
                return bytes.try_into().map(|bytes| number_text(f64::from_le_bytes(bytes))).unwrap_or_default();
            }
            match last {
                // What ends in these may be a number: `10.1` has the bytes of `333333$@`. All of the node tells its kind.
                0x3e..=0x5f | 0xbe..=0xbf => node(host, path).unwrap_or_else(|| text_of(bytes)),
                _ => text_of(bytes),
            }
        }
        // Lists and structs begin with a count of four bytes.
        _ if bytes.contains(&0) => String::new(),
        _ => text_of(bytes),
    }
}

/// The value in all of the node, which takes 60 KB.
#[inline(never)]
fn node(host: &impl Host, path: &str) -> Option<String> {
    // Texts split texts with 4 KB more code.
    let mut keys = path.as_bytes().strip_prefix(property::NODE_METADATA.as_bytes())?.split(|byte| *byte == 0).skip(1);
    let mut key = keys.next()?;
    let all = host.property(property::NODE)?;
    let mut metadata: &Struct = &Struct::of_node(&all)?;
    for next in keys {
        metadata = metadata.structure(core::str::from_utf8(key).ok()?)?;
        key = next;
    }
    Some(metadata.written(core::str::from_utf8(key).ok()?))
}

#[cfg(test)]
mod tests {
    use host::fake::FakeHost;
    use prost::Message;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::protobuf::ValueKind;

    /// A node whose label `version` has this value.
    fn node_with(version: ValueKind) -> FakeHost {
        let mut host = FakeHost::new();
        let bytes = match &version {
            ValueKind::Text(text) => text.clone().into_bytes(),
            ValueKind::Number(number) => number.to_le_bytes().into(),
            ValueKind::Bool(is) => vec![u8::from(*is)],
            _ => vec![1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a', 0, 0],
        };
        let (mut labels, mut metadata) = (Struct::default(), Struct::default());
        labels.set("version", version);
        metadata.set("LABELS", ValueKind::Struct(labels));
        // Before the metadata, the node's id.
        let metadata = metadata.encode_to_vec();
        let node = [b"\x0a\x02id\x1a".as_slice(), &[metadata.len() as u8], metadata.as_slice()].concat();
        host.with_state(property::NODE.0, &node).with_state(&property::node_label("version"), &bytes);
        host
    }

    #[test]
    fn numbers_and_booleans_of_the_node_are_written_as_in_its_bootstrap() {
        let text = |text: &str| ValueKind::Text(text.into());
        for (version, expected) in [
            (text("v1"), "v1"),
            (text("1.10"), "1.10"),
            (text("reviews1"), "reviews1"),
            (text("333333$@"), "333333$@"),
            (text("releaseA"), "releaseA"),
            (text("ünïcödé"), "ünïcödé"),
            (ValueKind::Number(2.0), "2"),
            (ValueKind::Number(0.0), "0"),
            (ValueKind::Number(1.1), "1.1"),
            (ValueKind::Number(10.1), "10.1"),
            (ValueKind::Number(-0.3), "-0.3"),
            (ValueKind::Number(20.26), "20.26"),
            (ValueKind::Number(1e300), ""),
            (ValueKind::Bool(true), "true"),
            (ValueKind::Bool(false), "false"),
            (ValueKind::Struct(Struct::default()), ""),
        ] {
            let host = node_with(version.clone());
            assert_eq!(node_text(&host, &property::node_label("version")), expected, "{version:?}");
        }
        assert_eq!(node_text(&FakeHost::new(), &property::node_label("version")), "");
    }

    #[test]
    fn all_of_the_node_is_read_only_where_it_must_be() {
        for (version, calls) in [
            (ValueKind::Text("payments".into()), 1),
            (ValueKind::Text("node-001".into()), 1),
            (ValueKind::Number(2.0), 1),
            (ValueKind::Number(1.1), 1),
            (ValueKind::Number(10.1), 2),
        ] {
            let host = node_with(version.clone());
            node_text(&host, &property::node_label("version"));
            assert_eq!(host.take_calls(), calls, "{version:?}");
        }
    }
}
