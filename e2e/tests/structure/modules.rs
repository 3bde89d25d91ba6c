//! The modules of a crate, and the names that each file uses from other files, found in the tokens of the sources.
//!
//! Imports and paths are found, also through the import of another file. Types of values without a path are not found. Code
//! that is compiled only for tests is ignored.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{after_item, flatten, is_name, length};

/// A path in the code.
type Path = Vec<String>;

/// For each file: the files that it uses, and the names.
pub type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A module: a file, or a part of a file.
struct Module {
    file: String,
    /// The folder of its children's files.
    folder: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// The names from `use`, with their paths.
    imports: BTreeMap<String, Path>,
    /// All paths in the module.
    paths: BTreeSet<Path>,
}

/// The modules of a crate, the root first.
struct Crate<'a> {
    modules: Vec<Module>,
    source: &'a dyn Fn(&str) -> Option<String>,
}

/// The names that the files of a crate use from each other. `root` is its root file; `source` reads a file, if it exists.
pub fn arrows(root: &str, source: &dyn Fn(&str) -> Option<String>) -> Arrows {
    let mut all = Crate { modules: Vec::new(), source };
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    all.read_file(root.into(), folder.into(), 0);
    all.arrows()
}

impl Crate<'_> {
    fn add(&mut self, file: String, folder: String, parent: usize) -> usize {
        let (children, imports, paths) = Default::default();
        self.modules.push(Module { file, folder, parent, children, imports, paths });
        self.modules.len() - 1
    }

    fn read_file(&mut self, file: String, folder: String, parent: usize) -> usize {
        let text = (self.source)(&file).unwrap_or_else(|| panic!("{file} is not there"));
        let tokens = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut words = Vec::new();
        flatten(tokens, &mut words);
        let module = self.add(file, folder, parent);
        self.read(module, &words.iter().map(String::as_str).collect::<Vec<_>>());
        module
    }

    /// Reads a child module: from its file, or with this body.
    fn child<'w>(&mut self, parent: usize, name: &str, body: Option<&'w [&'w str]>) {
        let Module { file, folder, .. } = &self.modules[parent];
        let folder = format!("{folder}/{name}");
        let child = match body {
            Some(body) => {
                let child = self.add(file.clone(), folder, parent);
                self.read(child, body);
                child
            }
            None => {
                let beside = format!("{folder}.rs");
                let is_beside = (self.source)(&beside).is_some();
                self.read_file(if is_beside { beside } else { format!("{folder}/mod.rs") }, folder, parent)
            }
        };
        self.modules[parent].children.insert(name.into(), child);
    }

    fn read<'w>(&mut self, module: usize, mut words: &'w [&'w str]) {
        while let [word, rest @ ..] = words {
            words = match *words {
                ["#", "[", "cfg", "(", "test", ..] => after_item(rest),
                ["pub", "(", ..] => &rest[length(rest)..],
                ["mod", name, ";", ..] => {
                    self.child(module, name, None);
                    &rest[2..]
                }
                ["mod", name, ref body @ ..] if body.first() == Some(&"{") => {
                    let (body, rest) = body.split_at(length(body));
                    self.child(module, name, Some(&body[1..body.len() - 1]));
                    rest
                }
                ["use", ..] => {
                    let end = rest.iter().position(|word| *word == ";").unwrap_or(rest.len());
                    self.import(module, Path::new(), &mut rest[..end].iter());
                    &rest[end..]
                }
                [_, "::", ..] if is_name(word) => {
                    let count = 1 + rest.chunks_exact(2).take_while(|pair| pair[0] == "::" && is_name(pair[1])).count();
                    let path = words.iter().step_by(2).take(count).map(ToString::to_string).collect();
                    self.modules[module].paths.insert(path);
                    &words[2 * count - 1..]
                }
                // A path that does not begin here.
                ["::", _, ..] => &rest[1..],
                _ => rest,
            };
        }
    }

    /// Reads the part of a `use` after `path`, up to the comma or brace that ends it. Returns false for the brace.
    fn import(&mut self, module: usize, mut path: Path, words: &mut std::slice::Iter<'_, &str>) -> bool {
        let (mut name, mut is_any, mut is_comma) = (None, false, false);
        while let Some(word) = words.next() {
            match *word {
                "{" => {
                    while self.import(module, path.clone(), words) {}
                    is_any = false;
                }
                "," | "}" => {
                    is_comma = *word == ",";
                    break;
                }
                "as" => name = words.next(),
                // Another crate.
                "::" if path.is_empty() => path.push("::".into()),
                "::" => {}
                "self" if !path.is_empty() => is_any = true,
                word => {
                    path.push(word.into());
                    is_any = true;
                }
            }
        }
        if let Some(last) = path.last().filter(|_| is_any) {
            let module = &mut self.modules[module];
            module.imports.insert(name.unwrap_or(&last.as_str()).to_string(), path.clone());
            module.paths.insert(path);
        }
        is_comma
    }

    /// The target of a path: a module, and a name in it. `None` if it is not in a module of this crate. An import may lead
    /// to another import; `depth` ends the search if an import leads to itself.
    fn place(&self, from: usize, path: &[String], depth: usize) -> Option<(usize, String)> {
        let mut at = from;
        for (index, name) in path.iter().enumerate() {
            let (module, rest) = (&self.modules[at], &path[index + 1..]);
            match (name.as_str(), module.children.get(name), module.imports.get(name)) {
                ("crate", ..) => at = 0,
                ("self", ..) => {}
                ("super", ..) => at = module.parent,
                (_, Some(child), import) if import.is_none() || !rest.is_empty() => at = *child,
                (_, _, Some(_)) if depth == 0 => return None,
                (_, _, Some(import)) => return self.place(at, &[import.as_slice(), rest].concat(), depth - 1),
                // Another crate, or a name in this file.
                _ if index == 0 => return None,
                _ => return Some((at, name.clone())),
            }
        }
        Some((at, path.last()?.clone()))
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (index, module) in self.modules.iter().enumerate() {
            for (to, name) in module.paths.iter().filter_map(|path| self.place(index, path, 8)) {
                let to = &self.modules[to].file;
                if *to != module.file {
                    arrows.entry(module.file.clone()).or_default().entry(to.clone()).or_default().insert(name);
                }
            }
        }
        arrows
    }
}
