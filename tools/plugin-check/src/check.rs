//! Looks at files, objects and plugins.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use envoy_filter::names::{hint, nearest};
use envoy_filter::yaml::{self, Kind, Node, Position};
use envoy_filter::{digest_problem, Problem, KINDS};

use crate::attached::{self, Attached};
use crate::configured::{self, Configured};
use crate::find::find;
use crate::identity::{self, Identity};
use crate::mistake::{Mistake, Report};
use crate::pairs::{self, Plugin};
use crate::readers::Reader;

/// Deepest nesting of lists.
const MAX_LISTS: usize = 4;

/// A file.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name; `-` for standard input.
    pub file: String,
    /// Its content.
    pub text: String,
    /// The directory in which it was found; `None` if it was asked for by its name. Plugins are compared among the files that
    /// are applied together: those of one directory, or those that were named.
    pub found_in: Option<PathBuf>,
}

/// A look at several files.
#[derive(Debug, Default)]
pub struct Check {
    report: Report,
    /// The mistakes with the numbers of their files.
    mistakes: Vec<(usize, Mistake)>,
    plugins: Vec<Plugin>,
    /// Where resources with our plugins are, to find those of the same name in one file.
    known: HashMap<(usize, String), u64>,
}

/// A file that is being looked at.
#[derive(Clone, Copy)]
struct File<'i> {
    number: usize,
    input: &'i Input,
}

impl Check {
    /// What is wrong in the files.
    pub fn of(inputs: &[Input]) -> Report {
        let mut check = Self::default();
        for (number, input) in inputs.iter().enumerate() {
            check.file(File { number, input });
        }
        let together: Vec<(usize, Mistake)> = pairs::problems(&check.plugins)
            .into_iter()
            .map(|(plugin, message)| {
                let mistake = Mistake {
                    file: plugin.file_name.clone(),
                    position: plugin.position,
                    object: plugin.object.clone(),
                    plugin: String::new(),
                    field: plugin.path.clone(),
                    message,
                };
                (plugin.file, mistake)
            })
            .collect();
        check.mistakes.extend(together);
        check.mistakes.sort_by_key(|(file, mistake)| (*file, mistake.position));
        let mistakes = check.mistakes.into_iter().map(|(_, mistake)| mistake).collect();
        Report { files: inputs.len(), mistakes, ..check.report }
    }

    fn tell(&mut self, file: File<'_>, object: &str, position: Position, field: String, message: String) {
        let (object, plugin) = (object.to_owned(), String::new());
        self.mistakes
            .push((file.number, Mistake { file: file.input.file.clone(), position, object, plugin, field, message }));
    }

    fn file(&mut self, file: File<'_>) {
        let text = &file.input.text;
        match yaml::documents(text) {
            Ok(documents) => documents.iter().for_each(|document| self.object(file, document, 0)),
            Err((position, reason)) => {
                // A directory may hold files for other programs, such as templates.
                if file.input.found_in.is_some() && !KINDS.iter().any(|kind| text.contains(kind)) {
                    self.report.skipped += 1;
                    return;
                }
                let advice = if text.contains("{{") { "; is it a template? render it first" } else { "" };
                let message = format!("{}{advice}", Problem::of_yaml(Path::new(""), (position, reason)).message);
                self.tell(file, "", position, String::new(), message);
            }
        }
    }

    fn object(&mut self, file: File<'_>, document: &Node, depth: usize) {
        let text = |field: &str| document.get(field).and_then(Node::as_text).unwrap_or_default();
        let (kind, version) = (text("kind"), text("apiVersion"));
        if kind.ends_with("List") && document.get("items").is_some() && depth < MAX_LISTS {
            let items = document.get("items").map(Node::items).unwrap_or_default();
            items.iter().for_each(|item| self.object(file, item, depth + 1));
        } else if KINDS.contains(&kind) {
            self.report.resources += 1;
            self.resource(file, document);
        } else {
            self.report.skipped += 1;
            let is_istio =
                ["networking.istio.io/", "extensions.istio.io/"].iter().any(|group| version.starts_with(group));
            if is_istio && nearest(kind, &KINDS).is_some() {
                let message = format!("{kind:?} is not known; {}", hint(kind, &KINDS));
                self.tell(file, &object_of(document), find(document, "kind").position, "kind".to_owned(), message);
            }
        }
    }

