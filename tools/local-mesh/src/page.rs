//! The live view of a mesh: a page with its service graph, and the endpoints of Istio's servicegraph.
//!
//! This program contains everything that a browser needs. The page loads nothing from elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderValue, CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::runtime::Handle;

use crate::graph::{self, Graph, Selection};
use crate::mesh::Mesh;
use crate::percent;
use crate::prometheus::Queries;
use crate::server::{answer, Server};

/// The port of servicegraph.
pub const PORT: u16 = 8088;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The content security policy: browsers then load nothing from elsewhere.
const POLICY: &str = "default-src 'self'; img-src 'self' data:";

/// The files: path, type, content.
const FILES: [(&str, &str, &str); 13] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/dotviz", HTML, include_str!("../page/dotviz.html")),
    ("/force/forcegraph.html", HTML, include_str!("../page/forcegraph.html")),
    ("/page.css", STYLE, include_str!("../page/page.css")),
    ("/page.js", SCRIPT, include_str!("../page/page.js")),
    ("/picture.js", SCRIPT, include_str!("../page/picture.js")),
    ("/model.js", SCRIPT, include_str!("../page/model.js")),
    ("/text.js", SCRIPT, include_str!("../page/text.js")),
    ("/dotviz.js", SCRIPT, include_str!("../page/dotviz.js")),
    ("/forcegraph.js", SCRIPT, include_str!("../page/forcegraph.js")),
    ("/servicegraph.js", SCRIPT, include_str!("../page/servicegraph.js")),
    ("/vendor/dagre.js", SCRIPT, include_str!("../page/vendor/dagre.min.js")),
    (
        "/vendor/d3-force.js",
        SCRIPT,
        // In the order of their dependencies.
        concat!(
            include_str!("../page/vendor/d3-dispatch.min.js"),
            "\n",
            include_str!("../page/vendor/d3-quadtree.min.js"),
            "\n",
            include_str!("../page/vendor/d3-timer.min.js"),
            "\n",
            include_str!("../page/vendor/d3-force.min.js"),
        ),
    ),
];

/// Serves the page for the mesh of a Prometheus.
pub fn start(address: SocketAddr, runtime: &Handle, prometheus: Queries) -> Result<Server> {
    let prometheus = Arc::new(prometheus);
    Server::start(address, runtime, move |request| {
        let prometheus = Arc::clone(&prometheus);
        async move { respond(&prometheus, &request).await }
    })
}

/// Serves the page for one of our meshes, next to its Prometheus.
pub fn of_mesh(mesh: &Mesh) -> Result<Server> {
    let ip = Ipv4Addr::new(127, mesh.topology().network(), 0, 100);
    start((ip, PORT).into(), mesh.client().runtime(), mesh.prometheus()?.queries().clone())
}

async fn respond(prometheus: &Queries, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
    }
    let path = request.uri().path();
    let file = FILES.iter().find(|(name, ..)| *name == path);
    let mut response = match file {
        Some((_, content_type, content)) => answer(StatusCode::OK, content_type, *content),
        None => data(prometheus, path, request.uri().query().unwrap_or_default()).await,
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Data derived from the graph.
async fn data(prometheus: &Queries, path: &str, query: &str) -> Response<Full<Bytes>> {
    let form: fn(&Graph) -> (&'static str, String) = match path {
        "/mesh.json" => |graph| (JSON, json!(graph).to_string()),
        "/graph" => |graph| (JSON, graph::service_graph(graph).to_string()),
        "/d3graph" => |graph| (JSON, graph::d3_graph(graph).to_string()),
        "/dotgraph" => |graph| (TEXT, graph::dot(graph)),
        _ => return answer(StatusCode::NOT_FOUND, TEXT, format!("there is no {path} here\n")),
    };
    let selection = match Selection::parse(&percent::pairs(query)) {
        Ok(selection) => selection,
        Err(error) => return answer(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
    };
    match Graph::of(prometheus, &selection).await {
        Ok(graph) => {
            let (content_type, text) = form(&graph);
            answer(StatusCode::OK, content_type, text)
        }
        Err(error) => {
            answer(StatusCode::BAD_GATEWAY, TEXT, format!("Prometheus cannot be asked: {}\n", error.root_cause()))
        }
    }
}
