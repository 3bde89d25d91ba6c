//! `attributemanifest`: declares attributes.

use crate::{
    cexl::Type,
    diagnostic::{Code, Diagnostics},
    fields::At,
    vocabulary::Attributes,
};

/// Adds the manifest's attributes.
pub(super) fn read(at: &At<'_>, attributes: &mut Attributes, diagnostics: &mut Diagnostics) {
    let Some(spec) = at.node.get("spec").map(|node| at.field("spec", node)) else {
        return;
    };
    let fields = spec.fields(&["revision", "name", "attributes"], diagnostics);
    let Some(declared) = fields.get("attributes") else {
        return;
    };
    for (name, at) in declared.entries(diagnostics) {
        let fields = at.fields(&["value_type", "description"], diagnostics);
        let Some(at) = fields.get("value_type") else {
            continue;
        };
        let Some(text) = at.text(diagnostics) else {
            continue;
        };
        match Type::of_name(&text).map(|ty| attributes.declare(&name, ty)) {
            Some(Ok(())) => {}
            Some(Err(known)) => {
                let message = format!("{name} is {known} in Mixer's own manifests, it cannot be {text}");
                diagnostics.add(Code::Type, &at.place(), message);
            }
            None => {
                let known: Vec<&str> = Type::ALL.iter().map(|(name, _)| *name).collect();
                let message = format!("{text:?} is no type; known are {}", known.join(", "));
                diagnostics.add(Code::Field, &at.place(), message);
            }
        }
    }
}
