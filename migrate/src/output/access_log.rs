//! The configuration of the access log module.

use std::collections::BTreeSet;

use serde_json::{json, Map, Value as Json};

use crate::{
    cexl::{Expression, Kind, Type, Value},
    diagnostic::{Code, Diagnostics},
    model::{Compiled, Model},
    remarks,
    scene::{simplify, Protocol, Rest, Scene},
    source::Sources,
    spec::{LogSpec, Variable},
    translate::{self, literal, Alternative, Made, Untranslatable},
};

use super::{all, describe, when, Fields, Output, Plugin, When, REPORTING, SCENES};

/// Writes the plugins that make these logs.
pub(super) fn write(specs: &[LogSpec], model: &Model, output: &mut Output, diagnostics: &mut Diagnostics) {
    let namespaces: BTreeSet<&str> = specs.iter().map(|spec| spec.origin.namespace.as_str()).collect();
    let mut scenes_of: Vec<Vec<Scene>> = vec![Vec::new(); specs.len()];
    let mut fields = Fields::new();
    for namespace in namespaces {
        for scene in SCENES {
            let sources = Sources::new(scene, model);
            let mut first: Option<&LogSpec> = None;
            for (spec, scenes) in specs.iter().zip(&mut scenes_of) {
                if spec.origin.namespace != namespace {
                    continue;
                }
                let Some(configuration) = log(spec, &sources, diagnostics) else {
                    continue;
                };
                if let Some(first) = first {
                    let message = format!(
                        "the access log writes one line of each request or connection, and {} by {} has it already; \
                         migrate this one apart, or join both",
                        first.origin.instance, first.origin.rule
                    );
                    diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
                    continue;
                }
                first = Some(spec);
                scenes.push(scene);
                for variable in &spec.variables {
                    fields.add(&variable.value.place, format!("field {}", variable.name), scene);
                }
                let plugin = if scene.protocol == Protocol::Http { Plugin::AccessLog } else { Plugin::TcpAccessLog };
                output.add(namespace, plugin, scene, configuration);
            }
        }
    }
    for (spec, scenes) in specs.iter().zip(scenes_of) {
        tell(spec, &scenes, model, output, diagnostics);
    }
    output.moves.extend(fields.into_moves());
}

fn tell(spec: &LogSpec, scenes: &[Scene], model: &Model, output: &mut Output, diagnostics: &mut Diagnostics) {
    let place = spec.origin.place.clone();
    let went = if scenes.is_empty() { "nothing is written".to_owned() } else { describe(scenes) };
    let message = format!("log {} by {} of {}: {went}", spec.origin.instance, spec.origin.rule, spec.origin.handler);
    output.moves.push((place, message));
    if scenes.is_empty() {
        return;
    }
    let others = [&spec.severity, &spec.timestamp, &spec.origin.condition];
    let variables = spec.variables.iter().map(|variable| &variable.value);
    remarks::tcp_peer(&spec.origin.place, scenes, variables.clone(), diagnostics);
    for compiled in variables.chain(others.into_iter().flatten()) {
        remarks::attributes(compiled, &model.defaults, diagnostics);
    }
    if spec.has_address() && spec.origin.instance.contains(".logentry.") {
        let message = "addresses are text; Mixer 1.0 printed them as base64";
        diagnostics.add(Code::IpText, &spec.origin.place, message);
    }
}

