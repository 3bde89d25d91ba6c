//! Whether this process is where a cluster may be started: in a network of its own, where it can neither disturb nor reach
//! anything else.

use anyhow::{ensure, Result};

use crate::command::run;

/// An error unless this network has the loopback device alone.
pub fn check() -> Result<()> {
    let links = run("ip", &["-brief", "link"])?;
    let others: Vec<&str> =
        links.lines().filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "lo").collect();
    ensure!(
        others.is_empty(),
        "this is no network for a cluster, it has {}: run \"make test-istio\", which makes one",
        others.join(", ")
    );
    Ok(())
}