    fn resource(&mut self, file: File<'_>, document: &Node) {
        let attached = attached::of(document);
        let ours: Vec<(&Attached<'_>, Identity)> =
            attached.iter().filter_map(|attached| Some((attached, identity::of(attached)?))).collect();
        if ours.is_empty() && !is_named_as_ours(document) {
            return;
        }
        let object = object_of(document);
        for problem in envoy_filter::check(Path::new(&file.input.file), document) {
            let position =
                Position { line: problem.line.unwrap_or_default(), column: problem.column.unwrap_or_default() };
            self.tell(file, &object, position, problem.path, problem.message);
        }
        let position = find(document, "metadata.name").position;
        if let Some(line) = self.known.insert((file.number, object.clone()), position.line) {
            let message = format!("is also in line {line}: this one would replace that");
            self.tell(file, &object, position, "metadata.name".to_owned(), message);
        }
        for (attached, identity) in ours {
            self.report.plugins += 1;
            self.plugin(file, (document, &object), attached, identity);
        }
    }

    fn plugin(
        &mut self,
        file: File<'_>,
        (document, object): (&Node, &str),
        attached: &Attached<'_>,
        identity: Identity,
    ) {
        let source = &file.input.text;
        let path = |field: &str| format!("{}.{field}", attached.path);
        for (field, message) in identity.problems {
            self.tell(file, object, find(attached.node, field).position, path(field), message);
        }
        if let Some(field) = attached.form.sha256 {
            let digest = attached.text(field);
            if let Some(problem) = digest_problem(digest).filter(|_| !digest.is_empty()) {
                self.tell(file, object, find(attached.node, field).position, path(field), problem);
            }
        }
        let configured = configured::of(attached, source);
        if let Configured::Wrong(field, position, message) = &configured {
            self.tell(file, object, *position, path(field), message.clone());
        }
        let Some(reader) = identity.filter.and_then(Reader::of) else { return };
        let problems = configured.problems(reader, attached, source);
        let is_right = problems.is_empty();
        for found in problems {
            let mistake = Mistake {
                file: file.input.file.clone(),
                position: found.position,
                object: object.to_owned(),
                plugin: attached.root_id().to_owned(),
                field: found.field,
                message: found.message,
            };
            self.mistakes.push((file.number, mistake));
        }
        if let Some(json) = configured.json().filter(|_| is_right) {
            self.plugins.extend(Plugin::of(
                (file.number, file.input.file.as_str(), file.input.found_in.as_deref()),
                (document, object),
                attached,
                reader,
                json,
            ));
        }
    }
}

/// Kind, namespace and name.
fn object_of(document: &Node) -> String {
    let text = |node: Option<&Node>, default: &str| node.and_then(Node::as_text).unwrap_or(default).to_owned();
    let metadata = document.get("metadata");
    let of_metadata = |field: &str, default: &str| text(metadata.and_then(|node| node.get(field)), default);
    let (namespace, name) = (of_metadata("namespace", "default"), of_metadata("name", ""));
    format!("{}/{namespace}/{name}", text(document.get("kind"), ""))
}

/// Whether an EnvoyFilter without a plugin is one of ours, such as that for the bootstrap. Those that kustomize merges into others
/// have no patches.
fn is_named_as_ours(document: &Node) -> bool {
    let text = |node: &Node, field: &str| node.get(field).and_then(Node::as_text).unwrap_or_default().to_owned();
    let name = document.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
    let spec = document.get("spec").map(|spec| &spec.kind);
    let is_list_of_patches = |node: &Node| node.items().iter().any(|item| item.get("patch").is_some());
    text(document, "kind") == "EnvoyFilter"
        && name.starts_with("remixer-")
        && matches!(spec, Some(Kind::Map(entries)) if entries.iter().any(|(_, node)| is_list_of_patches(node)))
}
