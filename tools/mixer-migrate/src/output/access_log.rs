//! The configuration of the access log module.

use std::collections::BTreeSet;

use expression::{self, Parsed};
use serde_json::{json, Map, Value as Json};

use crate::{
    cexl::{Expression, Kind, Type, Value},
    diagnostic::{Code, Diagnostics, Place},
    model::{Compiled, Model},
    remarks,
    scene::{describe, Protocol, Scene, SCENES},
    simplify::{may_be_absent, simplify, Rest},
    sources::Sources,
    spec::{LogSpec, Origin, Variable},
    translate::{self, literal, Alternative, Made, Untranslatable},
};

use super::{
    check,
    collected::{in_order, Fields, Output, REPORTING, ROOT},
    resource::Plugin,
    stats::standard,
    when::{all, when, When},
};

/// The module's field with this name, which is also a label of its metrics.
const SECURITY_POLICY: &str = "connection_security_policy";

/// Writes the plugins for these logs.
pub(super) fn write(specs: &[LogSpec], model: &Model, output: &mut Output, diagnostics: &mut Diagnostics) {
    let namespaces: BTreeSet<&str> = specs.iter().map(|spec| spec.origin.namespace.as_str()).collect();
    let mut scenes_of: Vec<Vec<Scene>> = vec![Vec::new(); specs.len()];
    let mut fields = Fields::new();
    let mut everywhere: Vec<(Scene, &LogSpec)> = Vec::new();
    for namespace in in_order(namespaces) {
        for scene in SCENES {
            let sources = Sources::new(scene, model);
            let mut first = everywhere.iter().find(|(known, _)| *known == scene).map(|(_, spec)| *spec);
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
                let plugin = if scene.protocol == Protocol::Http { Plugin::AccessLog } else { Plugin::TcpAccessLog };
                let problems = check::problems(plugin, &configuration);
                for problem in &problems {
                    diagnostics.add(Code::NotExpressible, &spec.origin.place, check::message(plugin, problem));
                }
                if !problems.is_empty() {
                    continue;
                }
                first = Some(spec);
                if namespace == ROOT {
                    everywhere.push((scene, spec));
                }
                scenes.push(scene);
                for variable in &spec.variables {
                    fields.add(&variable.value.place, format!("field {}", variable.name), scene);
                }
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
    let Origin { instance, rule, handler, .. } = &spec.origin;
    let went = format!("log {instance} by {rule} of {handler}: {}", describe(scenes));
    output.moves.push((spec.origin.place.clone(), went));
    let others = [&spec.severity, &spec.timestamp, &spec.origin.condition];
    let variables = spec.variables.iter().map(|variable| &variable.value);
    remarks::expressions(&spec.origin, variables, others.into_iter().flatten(), scenes, model, diagnostics);
    if !scenes.is_empty() && spec.has_address() && spec.origin.instance.contains(".logentry.") {
        let message = "addresses are text; Mixer 1.0 printed them as base64";
        diagnostics.add(Code::IpText, &spec.origin.place, message);
    }
}

/// The configuration of one log in one scene. `None` if it never writes there, or cannot be migrated; the latter is
/// reported.
fn log(spec: &LogSpec, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<Json> {
    let When { mut conditions, mut event } = when(&spec.origin, sources, diagnostics)?;
    let time = time(spec, sources, diagnostics)?;
    let severity = severity(spec, sources, diagnostics)?;
    let mut fields = Vec::new();
    for variable in &spec.variables {
        let Rest::Some(rest) = simplify(&variable.value.expression, sources) else {
            // Mixer dropped every entry.
            return None;
        };
        match translate::value(&rest, sources).and_then(|made| Ok((field(variable, &made, spec, sources)?, made))) {
            Ok((field, made)) => {
                if is_of_close(&made) {
                    match &event {
                        // Mixer dropped every entry.
                        Some(event) if event != "close" => return None,
                        _ => event = Some("close".to_owned()),
                    }
                }
                let is_last_known = matches!(made.alternatives.last(), Some(Alternative::Known(_)));
                let stays = made.otherwise.is_none() && made.defined.is_none() && !is_of_close(&made);
                if is_last_known && stays && may_be_absent(&rest, sources) {
                    let message = "Mixer had no entry where this has no value; the line is written all the same";
                    diagnostics.add(Code::Differs, &variable.value.place, message);
                }
                conditions.extend(made.defined);
                fields.push((field, &variable.value.place));
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
    if sources.scene().protocol == Protocol::Tcp && event.is_none() {
        live(spec, &fields, &conditions, diagnostics);
    }
    let mut fields: Vec<Json> = fields.into_iter().map(|(field, _)| field).collect();
    let mut configuration = Map::new();
    // Mixer used the Host header only if an expression did.
    configuration.insert("disable_host_header_fallback".into(), true.into());
    let mut names: Vec<String> = spec.variables.iter().map(|variable| variable.name.clone()).collect();
    let level = spec.levels.get(&severity).copied().unwrap_or("info");
    let text = |name: &str, text: &str| json!({"name": name, "value": literal(&Value::String(text.to_owned()))});
    match &spec.fluentd {
        Some(_) => {
            let has_tag = names.iter().any(|name| name == "tag");
            // If the log has its own tag, the record contains the instance's name.
            let name = if has_tag { "name" } else { "tag" };
            let generated = ["time", name, "severity"];
            leave_out(&generated, &mut names, &mut fields);
            for variable in spec.variables.iter().filter(|variable| generated.contains(&variable.name.as_str())) {
                let message = format!(
                    "variable {} is left out: that is the key of what the line has by itself. Give it another name",
                    variable.name
                );
                diagnostics.add(Code::Fluentd, &variable.value.place, message);
            }
            let head = [time, text(name, &spec.origin.instance), text("severity", &severity)];
            names.extend(generated.map(str::to_owned));
            fields.splice(..0, head);
        }
        // The preset sorts all fields, and has additional ones if no fields are named.
        None if spec.now || names.is_empty() => {
            let generated = ["level", "time", "instance"];
            leave_out(&generated, &mut names, &mut fields);
            let head = [text("level", level), time, text("instance", &spec.origin.instance)];
            names.splice(..0, generated.map(str::to_owned));
            fields.splice(..0, head);
        }
        None => {
            configuration.insert("preset".into(), "MIXER".into());
            configuration.insert("instance".into(), spec.origin.instance.clone().into());
            configuration.insert("level".into(), level.into());
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

/// The time of an entry; `None` if it never has one in this scene.
fn time(spec: &LogSpec, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<Json> {
    let http = sources.scene().protocol == Protocol::Http;
    let report = if http && !spec.now {
        json!({"name": "time", "value": "request.time", "type": "TIMESTAMP", "as": "MICROSECOND_TIME"})
    } else {
        json!({"name": "time", "field": "end_time", "as": "MICROSECOND_TIME"})
    };
    let Some(timestamp) = &spec.timestamp else {
        if !spec.now {
            let message =
                "without timestamp, Mixer wrote the year 1; the line has the time of the request or of the report";
            diagnostics.add(Code::Approximate, &spec.origin.place, message);
        }
        return Some(report);
    };
    let Rest::Some(rest) = simplify(&timestamp.expression, sources) else {
        return None;
    };
    let usual = if http { "request.time" } else { "context.time" };
    if !matches!(&rest.kind, Kind::Attribute(name) if name == usual) {
        let message = format!("the line's time is {usual}: the access log has no other");
        diagnostics.add(Code::Approximate, &timestamp.place, message);
    }
    Some(report)
}

/// The severity. It must be the same for all lines.
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

/// Removes the fields with these names: the line has others under these names.
fn leave_out(generated: &[&str], names: &mut Vec<String>, fields: &mut Vec<Json>) {
    names.retain(|name| !generated.contains(&name.as_str()));
    let is_one_of =
        |field: &Json| field.get("name").and_then(Json::as_str).is_some_and(|name| generated.contains(&name));
    fields.retain(|field| !is_one_of(field));
}

/// Whether the value exists only at the end of a connection, so that Mixer wrote no entry before.
fn is_of_close(made: &Made) -> bool {
    made.otherwise.is_none() && made.alternatives == [Alternative::Known("connectionDuration")]
}

/// Reports what lines of live connections may lack: no expression can be evaluated for them.
fn live(spec: &LogSpec, fields: &[(Json, &Place)], conditions: &[String], diagnostics: &mut Diagnostics) {
    for (field, place) in fields {
        let fallback = field.get("fallback").and_then(Json::as_array).into_iter().flatten();
        let mut texts = field.get("value").into_iter().chain(fallback).filter_map(Json::as_str);
        if texts.any(|text| matches!(expression::parse(text), Parsed::Other(_))) {
            let message =
                "it is evaluated when a connection begins and when it ends; lines between them (every 10 s) have \
                           no value of it. Name an attribute by itself, or log the end alone";
            diagnostics.add(Code::Differs, place, message);
        }
    }
    // The listener's values are known from the beginning.
    let early =
        |text: &String| expression::names(text).iter().all(|(name, _)| matches!(*name, "source" | "destination"));
    if !conditions.iter().all(early) {
        let place = spec.origin.condition.as_ref().map_or(&spec.origin.place, |condition| &condition.place);
        let message = "whether a connection has lines is decided when it begins, and again when it ends: what is not known \
                       in the beginning (the service, the other side, its certificate) lets only the last line be written";
        diagnostics.add(Code::Differs, place, message);
    }
}

fn constant(compiled: &Compiled, sources: &Sources<'_>) -> Rest {
    simplify(&compiled.expression, sources)
}

/// A field of the configuration.
fn field(variable: &Variable, made: &Made, spec: &LogSpec, sources: &Sources<'_>) -> Result<Json, Untranslatable> {
    let mut field = Map::new();
    field.insert("name".into(), variable.name.clone().into());
    // For a live connection, the module has the value, but no expression can be evaluated.
    if !made.alternatives.is_empty() && standard::makes(SECURITY_POLICY, made, sources) {
        field.insert("field".into(), SECURITY_POLICY.into());
        return Ok(field.into());
    }
    let mut texts = Vec::new();
    for (index, alternative) in made.alternatives.iter().enumerate() {
        match (alternative, index) {
            (Alternative::Cel(text), _) => texts.push(text.clone()),
            (Alternative::Known(name), 0) => drop(field.insert("field".into(), (*name).into())),
            // A later alternative must be an expression.
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
    // The module already writes a zero duration here. An expression for it would fail for a live connection.
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
