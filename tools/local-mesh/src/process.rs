//! Child processes that always end: when dropped, and by the kernel's hand when this process is killed.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Context, Result};

use crate::tools;

/// Lines of a log that an error message shows.
const LAST_LINES: usize = 15;

/// A running program, its output in two files.
#[derive(Debug)]
pub struct Process {
    what: String,
    log: PathBuf,
    output: PathBuf,
    child: Mutex<Child>,
}

struct Order {
    command: Command,
    reply: Sender<std::io::Result<Child>>,
}

impl Process {
    /// Starts `program`. `what` names it in messages: `sidecar of reviews-v1`. What it writes to stderr goes to `log`, what
    /// it writes to stdout to the same path with extension `out`.
    pub fn start(what: &str, program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let output = log.with_extension("out");
        let create = |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
        let mut command = Command::new(tools::setpriv()?);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(create(&output)?).stderr(create(log)?);
        command.process_group(0); // Ctrl-C is for us; we end the children ourselves
        let child = spawn(command).with_context(|| format!("cannot start {what} ({})", program.display()))?;
        Ok(Self { what: what.to_owned(), log: log.to_owned(), output, child: Mutex::new(child) })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// Everything it wrote to stderr.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Everything it wrote to stdout.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Where it writes what it writes to stdout.
    pub fn output_path(&self) -> &Path {
        &self.output
    }

    /// An error with status and last words if it has ended.
    pub fn check(&self) -> Result<()> {
        match self.status() {
            None => Ok(()),
            Some(status) => {
                let log = self.log();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
                let last: String = last.map(|line| format!("\n    {line}")).collect();
                bail!("the {} ended by itself ({status}); the end of its log:{last}", self.what)
            }
        }
    }

    /// Ends it.
    pub fn stop(&self) {
        let mut child = self.lock();
        // Nothing that these programs could still write is wanted, so no time is given. An error says that it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }

    fn status(&self) -> Option<ExitStatus> {
        self.lock().try_wait().ok().flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// An error naming `who` when something listens on the address already. Envoy itself would share the port silently.
pub fn check_free(who: &str, ip: Ipv4Addr, port: u16) -> Result<()> {
    let address = SocketAddr::from((ip, port));
    match listen(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{address} is needed for {who}, but cannot be bound: {error}. Is another mesh running?"),
    }
}

/// Listens on an address. One that was in use until just now may be for a moment longer: a process that is being started
/// holds copies of all that its parent had open, until it runs.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Children die with the thread that made them (that is what the kernel takes for the parent), so one thread that lives
/// as long as this process makes them all.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for mut order in inbox {
                // The one who asked is waiting, unless it panicked.
                let _ = order.reply.send(order.command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    spawner.send(Order { command, reply }).map_err(|_| anyhow!("the thread that starts processes has ended"))?;
    Ok(answer.recv()??)
}