/// The configuration of one log in one scene; none if it never writes there, or cannot, which is told.
fn log(spec: &LogSpec, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<Json> {
    let When { mut conditions, event } = when(&spec.origin, sources, diagnostics)?;
    let time = time(spec, sources, diagnostics)?;
    let severity = severity(spec, sources, diagnostics)?;
    let mut fields = Vec::new();
    for variable in &spec.variables {
        let Rest::Some(rest) = simplify(&variable.value.expression, sources) else {
            // Mixer dropped every entry.
            return None;
        };
        match translate::value(&rest, sources).and_then(|made| Ok((field(variable, &made, spec)?, made))) {
            Ok((field, made)) => {
                conditions.extend(made.defined);
                fields.push(field);
            }
            Err(Untranslatable(reason)) => {
                diagnostics.add(Code::NotExpressible, &variable.value.place, reason);
                return None;
            }
        }
    }
    if !spec.json {
        let message = "lines are JSON: the access log does not have the console's form (outputAsJson: false)";
        diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
        return None;
    }
    let mut configuration = Map::new();
    // Mixer took the Host header only where an expression says so.
    configuration.insert("disable_host_header_fallback".into(), true.into());
    let mut names: Vec<String> = spec.variables.iter().map(|variable| variable.name.clone()).collect();
    match &spec.fluentd {
        Some(_) => {
            names.retain(|name| name != "severity");
            fields.retain(|field| field.get("name") != Some(&json!("severity")));
            let has_tag = names.iter().any(|name| name == "tag");
            let mut head = vec![json!({"name": "time", "value": time, "type": "TIMESTAMP", "as": "MICROSECOND_TIME"})];
            // With a tag of its own, the instance's name stands in the record.
            let name = if has_tag { "name" } else { "tag" };
            head.push(json!({"name": name, "value": literal(&Value::String(spec.origin.instance.clone()))}));
            head.push(json!({"name": "severity", "value": literal(&Value::String(severity.clone()))}));
            names.extend(["time", name, "severity"].map(str::to_owned));
            fields.splice(..0, head);
        }
        None => {
            configuration.insert("preset".into(), "MIXER".into());
            configuration.insert("instance".into(), spec.origin.instance.clone().into());
            configuration.insert("level".into(), spec.levels.get(&severity).copied().unwrap_or("info").into());
        }
    }
    configuration.insert("fields".into(), fields.into());
    configuration.insert("only_fields".into(), names.into());
    if let Some(condition) = all(&conditions) {
        configuration.insert("policy".into(), json!({"log": "ALL", "match": condition}));
    }
    if sources.scene().protocol == Protocol::Tcp {
        match event.as_deref() {
            None => {
                configuration.insert("tcp_open_line".into(), true.into());
                configuration.insert("tcp_reporting_duration".into(), REPORTING.into());
            }
            Some("close") => {}
            Some(event) => {
                let message =
                    format!("the access log has no lines of {event} alone: it has them of all events, or of close");
                diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
                return None;
            }
        }
    }
    Some(configuration.into())
}

/// The time of an entry; none if it never has one there.
fn time(spec: &LogSpec, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let http = sources.scene().protocol == Protocol::Http;
    let report = if http { "request.time" } else { "end_time" };
    let Some(timestamp) = &spec.timestamp else {
        if !spec.now {
            let message =
                "without timestamp, Mixer wrote the year 1; the line has the time of the request or of the report";
            diagnostics.add(Code::Approximate, &spec.origin.place, message);
        }
        return Some(report.to_owned());
    };
    let Rest::Some(rest) = simplify(&timestamp.expression, sources) else {
        return None;
    };
    let usual = if http { "request.time" } else { "context.time" };
    if !matches!(&rest.kind, Kind::Attribute(name) if name == usual) {
        let message = format!("the line's time is {usual}: the access log has no other");
        diagnostics.add(Code::Approximate, &timestamp.place, message);
    }
    Some(report.to_owned())
}

/// The severity, which must be the same for all lines.
fn severity(spec: &LogSpec, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let Some(compiled) = &spec.severity else {
        return Some(String::new());
    };
    match constant(compiled, sources) {
        Rest::Some(Expression { kind: Kind::Constant(value), .. }) => Some(value.to_string()),
        Rest::Nothing => None,
        Rest::Some(_) => {
            let message =
                "the severity depends on the request; the access log has one level for all its lines. Make a \
                           rule of its own for each severity";
            diagnostics.add(Code::NotExpressible, &compiled.place, message);
            None
        }
    }
}

fn constant(compiled: &Compiled, sources: &Sources<'_>) -> Rest {
    simplify(&compiled.expression, sources)
}

/// A field of the configuration.
fn field(variable: &Variable, made: &Made, spec: &LogSpec) -> Result<Json, Untranslatable> {
    let mut field = Map::new();
    field.insert("name".into(), variable.name.clone().into());
    let mut texts = Vec::new();
    for (index, alternative) in made.alternatives.iter().enumerate() {
        match (alternative, index) {
            (Alternative::Cel(text), _) => texts.push(text.clone()),
            (Alternative::Known(name), 0) => drop(field.insert("field".into(), (*name).into())),
            // What stands further back must be an expression.
            (Alternative::Known(name), _) => match &made.whole {
                Some(whole) => {
                    texts = vec![whole.clone()];
                    field.remove("field");
                    break;
                }
                None => {
                    return Err(Untranslatable(format!(
                        "{name} can only be the first of several alternatives in the access log"
                    )))
                }
            },
        }
    }
    let is_whole = texts.first() == made.whole.as_ref() && made.alternatives.len() > 1;
    // No time is what the module writes for it anyway; an expression for it would not work while a connection lives.
    let no_time = field.contains_key("field") && made.otherwise == Some(Value::Duration(0));
    let end = made.otherwise.as_ref().filter(|_| !is_whole && !no_time).map(|value| match value {
        Value::IpAddress(_) => literal(&Value::String(value.to_string())),
        _ => literal(value),
    });
    texts.extend(end);
    let mut texts = texts.into_iter();
    if !field.contains_key("field") {
        let first = texts.next().unwrap_or_else(|| "''".into());
        field.insert("value".into(), first.into());
    }
    let fallback: Vec<String> = texts.collect();
    if !fallback.is_empty() {
        field.insert("fallback".into(), fallback.into());
    }
    let (ty, style) = match made.ty {
        Type::Int64 => ("INTEGER", None),
        Type::Double => ("DOUBLE", None),
        Type::Bool => ("BOOLEAN", None),
        Type::Duration if spec.fluentd.as_ref().is_some_and(|fluentd| fluentd.integer_duration) => {
            ("DURATION", Some("MILLISECONDS"))
        }
        Type::Duration => ("DURATION", Some("GO_DURATION")),
        Type::Timestamp => ("TIMESTAMP", Some("MICROSECOND_TIME")),
        Type::StringMap => {
            return Err(Untranslatable("the access log does not write whole maps: name what is in them".into()))
        }
        _ => return Ok(field.into()),
    };
    field.insert("type".into(), ty.into());
    if let Some(style) = style {
        field.insert("as".into(), style.into());
    }
    Ok(field.into())
}
