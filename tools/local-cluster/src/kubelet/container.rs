//! A container: a process with a file system, processes and a network of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, Context, Result};
use local_mesh::process::Process;
use local_mesh::wait_until;

use super::environment::{self, expanded};
use super::spec::{Container as Spec, Mount, Pod};
use crate::api::Api;
use crate::command::run;
use crate::files::{make_writable, quoted, write};
use crate::images::Image;
use crate::network::Namespace;

/// What a container sees of this machine's files in `/etc`.
const ETC: &str =
    "alternatives ethertypes group ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf passwd protocols services ssl";

/// A running container; it ends when dropped.
#[derive(Debug)]
pub struct Container {
    spec: Spec,
    process: Process,
}

/// What containers of a pod share.
#[derive(Debug)]
pub struct Place<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its network.
    pub network: &'a Namespace,
    /// Its directory: `volumes/`, `names/`, and a script and logs of each container.
    pub directory: &'a Path,
}

impl Container {
    /// Starts one.
    pub fn start(api: &Api, place: &Place<'_>, spec: &Spec) -> Result<Self> {
        let image = Image::named(&spec.image)?;
        let address = place.network.address().to_string();
        let variables = environment::of(api, place.pod, spec, &address, &image.environment)?;
        let command = if spec.command.is_empty() { &image.command } else { &spec.command };
        let command: Vec<String> = command.iter().chain(&spec.args).map(|word| expanded(word, &variables)).collect();
        let script = place.script(spec, &image, &variables, &command);
        let path = place.directory.join(format!("{}.sh", spec.name));
        write(&path, script.as_bytes())?;
        let network = place.network.path();
        let arguments = [
            &format!("--net={}", network.display()),
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            &path.display().to_string(),
        ];
        let what = format!("container {} of {}", spec.name, place.pod.full_name());
        let log = place.directory.join(format!("{}.log", spec.name));
        // A program of another user may open /dev/stdout once more.
        for output in [log.clone(), log.with_extension("out")] {
            make_writable(&output)?;
        }
        let process = Process::start(&what, Path::new("nsenter"), &arguments.map(str::to_owned), &log)?;
        Ok(Self { spec: spec.clone(), process })
    }

    /// What it is to be.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Waits for its end, which must be a good one.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        wait_until(limit, || self.code().is_some()).with_context(|| format!("{} does not end", self.spec.name))?;
        match self.code() {
            Some(0) => Ok(()),
            _ => self.process.check(),
        }
    }

    /// How it ended, if it did.
    pub fn code(&self) -> Option<i32> {
        Some(self.process.status()?.code().unwrap_or(-1))
    }

    /// Runs a program in it; gives what that wrote to stdout.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        exec(self.id()?, command)
    }

    /// The process that is the first of the container, by which others enter it.
    pub fn id(&self) -> Result<u32> {
        let parent = self.process.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let child = children.split_whitespace().next().and_then(|id| id.parse().ok());
        child.with_context(|| format!("container {} does not run", self.spec.name))
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        if let Ok(id) = self.id() {
            // If it has ended meanwhile, all the better.
            let _ = run("kill", &["-TERM", &id.to_string()]);
        }
    }
}

/// Runs a program in the container that a process is the first of.
pub fn exec(id: u32, command: &[&str]) -> Result<String> {
    let target = id.to_string();
    let mut arguments = vec!["--target", &target, "--net", "--mount", "--pid", "--root", "--"];
    arguments.extend(["/usr/bin/env", "-C", "/", "PATH=/usr/local/bin:/usr/sbin:/usr/bin"]);
    arguments.extend(command);
    run("nsenter", &arguments)
}

impl Place<'_> {
    /// What makes the container's file system and becomes its program. Directories of this machine are only read; what is
    /// written, and what is mounted, lies in memory.
    fn script(&self, spec: &Spec, image: &Image, variables: &BTreeMap<String, String>, command: &[String]) -> String {
        let root = self.directory.join(format!("{}.root", spec.name));
        let names = self.directory.join("names");
        let mut script = format!(
            "set -e
mkdir -p {root}
mount -t tmpfs -o mode=755 tmpfs {root}
cd {root}
bind() {{
    if [ -d \"$1\" ]; then mkdir -p \"$2\"; else mkdir -p \"$(dirname \"$2\")\"; [ -e \"$2\" ] || : >\"$2\"; fi
    mount --bind \"$1\" \"$2\"
}}
mkdir -p proc sys dev etc run/names run/usr run/work tmp usr
chmod 1777 tmp
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t overlay -o lowerdir=/usr,upperdir=run/usr,workdir=run/work overlay usr
mount -t tmpfs -o mode=755 tmpfs usr/local/bin
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$name ]; then cp -P /$name $name; elif [ -d /$name ]; then bind /$name $name; fi
done
for name in {ETC}; do [ ! -e /etc/$name ] || bind /etc/$name etc/$name; done
bind {names} run/names
ln -s /run/names/hosts etc/hosts
echo nameserver 127.0.0.1 >etc/resolv.conf
",
            root = quoted(&root.display().to_string()),
            names = quoted(&names.display().to_string()),
        );
        for (path, source) in &image.files {
            script += &format!("bind {} {}\n", quoted(&source.display().to_string()), quoted(&format!(".{path}")));
        }
        let mut mounts: Vec<&Mount> = spec.volume_mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.mount_path.len());
        for mount in mounts {
            let source: PathBuf = self.directory.join("volumes").join(&mount.name).join(&mount.sub_path);
            let target = format!(".{}", mount.mount_path);
            script += &format!("bind {} {}\n", quoted(&source.display().to_string()), quoted(&target));
        }
        script += &format!("exec chroot{} . /usr/bin/env -i", self.user(spec));
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
        for word in variables.chain(command.iter().cloned()) {
            script += &format!(" \\\n    {}", quoted(&word));
        }
        script + "\n"
    }

    fn user(&self, spec: &Spec) -> String {
        let pod = &self.pod.spec.security_context;
        let user = spec.security_context.run_as_user.or(pod.run_as_user).unwrap_or(0);
        let group = spec.security_context.run_as_group.or(pod.run_as_group).unwrap_or(user);
        if (user, group) == (0, 0) {
            return String::new();
        }
        format!(" --userspec=+{user}:+{group} --groups=")
    }
}

/// What a container wrote, whether it runs or has ended.
pub fn log(directory: &Path, container: &str) -> Result<String> {
    let mut text = String::new();
    for name in [format!("{container}.log"), format!("{container}.out")] {
        let path = directory.join(name);
        match fs::read(&path) {
            Ok(bytes) => text += &String::from_utf8_lossy(&bytes),
            Err(error) => bail!("{}: {error}", path.display()),
        }
    }
    Ok(text)
}
