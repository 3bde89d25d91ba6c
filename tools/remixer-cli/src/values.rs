//! What values of options must look like.

/// A host and a port, as they are written. A host that nobody knows is noticed when it is needed.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '@', ' ']);
    match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(text.to_owned()),
        _ => Err("a host and a port, such as 127.0.0.1:9090".to_owned()),
    }
}
