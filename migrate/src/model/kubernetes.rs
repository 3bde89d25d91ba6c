//! What the kubernetesenv adapter said of pods that it did not know.

use std::collections::BTreeMap;

use crate::{
    cexl::{self, Value},
    diagnostic::Diagnostics,
    fields::At,
    vocabulary::Attributes,
};

/// Defaults of attributes: with them, the attribute is never absent.
#[derive(Debug, Default)]
pub struct Defaults {
    /// Those of the input's kubernetes instances; `None` if there is none.
    pub bindings: Option<BTreeMap<String, Option<Value>>>,
    /// Whether the input has a kubernetesenv handler.
    pub has_handler: bool,
}

impl Defaults {
    /// Takes over the bindings of one more instance.
    pub(super) fn add(&mut self, bindings: Option<BTreeMap<String, Option<Value>>>) {
        if let Some(bindings) = bindings {
            self.bindings.get_or_insert_default().extend(bindings);
        }
    }

    /// What an attribute is where nothing better is known; `None` if it is absent then.
    pub fn of(&self, attribute: &str) -> Option<Value> {
        match &self.bindings {
            Some(bindings) => bindings.get(attribute).cloned().flatten(),
            None => standard(attribute),
        }
    }
}

/// The default of Istio's own kubernetes instance.
fn standard(attribute: &str) -> Option<Value> {
    let rest = attribute.strip_prefix("source.").or(attribute.strip_prefix("destination."))?;
    Some(match rest {
        "uid" | "name" | "owner" | "serviceAccount" | "workload.uid" | "workload.name" | "workload.namespace" => {
            Value::String("unknown".into())
        }
        "container.name" if attribute.starts_with("destination") => Value::String("unknown".into()),
        "namespace" => Value::String("default".into()),
        "ip" => Value::ip([0, 0, 0, 0].into()),
        "labels" => Value::StringMap(BTreeMap::new()),
        _ => return None,
    })
}

/// `attributeBindings`: what stands after `$out.field |` is the default.
pub(super) fn bindings(
    at: &At<'_>,
    attributes: &Attributes,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Option<Value>> {
    let entries = at.entries(diagnostics);
    let read = |(name, at): (String, At<'_>)| {
        let text = at.node.as_text()?;
        let default = text.split_once('|').and_then(|(_, default)| {
            let expression = cexl::compile(default, attributes).ok()?;
            struct None;
            impl cexl::Attributes for None {
                fn get(&self, _: &str) -> Option<Value> {
                    Option::None
                }
            }
            cexl::evaluate(&expression, &None).ok()
        });
        Some((name, default))
    };
    entries.into_iter().filter_map(read).collect()
}
