//! `google.protobuf.Struct`, the form in which proxies exchange metadata.
//!
//! Fields are written in the order of their names, so two proxies with equal metadata produce equal bytes.

use prost::Message;

use crate::written::{boolean_text, number_text};

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    // On the wire, a map is a list of entries. prost's maps are trees, and need three times as much code.
    #[prost(message, repeated, tag = "1")]
    fields: Vec<StructField>,
}

/// The key of the field `metadata` of `envoy.config.core.v3.Node`.
const METADATA_OF_NODE: u64 = 3 << 3 | 2;

/// A field of a [`Struct`].
#[derive(Clone, PartialEq, prost::Message)]
struct StructField {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<StructValue>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StructValue {
    /// What the value is; nothing when a peer sends a kind that we do not know.
    #[prost(oneof = "ValueKind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<ValueKind>,
}

/// The kinds of [`StructValue`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ValueKind {
    /// `null_value`.
    #[prost(int32, tag = "1")]
    Null(i32),
    /// `number_value`.
    #[prost(double, tag = "2")]
    Number(f64),
    /// `string_value`.
    #[prost(string, tag = "3")]
    Text(String),
    /// `bool_value`.
    #[prost(bool, tag = "4")]
    Bool(bool),
    /// `struct_value`.
    #[prost(message, tag = "5")]
    Struct(Struct),
    /// `list_value`.
    #[prost(message, tag = "6")]
    List(ListValue),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// The elements.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<StructValue>,
}

impl Struct {
    /// A struct from its bytes. One copy of the code for all.
    #[inline(never)]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes).ok()
    }

    /// The metadata in the bytes of an `envoy.config.core.v3.Node`.
    #[inline(never)]
    pub fn of_node(mut node: &[u8]) -> Option<Self> {
        loop {
            let key = varint(&mut node)?;
            let length = match key & 7 {
                0 => varint(&mut node).map(|_| 0)?,
                2 => varint(&mut node)?,
                _ => return None,
            };
            let (value, rest) = node.split_at_checked(usize::try_from(length).ok()?)?;
            if key == METADATA_OF_NODE {
                return Self::of_bytes(value);
            }
            node = rest;
        }
    }

    /// The text of a field; empty if it is absent or of another kind.
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(ValueKind::Text(text)) => text,
            _ => "",
        }
    }

    /// A field as text, also if it is a number or a boolean; empty if it is absent or of another kind.
    pub fn written(&self, name: &str) -> String {
        match self.get(name) {
            Some(ValueKind::Text(text)) => text.clone(),
            Some(ValueKind::Number(number)) => number_text(*number),
            Some(ValueKind::Bool(is)) => boolean_text(*is).into(),
            _ => String::new(),
        }
    }

    /// A field that is a struct.
    pub fn structure(&self, name: &str) -> Option<&Struct> {
        match self.get(name)? {
            ValueKind::Struct(structure) => Some(structure),
            _ => None,
        }
    }

    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// A field; the last one, where a peer sends several of the name.
    fn get(&self, name: &str) -> Option<&ValueKind> {
        self.fields.iter().rfind(|field| field.name == name)?.value.as_ref()?.kind.as_ref()
    }

    /// Sets a text field, unless the text is empty.
    pub fn set_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.set(name, ValueKind::Text(text.into()));
        }
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, kind: ValueKind) {
        let value = Some(StructValue { kind: Some(kind) });
        let place = self.fields.partition_point(|field| field.name.as_str() < name);
        match self.fields.get_mut(place).filter(|field| field.name == name) {
            Some(field) => field.value = value,
            None => self.fields.insert(place, StructField { name: name.into(), value }),
        }
    }
}

/// Takes a number off the front. The library's function is meant for speed, and large.
#[inline(never)]
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).wrapping_shl(shift);
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn fields_are_written_in_the_order_of_their_names() {
        let mut one = Struct::default();
        for (name, text) in [("b", "1"), ("a", "2"), ("c", "3"), ("a", "4")] {
            one.set_text(name, text);
        }
        let field = |name: u8, text: u8| [0x0a, 8, 0x0a, 1, name, 0x12, 3, 0x1a, 1, text];
        assert_eq!(one.encode_to_vec(), [field(b'a', b'4'), field(b'b', b'1'), field(b'c', b'3')].concat());
        assert_eq!(one.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn of_fields_with_one_name_the_last_holds_and_what_is_not_there_is_empty() {
        let field = |text: u8| [0x0a, 8, 0x0a, 1, b'a', 0x12, 3, 0x1a, 1, text];
        let twice = [field(b'1'), field(b'2')].concat();
        assert_eq!(Struct::decode(twice.as_slice()).expect("a struct").text("a"), "2");
        // An entry without a value, one without a name, and one with neither.
        for bytes in [&[0x0a, 3, 0x0a, 1, b'a'][..], &[0x0a, 5, 0x12, 3, 0x1a, 1, b'1'], &[0x0a, 0]] {
            assert_eq!(Struct::decode(bytes).expect("a struct").text("a"), "", "{bytes:?}");
        }
    }
}
