//! `google.protobuf.Struct`, the form in which proxies exchange metadata.
//!
//! Maps are ordered, so encoding is deterministic: two proxies with equal metadata produce equal bytes.

use std::collections::BTreeMap;

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// The fields by name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// What the value is; nothing when a peer sends a kind that we do not know.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// The kinds of [`Value`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
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
    pub values: Vec<Value>,
}

impl Struct {
    /// The text of a field; nothing if it is absent or of another kind.
    pub fn text(&self, name: &str) -> &str {
        match self.fields.get(name).and_then(|value| value.kind.as_ref()) {
            Some(Kind::Text(text)) => text,
            _ => "",
        }
    }

    /// A field that is a struct.
    pub fn structure(&self, name: &str) -> Option<&Struct> {
        match self.fields.get(name)?.kind.as_ref()? {
            Kind::Struct(structure) => Some(structure),
            _ => None,
        }
    }

    /// Sets a text field, unless the text is empty.
    pub fn set_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.set(name, Kind::Text(text.into()));
        }
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, kind: Kind) {
        self.fields.insert(name.into(), Value { kind: Some(kind) });
    }
}
