//! The machine: which cores are used for what, and the CPU time of a thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context, Result};

/// The core of the proxy, and the one of everything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cores {
    /// Envoy's alone.
    pub proxy: usize,
    /// The load, and what answers it.
    pub load: usize,
    /// False when the two are halves of one physical core: they then slow each other down.
    pub apart: bool,
}

impl Cores {
    /// Chooses two that this process may use, on different physical cores if there are such.
    pub fn choose() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        let allowed = parse_list(list);
        let siblings = allowed.first().map(|first| siblings(*first)).unwrap_or_default();
        Self::of(&allowed, &siblings)
            .with_context(|| format!("two cores are needed, one of them for Envoy alone; there is {}", list.trim()))
    }

    fn of(allowed: &[usize], siblings_of_first: &[usize]) -> Option<Self> {
        let (proxy, others) = allowed.split_first()?;
        let apart = others.iter().find(|core| !siblings_of_first.contains(core));
        Some(Self { proxy: *proxy, load: *apart.or(others.first())?, apart: apart.is_some() })
    }
}

/// Keeps a process, with all threads that it has by now and those that they will make, on some cores.
pub fn pin(process: u32, cores: &[usize]) -> Result<()> {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    let cores = cores.join(",");
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &cores, &process.to_string()]);
    let output = command.stdin(Stdio::null()).output().context("cannot run taskset (of util-linux)")?;
    ensure!(
        output.status.success(),
        "taskset cannot keep process {process} on core {cores}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// A thread of a process, by the file that tells its CPU time.
#[derive(Debug, Clone)]
pub struct Thread(PathBuf);

impl Thread {
    /// The thread of that name.
    pub fn find(process: u32, name: &str) -> Result<Self> {
        let tasks = Path::new("/proc").join(process.to_string()).join("task");
        let entries = fs::read_dir(&tasks).with_context(|| format!("cannot read {}", tasks.display()))?;
        let is_it = |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
        let found = entries.flatten().map(|entry| entry.path()).find(is_it);
        let path = found.with_context(|| format!("process {process} has no thread {name}"))?;
        Ok(Self(path.join("schedstat")))
    }

    /// How long it has run, in nanoseconds. Exact while the thread sleeps; while it runs, up to a timer tick behind.
    pub fn cpu_time(&self) -> Result<u64> {
        let text = fs::read_to_string(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        let time = text.split_whitespace().next().and_then(|word| word.parse().ok());
        time.with_context(|| format!("{} does not begin with a number: {text}", self.0.display()))
    }

    /// The same, once the thread had time to fall asleep: after the last answer a worker still has its log to write.
    pub fn settled_cpu_time(&self) -> Result<u64> {
        std::thread::sleep(Duration::from_millis(2));
        self.cpu_time()
    }
}

/// Resident memory of a process in bytes, and the part of it that the process has written and shares with no other. Clean pages of
/// its program are not in that part: the proxies of a node share them, and whether they do at the moment must not matter.
pub fn memory(process: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_memory(&text).with_context(|| format!("{path} has no Rss or no Private_Dirty: {text}"))
}

fn parse_memory(text: &str) -> Option<(u64, u64)> {
    let bytes = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some((bytes("Rss:")?, bytes("Private_Dirty:")?))
}

/// Name of the processor, as the kernel tells it.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}

/// The cores that share one physical core with it, itself included.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    parse_list(&fs::read_to_string(path).unwrap_or_default())
}

/// `0-2,5` as the kernel writes it.
fn parse_list(text: &str) -> Vec<usize> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(parse_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_list(" 3"), [3]);
        assert_eq!(parse_list(""), [0; 0]);
    }

    #[test]
    fn private_memory_is_what_was_written() {
        let text =
            "5555-7fff ---p 00000000 00:00 0 [rollup]\nRss:  40 kB\nPrivate_Clean:  8 kB\nPrivate_Dirty:  16 kB\n";
        assert_eq!(parse_memory(text), Some((40 * 1024, 16 * 1024)));
        assert_eq!(parse_memory("Rss: 40 kB\n"), None);
        assert!(memory(std::process::id()).is_ok_and(|(resident, private)| private > 0 && private <= resident));
    }

    #[test]
    fn the_two_cores_are_physical_ones_where_there_are() {
        assert_eq!(Cores::of(&[0, 1, 2, 3], &[0, 1]), Some(Cores { proxy: 0, load: 2, apart: true }));
        assert_eq!(Cores::of(&[4, 5], &[4, 5]), Some(Cores { proxy: 4, load: 5, apart: false }));
        assert_eq!(Cores::of(&[0, 1], &[]), Some(Cores { proxy: 0, load: 1, apart: true }));
        assert_eq!(Cores::of(&[0], &[0]), None);
    }

    #[test]
    fn a_thread_s_cpu_time_grows_with_its_work() {
        // A test's own thread has a name that is cut, and then another's, too.
        let work = || {
            let thread = Thread::find(std::process::id(), "counted").unwrap();
            let before = thread.cpu_time().unwrap();
            let begin = std::time::Instant::now();
            while begin.elapsed() < std::time::Duration::from_millis(60) {}
            assert!(thread.cpu_time().unwrap() > before);
        };
        std::thread::Builder::new().name("counted".to_owned()).spawn(work).unwrap().join().unwrap();
        assert!(Thread::find(std::process::id(), "none of that name").is_err());
    }
}
