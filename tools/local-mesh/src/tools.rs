//! Finds the programs and modules for the mesh. If one is missing, the error says what to do.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Result};

/// The default version of Envoy.
pub const ENVOY_VERSION: &str = "1.40.0";

/// The oldest version that we support.
pub const OLDEST_ENVOY: &str = "1.36.2";

/// The versions of Envoy in tests.
pub const ENVOY_VERSIONS: [&str; 2] = [ENVOY_VERSION, OLDEST_ENVOY];

/// Names of Chromium on different systems, as in scripts/setup.sh.
const CHROMIUMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Envoy of a version; default: the value of `ENVOY`, or the newest that `make setup` downloads.
pub fn envoy(version: Option<&str>) -> Result<PathBuf> {
    let path = match (version, std::env::var_os("ENVOY")) {
        (None, Some(path)) => PathBuf::from(path),
        _ => tools().join("envoy").join(version.unwrap_or(ENVOY_VERSION)).join("bin/envoy"),
    };
    // An Envoy of the system's is of no version in particular.
    let path = if version.is_none() { or_in_path(path, "envoy") } else { path };
    present(path, "Envoy", "run \"make setup\", or set ENVOY to its path")
}

/// Prometheus.
pub fn prometheus() -> Result<PathBuf> {
    let path = match std::env::var_os("PROMETHEUS") {
        Some(path) => PathBuf::from(path),
        None => or_in_path(tools().join("bin/prometheus"), "prometheus"),
    };
    present(path, "Prometheus", "run \"make setup\", or set PROMETHEUS to its path")
}

/// A headless browser for tests of pages: Chromium or Chrome on the PATH, or the value of `CHROMIUM`.
pub fn chromium() -> Result<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let found = named.or_else(|| CHROMIUMS.iter().find_map(|name| in_path(name)));
    present(
        found.unwrap_or_else(|| PathBuf::from("chromium")),
        "Chromium",
        "run \"make setup\", or set CHROMIUM to its path",
    )
}

/// promtool, which is part of Prometheus.
pub fn promtool() -> Result<PathBuf> {
    let path = prometheus()?.with_file_name("promtool");
    present(
        path,
        "promtool",
        "it comes with Prometheus: run \"make setup\", or set PROMETHEUS to the path of one that has it beside it",
    )
}

/// `setpriv` of util-linux. It makes a child end with its parent.
pub fn setpriv() -> Result<PathBuf> {
    match in_path("setpriv") {
        Some(path) => Ok(path),
        None => bail!("setpriv is not in PATH: install util-linux (the mesh uses it to end every process with itself)"),
    }
}

/// The directory of the built modules: `dist/` of the repository, `modules/` of a release.
pub fn dist() -> PathBuf {
    let packed = root().join("modules");
    match packed.is_dir() {
        true => packed,
        false => root().join("dist"),
    }
}

/// The directory of the EnvoyFilters that we ship.
pub fn filters() -> PathBuf {
    root().join("envoy")
}

/// The same, if there is one.
pub fn shipped_filters() -> Result<PathBuf> {
    shipped_in(&root())
}

fn shipped_in(root: &Path) -> Result<PathBuf> {
    let directory = root.join("envoy");
    ensure!(
        directory.is_dir(),
        "there are no EnvoyFilters: neither the current directory nor this program is in the repository or in an unpacked \
         release. Run it there, or name them with --filters"
    );
    Ok(directory)
}

/// The directory of the dashboards and alert rules that we ship.
pub fn dashboards() -> PathBuf {
    root().join("dashboards")
}

/// Checks that a module was built.
pub fn module(path: &Path) -> Result<()> {
    present(path.to_owned(), "the module", "run \"make build\"").map(drop)
}

/// A program of the workspace. Cargo builds it into the directory of the running program.
pub fn program(name: &str) -> Result<PathBuf> {
    let mut directory = std::env::current_exe()?;
    directory.pop();
    // Test programs are in `deps`.
    if directory.ends_with("deps") {
        directory.pop();
    }
    present(directory.join(name), "the program", "run \"cargo build --workspace --bins\"")
}

/// Where `make setup` puts what it gets.
pub fn tools() -> PathBuf {
    root().join(".tools")
}

/// The repository or an unpacked release: the nearest directory above the current one that is, else above this program. A program
/// that had it built in would work on one machine only, and be other bytes on each.
pub fn root() -> PathBuf {
    let above =
        |path: PathBuf| path.ancestors().find(|at| at.join("envoy/telemetry.yaml").is_file()).map(PathBuf::from);
    let current = std::env::current_dir().ok().and_then(above);
    current.or_else(|| std::env::current_exe().ok().and_then(above)).unwrap_or_default()
}

fn or_in_path(path: PathBuf, program: &str) -> PathBuf {
    match path.is_file() {
        true => path,
        false => in_path(program).unwrap_or(path),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search).map(|directory| directory.join(program)).find(|path| path.is_file())
}

fn present(path: PathBuf, what: &str, remedy: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    bail!("{what} is missing ({}): {remedy}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_the_repository_it_is_told_where_to_run() {
        assert_eq!(shipped_in(&root()).unwrap(), filters());
        let told = shipped_in(Path::new("no/such")).unwrap_err().to_string();
        assert!(told.starts_with("there are no EnvoyFilters: ") && told.contains("--filters"), "{told}");
    }

    #[test]
    fn setup_gets_these_versions() {
        let script = include_str!("../../../scripts/setup.sh");
        for (name, version) in [("ENVOY_NEWEST", ENVOY_VERSION), ("ENVOY_OLDEST", OLDEST_ENVOY)] {
            assert!(script.lines().any(|line| line == format!("{name}={version}")), "{name} is not {version}");
        }
    }
}
