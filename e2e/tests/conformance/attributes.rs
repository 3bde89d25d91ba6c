//! Attributes with values by condition, as in Istio's attributegen.

use hyper::Method;
use local_mesh::Mesh;

use crate::scene::{get, status, Setting};

/// Attributes in the form of attributegen's own configuration, and labels with these attributes.
const CLASSES: &str = r#"{
    "attributes": [
        {"output_attribute": "istio_operationId", "match": [
            {"value": "ListBooks", "condition": "request.url_path == '/books' && request.method == 'GET'"},
            {"value": "GetBook", "condition": "request.url_path.matches('^/books/[0-9]+$') && request.method == 'GET'"},
            {"value": "ChangeBook", "condition": "request.url_path.startsWith('/books/')"}
        ]},
        {"output_attribute": "istio_responseClass", "phase": "ON_LOG", "match": [
            {"value": "2xx", "condition": "response.code >= 200 && response.code <= 299"},
            {"value": "5xx", "condition": "response.code >= 500 && response.code <= 599"}
        ]},
        {"output_attribute": "customer_tier", "match": [
            {"value": "gold", "condition": "request.headers['x-tier'] == 'gold'"},
            {"value": "other"}
        ]}
    ],
    "metrics": [{"name": "requests_total", "dimensions": {
        "request_operation": "istio_operationId",
        "response_code": "istio_responseClass",
        "customer_tier": "customer_tier"
    }}]
}"#;

/// A label with an attribute's filter state, and one with an expression over an attribute.
const BY_OTHER_WAYS: &str = r#"{
    "attributes": [{"output_attribute": "istio_operationId", "match": [
        {"value": "ListBooks", "condition": "request.url_path == '/books'"}
    ]}],
    "metrics": [{"name": "requests_total", "dimensions": {
        "by_filter_state": "filter_state['wasm.istio_operationId']",
        "by_expression": "istio_operationId == 'ListBooks' ? 'list' : 'other'"
    }}]
}"#;

pub fn requests_are_classified(envoy: &str) {
    let setting = Setting { outbound: CLASSES, inbound: BY_OTHER_WAYS, ..Setting::default() };
    let mut scene = setting.start(envoy);
    let send = |mesh: &Mesh, method: Method, path: &str, tier: Option<&str>| {
        let request = get(mesh, path).method(method);
        let request = tier.iter().fold(request, |request, tier| request.header("x-tier", tier));
        status(mesh, request)
    };
    scene.row(
        "the first condition that holds gives the value; methods and paths tell requests apart",
        |mesh| {
            for (method, path) in [(Method::GET, "/books"), (Method::GET, "/books/17"), (Method::DELETE, "/books/17")] {
                assert_eq!(send(mesh, method, path, Some("gold")), 200);
            }
        },
        r#"client-v1 istio_requests_total{request_operation="ListBooks",response_code="2xx",customer_tier="gold"} 1
           client-v1 istio_requests_total{request_operation="GetBook",response_code="2xx",customer_tier="gold"} 1
           client-v1 istio_requests_total{request_operation="ChangeBook",response_code="2xx",customer_tier="gold"} 1"#,
    );
    scene.row(
        "where none holds, the label is unknown; a match without a condition holds always",
        |mesh| assert_eq!(send(mesh, Method::GET, "/status/404", Some("silver")), 404),
        r#"client-v1 istio_requests_total{request_operation="unknown",response_code="unknown",customer_tier="other"} 1"#,
    );
    scene.row(
        "a condition that fails leaves its attribute unknown, and the others as they are",
        |mesh| assert_eq!(send(mesh, Method::GET, "/status/503", None), 503),
        r#"client-v1 istio_requests_total{request_operation="unknown",response_code="5xx",customer_tier="unknown"} 1"#,
    );
    scene.row(
        "an attribute is filter state by its name, and a part of expressions",
        |mesh| assert_eq!(send(mesh, Method::GET, "/books", None), 200),
        r#"server-v2 istio_requests_total{by_filter_state="ListBooks",by_expression="list"} 1"#,
    );
}
