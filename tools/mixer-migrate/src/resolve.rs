//! Finds the objects that a rule refers to.

use std::collections::HashMap;

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Handler, Instance, Model, Reference, Rule},
};

/// The objects, by qualified name.
#[derive(Debug)]
pub struct Index<'m> {
    handlers: HashMap<String, &'m Handler>,
    instances: HashMap<String, &'m Instance>,
    model: &'m Model,
}

impl<'m> Index<'m> {
    /// All objects of the model.
    pub fn new(model: &'m Model) -> Self {
        let handlers = model.handlers.iter().map(|handler| (handler.name.qualified(), handler)).collect();
        let instances = model.instances.iter().map(|instance| (instance.name.qualified(), instance)).collect();
        Self { handlers, instances, model }
    }

    /// The handler that a rule refers to.
    pub fn handler(&self, rule: &Rule, reference: &Reference, diagnostics: &mut Diagnostics) -> Option<&'m Handler> {
        self.find(&self.handlers, "handler", rule, reference, diagnostics)
    }

    /// The instance that a rule refers to.
    pub fn instance(&self, rule: &Rule, reference: &Reference, diagnostics: &mut Diagnostics) -> Option<&'m Instance> {
        self.find(&self.instances, "instance", rule, reference, diagnostics)
    }

    /// Whether there is an instance with this qualified name.
    pub fn has_instance(&self, qualified: &str) -> bool {
        self.instances.contains_key(qualified)
    }

    /// The name with which a rule in `namespace` would find an object of the older style.
    fn older(&self, text: &str, kind: &str, namespace: &str) -> Option<String> {
        let kinds: &[&str] =
            if kind == "handler" { &["prometheus", "stdio", "fluentd"] } else { &["metric", "logentry"] };
        let kind = kinds.iter().find(|kind| self.model.names.contains(&format!("{text}.{kind}.{namespace}")))?;
        Some(format!("{text}.{kind}"))
    }

    fn find<T>(
        &self,
        objects: &HashMap<String, &'m T>,
        kind: &str,
        rule: &Rule,
        reference: &Reference,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'m T> {
        let candidates = candidates(&reference.text, kind, &rule.name.namespace);
        if let Some(found) = candidates.iter().find_map(|name| objects.get(name)) {
            return Some(found);
        }
        // If it exists but is not migrated, that was already reported.
        if candidates.iter().any(|name| self.model.names.contains(name)) {
            return None;
        }
        let (tried, wanted) = match candidates.as_slice() {
            [] => ("nothing: there are too many dots".to_owned(), None),
            [only] => (only.clone(), Some(only)),
            [first, second, ..] => (format!("{first} and {second}"), Some(first)),
        };
        let export = wanted.and_then(|name| {
            let mut parts = name.rsplitn(3, '.');
            let (namespace, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
            Some(format!(" (kubectl get {kind} -n {namespace} {name} -o yaml)"))
        });
        let message = match self.older(&reference.text, kind, &rule.name.namespace) {
            Some(name) => format!(
                "rule refers to {kind} {:?}, tried {tried}: not in the input. Mixer looked for kinds such as that of \
                 {name:?} under their own names only: write {name:?}.",
                reference.text
            ),
            None => format!(
                "rule refers to {kind} {:?}, tried {tried}: not in the input. Export it{} or pass --with-defaults.",
                reference.text,
                export.unwrap_or_default()
            ),
        };
        diagnostics.add(Code::Dangling, &reference.place, message);
        None
    }
}

/// The qualified names that `text` can mean in a rule of `namespace`, in order.
fn candidates(text: &str, kind: &str, namespace: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        [name] => vec![format!("{name}.{kind}.{namespace}")],
        [name, other] => vec![format!("{name}.{other}.{namespace}"), format!("{name}.{kind}.{other}")],
        [_, _, _] => vec![text.to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tried_in_mixer_s_order() {
        assert_eq!(candidates("a", "handler", "ns"), ["a.handler.ns"]);
        assert_eq!(candidates("a.b", "handler", "ns"), ["a.b.ns", "a.handler.b"]);
        assert_eq!(candidates("a.b.c", "instance", "ns"), ["a.b.c"]);
        assert!(candidates("a.b.c.d", "instance", "ns").is_empty());
    }
}
