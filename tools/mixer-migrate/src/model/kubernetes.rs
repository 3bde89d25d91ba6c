//! The kubernetesenv adapter's values for unknown pods.

use std::collections::BTreeMap;

use crate::{
    cexl::{self, Value},
    diagnostic::Diagnostics,
    fields::At,
    vocabulary::{self, Attributes},
};

/// An instance's binding of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Value if the adapter knows nothing; `None` if the attribute is absent then.
    default: Option<Value>,
    /// The attribute with the same value as the adapter's field; `None` if there is none.
    meaning: Option<String>,
}

/// Bindings, by the attributes that they generate.
pub type Bindings = BTreeMap<String, Binding>;

/// Default values of attributes. An attribute with a default is never absent.
#[derive(Debug, Default)]
pub struct Defaults {
    /// The bindings of the input's kubernetes instances; `None` if there is no instance.
    pub bindings: Option<Bindings>,
    /// Whether the input has a kubernetesenv handler.
    pub has_handler: bool,
}

impl Defaults {
    /// Adds the bindings of one more instance.
    pub(super) fn add(&mut self, bindings: Option<Bindings>) {
        if let Some(bindings) = bindings {
            self.bindings.get_or_insert_default().extend(bindings);
        }
    }

    /// The default value of an attribute; `None` if it has none.
    pub fn of(&self, attribute: &str) -> Option<Value> {
        match &self.bindings {
            Some(bindings) => bindings.get(attribute)?.default.clone(),
            None => standard(attribute),
        }
    }

    /// The attribute that an attribute is bound to in the input. Attributes that proxies sent were never overwritten.
    pub fn meaning(&self, attribute: &str) -> Option<&str> {
        let is_sent = ["uid", "ip", "namespace"].into_iter().any(|name| attribute.ends_with(&format!(".{name}")));
        let is_free = !vocabulary::is_built_in(attribute) || standard(attribute).is_some() && !is_sent;
        self.bindings.as_ref()?.get(attribute).filter(|_| is_free)?.meaning.as_deref()
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

/// `attributeBindings`: the part after `$out.field |` is the default.
pub(super) fn bindings(at: &At<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Bindings {
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
        let field = text.split('|').next().and_then(|field| field.trim().strip_prefix("$out."));
        Some((name, Binding { default, meaning: field.and_then(meaning) }))
    };
    entries.into_iter().filter_map(read).collect()
}

/// The attribute for a field of the adapter's output.
fn meaning(field: &str) -> Option<String> {
    let (side, rest) = field.split_once('_')?;
    let name = match rest {
        "pod_uid" => "uid",
        "pod_ip" => "ip",
        "pod_name" => "name",
        "labels" | "namespace" | "owner" => rest,
        "service_account_name" => "serviceAccount",
        "workload_uid" => "workload.uid",
        "workload_name" => "workload.name",
        "workload_namespace" => "workload.namespace",
        "container_name" => "container.name",
        _ => return None,
    };
    matches!(side, "source" | "destination").then(|| format!("{side}.{name}"))
}
