//! Fields of Envoy messages in JSON. Names can be in snake_case or camelCase.

use serde_json::{Map, Value};

use crate::names::snake;

/// The key of a field in a message, for any spelling of the key and of `name`.
pub(crate) fn key<'a>(message: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let wanted = snake(name);
    message.keys().find(|key| **key == wanted || snake(key) == wanted).map(String::as_str)
}

/// A field of a message; null counts as absent.
pub(crate) fn get<'a>(message: &'a Value, name: &str) -> Option<&'a Value> {
    let map = message.as_object()?;
    map.get(key(map, name)?).filter(|value| !value.is_null())
}

/// A field of a message, to be edited.
pub(crate) fn get_mut<'a>(message: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let map = message.as_object_mut()?;
    let key = key(map, name)?.to_owned();
    map.get_mut(&key).filter(|value| !value.is_null())
}

/// A field, by its path in the message.
pub(crate) fn dig<'a>(message: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(message, |value, name| get(value, name))
}

/// A string field; absent and empty are the same, as in protobuf.
pub(crate) fn text<'a>(message: &'a Value, name: &str) -> &'a str {
    get(message, name).and_then(Value::as_str).unwrap_or_default()
}

/// A port, by its path. Like Envoy, accepts numbers written as strings.
pub(crate) fn port(message: &Value, path: &[&str]) -> Option<u32> {
    match dig(message, path)? {
        Value::Number(number) => number.as_u64().and_then(|port| u32::try_from(port).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The items of a list field.
pub(crate) fn list<'a>(message: &'a Value, name: &str) -> &'a [Value] {
    get(message, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The items of a list field, to be edited. The field is created if it is missing.
pub(crate) fn list_mut<'a>(message: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let map = message.as_object_mut()?;
    let key = key(map, name).unwrap_or(name).to_owned();
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut()
}

/// Sets a field, with the spelling that the message already uses.
pub(crate) fn set(message: &mut Value, name: &str, value: Value) {
    if let Some(map) = message.as_object_mut() {
        let key = key(map, name).unwrap_or(name).to_owned();
        map.insert(key, value);
    }
}

/// Removes a field.
pub(crate) fn remove(message: &mut Value, name: &str) {
    if let Some(map) = message.as_object_mut() {
        if let Some(key) = key(map, name).map(str::to_owned) {
            map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_find_the_same_field() {
        let message = json!({"typedConfig": {"http_filters": ["a"]}});
        assert_eq!(list(&message["typedConfig"], "http_filters").len(), 1);
        assert!(dig(&message, &["typed_config", "httpFilters"]).is_some());
    }

    #[test]
    fn a_missing_list_is_made_and_an_existing_one_keeps_its_spelling() {
        let mut message = json!({"listenerFilters": []});
        list_mut(&mut message, "listener_filters").unwrap().push(json!(1));
        list_mut(&mut message, "filter_chains").unwrap().push(json!(2));
        assert_eq!(message, json!({"listenerFilters": [1], "filter_chains": [2]}));
    }

    #[test]
    fn ports_are_numbers_or_strings() {
        assert_eq!(port(&json!({"portValue": 80}), &["port_value"]), Some(80));
        assert_eq!(port(&json!({"port_value": "80"}), &["port_value"]), Some(80));
        assert_eq!(port(&json!({}), &["port_value"]), None);
    }
}
