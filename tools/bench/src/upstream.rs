//! What the proxy forwards to: a server that gives one and the same answer to everything, in plaintext or over mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use local_mesh::config::port;
use local_mesh::process::listen;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::site::{Site, CALLEE, MEASURED};
use crate::tls;

/// Starts what the scenes forward to: the application beside the proxy, and the callee's proxy.
pub fn serve_all(site: &Site, runtime: &Runtime) -> Result<()> {
    serve(runtime, site.application(MEASURED)?, None, site.answer(None)?)?;
    let callee = site.workload(CALLEE)?;
    let tls = tls::server(callee, &site.files.pki)?;
    serve(runtime, (callee.address, port::INBOUND).into(), Some(tls), site.answer(Some(callee))?)
}

/// Serves on `runtime`, hence while its thread waits for a load to end, until the runtime ends.
pub fn serve(runtime: &Runtime, address: SocketAddr, tls: Option<Arc<ServerConfig>>, answer: Arc<[u8]>) -> Result<()> {
    let _context = runtime.enter();
    let listener = listen(address)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .with_context(|| format!("cannot listen on {address}"))?;
    runtime.spawn(accept(listener, tls.map(TlsAcceptor::from), answer));
    Ok(())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<[u8]>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, tls.clone(), Arc::clone(&answer)));
    }
}

/// An error ends the connection; the proxy then says so to the load.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, answer: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => respond(stream, &answer).await,
        Some(tls) => respond(tls.accept(stream).await?, &answer).await,
    }
}

/// Requests have no body, so each ends with its headers; there is at most one under way.
async fn respond(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if buffer.ends_with(b"\r\n\r\n") {
            buffer.clear();
            stream.write_all(answer).await?;
            stream.flush().await?;
        }
    }
}
