//! Two workloads that differ in everything that telemetry reports, and requests between them.

use std::net::TcpStream;

use local_mesh::{Mesh, Request};

use crate::wait::WAIT;

/// A client and a server.
pub const PAIR: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, namespace: front, address: 127.1.0.1, calls: [server] }
  - { name: server-v2, app: server, version: v2, namespace: back, address: 127.1.0.2 }
services:
  - { name: server, namespace: back, port: 9080, protocol: http }
";

/// The client's name for the server.
pub const SERVER: &str = "server.back:9080";

/// A client and a database.
pub const DATABASE: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, namespace: front, address: 127.1.0.1, calls: [db] }
  - { name: db-v2, app: db, version: v2, namespace: back, address: 127.1.0.2 }
services:
  - { name: db, namespace: back, port: 27017, protocol: tcp }
";

/// GET from the application of `client-v1` to the server.
pub fn get(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("client-v1").unwrap().outbound(), path).host(SERVER)
}

/// Sends a request. Returns the status of its answer.
pub fn status(mesh: &Mesh, request: Request) -> u16 {
    mesh.client().send(&request).unwrap().status
}

/// A connection from a workload's application to a port of its proxy.
pub fn connect(mesh: &Mesh, workload: &str, port: u16) -> TcpStream {
    let stream = TcpStream::connect(mesh.sidecar(workload).unwrap().address(port)).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}
