//! Allowed dependencies between crates, and the names of crates.

use serde_json::Value;

/// The problems of the crates in the output of `cargo metadata`.
pub fn problems(metadata: &Value) -> Vec<String> {
    let packages: Vec<Package> = metadata["packages"].as_array().unwrap().iter().map(Package::of).collect();
    let mut problems = Vec::new();
    for package in &packages {
        let Package { name, room, folder, is_module, .. } = package;
        if name != folder {
            problems
                .push(format!("{room}/{folder} is the package {name}: the name of the folder is that of the package"));
        }
        for dependency in package.dependencies {
            let on = dependency["name"].as_str().unwrap();
            let mut refuse = |why: &str| problems.push(format!("{name} depends on {on}: {why}"));
            let optional = dependency["optional"] == true;
            if ["adapter", "proxy-wasm"].contains(&on) && *name != "adapter" && !(*is_module && optional) {
                refuse("only a module may, behind its feature");
            }
            let Some(on) = packages.iter().find(|package| package.name == on) else { continue };
            match (*room, on.room) {
                ("filters", "tools" | "e2e") => {
                    refuse("filters, and what they are made of, stand below tools and tests")
                }
                ("tools", "e2e") => refuse("tools stand below tests"),
                _ if *is_module && on.is_module && *name != "remixer" => {
                    refuse("a filter does not know another one; only remixer puts them together");
                }
                _ => {}
            }
        }
    }
    problems
}

struct Package<'a> {
    name: &'a str,
    /// The folder at the root.
    room: &'a str,
    /// Its own folder.
    folder: &'a str,
    is_module: bool,
    dependencies: &'a [Value],
}

impl<'a> Package<'a> {
    fn of(package: &'a Value) -> Self {
        let mut path = package["manifest_path"].as_str().unwrap().rsplit('/').skip(1);
        let folder = path.next().unwrap();
        Self {
            name: package["name"].as_str().unwrap(),
            room: if folder == "e2e" { folder } else { path.next().unwrap() },
            folder,
            is_module: package["metadata"]["module"].is_object(),
            dependencies: package["dependencies"].as_array().unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(path: &str, name: &str, is_module: bool, dependencies: &[(&str, bool)]) -> Value {
        let dependency = |(name, optional): &(&str, bool)| json!({"name": name, "optional": optional});
        json!({
            "name": name,
            "manifest_path": format!("/x/{path}/Cargo.toml"),
            "metadata": if is_module { json!({"module": {"callbacks": []}}) } else { Value::Null },
            "dependencies": dependencies.iter().map(dependency).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn what_is_wrong_is_named() {
        let host = [("adapter", true), ("proxy-wasm", true)];
        let mut packages = vec![
            package("filters/adapter", "adapter", false, &[("proxy-wasm", false)]),
            package("filters/stats", "stats", true, &host),
            package("filters/fault", "fault", true, &host),
            package(
                "filters/remixer",
                "remixer",
                true,
                &[host.as_slice(), &[("stats", false), ("fault", false)]].concat(),
            ),
            package("tools/pack", "pack", false, &[("stats", false), ("serde", false)]),
            package("e2e", "e2e", false, &[("stats", false), ("pack", false)]),
        ];
        assert_eq!(problems(&json!({ "packages": packages })), [""; 0]);
        packages.extend([
            package("filters/a", "b", true, &[("stats", false), ("pack", false), ("adapter", false)]),
            package("tools/c", "c", false, &[("e2e", false), ("proxy-wasm", true)]),
        ]);
        let expected = [
            "filters/a is the package b: the name of the folder is that of the package",
            "b depends on stats: a filter does not know another one; only remixer puts them together",
            "b depends on pack: filters, and what they are made of, stand below tools and tests",
            "b depends on adapter: only a module may, behind its feature",
            "c depends on e2e: tools stand below tests",
            "c depends on proxy-wasm: only a module may, behind its feature",
        ];
        assert_eq!(problems(&json!({ "packages": packages })), expected);
    }
}
