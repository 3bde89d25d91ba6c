//! A container's environment, and what of it stands in its arguments.

use std::collections::BTreeMap;

use anyhow::{bail, Context, Result};

use super::spec::{Container, KeyRef, Pod, ValueFrom};
use crate::api::Api;
use crate::json::at;
use crate::network::API_SERVICE;

/// Processors and memory of the node, for containers without limits.
const NODE_CPU: u64 = 2;
const NODE_MEMORY: u64 = 1 << 30;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a container of a pod with an address; `image` is what its image sets.
pub fn of(
    api: &Api,
    pod: &Pod,
    container: &Container,
    address: &str,
    image: &[(String, String)],
) -> Result<BTreeMap<String, String>> {
    let own = [
        ("PATH", PATH.to_owned()),
        ("HOME", "/tmp".to_owned()),
        ("HOSTNAME", pod.metadata.name.clone()),
        ("KUBERNETES_SERVICE_HOST", API_SERVICE.to_string()),
        ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
    ];
    let mut variables: BTreeMap<String, String> = own.map(|(name, value)| (name.to_owned(), value)).into();
    variables.extend(image.iter().cloned());
    for variable in &container.env {
        let value = match &variable.value_from {
            None => expanded(&variable.value, &variables),
            Some(ValueFrom::FieldRef(field)) => pod
                .field(&field.field_path, address)
                .with_context(|| format!("{}: fieldRef {} is not known here", variable.name, field.field_path))?,
            Some(ValueFrom::ResourceFieldRef(of)) => limit(container, &of.resource)?,
            Some(ValueFrom::ConfigMapKeyRef(key)) => match config(api, pod, key)? {
                Some(value) => value,
                None => continue,
            },
        };
        variables.insert(variable.name.clone(), value);
    }
    Ok(variables)
}

/// A text with the values of variables in place of `$(NAME)`; a name that is not known stays.
pub fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        out.push_str(before);
        let known = after.split_once(')').and_then(|(name, tail)| Some((variables.get(name)?, tail)));
        match known {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push_str("$(");
                rest = after;
            }
        }
    }
    out + rest
}

/// A limit of a container: whole processors, or bytes.
pub fn limit(container: &Container, resource: &str) -> Result<String> {
    let kind = resource.rsplit('.').next().unwrap_or_default();
    let set = container.resources.limits.get(kind);
    let value = match (kind, set) {
        ("cpu", None) => NODE_CPU,
        ("memory", None) => NODE_MEMORY,
        ("cpu", Some(text)) => match text.strip_suffix('m') {
            Some(thousandths) => thousandths.parse::<u64>()?.div_ceil(1000),
            None => text.parse()?,
        },
        ("memory", Some(text)) => bytes(text).with_context(|| format!("{text} is no size known here"))?,
        _ => bail!("resourceFieldRef {resource} is not known here"),
    };
    Ok(value.to_string())
}

fn bytes(text: &str) -> Option<u64> {
    let units =
        [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn config(api: &Api, pod: &Pod, key: &KeyRef) -> Result<Option<String>> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{}", pod.metadata.namespace, key.name);
    let map = api.find(&path)?;
    let value = map.as_ref().and_then(|map| at(map, "/data").get(&key.key)?.as_str());
    if value.is_none() && !key.optional {
        bail!("ConfigMap {} has no {}", key.name, key.key);
    }
    Ok(value.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_brackets_become_values() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, expected) in [("x$(A)y$(A)", "x1y1"), ("$(B)", "$(A)"), ("$(C) $(A", "$(C) $(A"), ("$A", "$A")] {
            assert_eq!(expanded(text, &variables), expected);
        }
    }

    #[test]
    fn sizes_are_bytes() {
        for (text, expected) in [("1Gi", Some(1 << 30)), ("128M", Some(128_000_000)), ("7", Some(7)), ("1X", None)] {
            assert_eq!(bytes(text), expected);
        }
    }
}
