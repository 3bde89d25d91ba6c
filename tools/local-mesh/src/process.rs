//! Child processes that always end: when dropped, or by the kernel when this process is killed.

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

/// Lines of the log in an error message.
const LAST_LINES: usize = 15;

/// A running program; its output goes to two files.
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
    /// Starts `program`. `what` is its name in messages: `sidecar of reviews-v1`. Its stderr goes to `log`, its stdout to
    /// the same path with the extension `out`.
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

    /// Everything written to stderr so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Everything written to stdout so far.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// The file of its stdout.
    pub fn output_path(&self) -> &Path {
        &self.output
    }

    /// An error with the status and the last lines of the log, if it has ended.
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
        // These programs have nothing left to write, so they are killed at once. An error means that the process has
        // already ended.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// How it ended, if it did.
    pub fn status(&self) -> Option<ExitStatus> {
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

/// An error naming `who` if the address is in use. Envoy itself would silently share the port.
pub fn check_free(who: &str, ip: Ipv4Addr, port: u16) -> Result<()> {
    let address = SocketAddr::from((ip, port));
    match listen(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{address} is needed for {who}, but cannot be bound: {error}. Is another mesh running?"),
    }
}

/// Listens on an address. An address that was in use until now may stay in use for a moment: a process that is just
/// starting holds copies of its parent's open files until it runs.
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

/// Children die with the thread that created them (the kernel regards the thread as the parent). So one thread, which lives
/// as long as this process, creates all of them.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for mut order in inbox {
                // The caller waits for the reply, unless it panicked.
                let _ = order.reply.send(order.command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    spawner.send(Order { command, reply }).map_err(|_| anyhow!("the thread that starts processes has ended"))?;
    Ok(answer.recv()??)
}
