//! The API server, asked through `kubectl proxy`: so it is plain HTTP, and nobody needs certificates.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{bail, Result};
use hyper::Method;
use local_mesh::{Answer, Client, Request};
use serde_json::Value;

use crate::json::text;

/// The longest that a request may take: webhooks that are not there cost the API server 10 s.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Asks the API server.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    address: SocketAddr,
}

impl Api {
    /// The API server behind the proxy at an address.
    pub fn new(client: Client, address: SocketAddr) -> Self {
        Self { client, address }
    }

    /// What is at a path.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.expect(Request::get(self.address, path))
    }

    /// What is at a path; None where nothing is.
    pub fn find(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.send(Request::get(self.address, path))?;
        if answer.status == 404 {
            return Ok(None);
        }
        checked(path, &answer).map(Some)
    }

    /// The version of the object at a path, without fetching the object; None where nothing is.
    pub fn version(&self, path: &str) -> Result<Option<String>> {
        let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let answer = self.send(Request::get(self.address, path).header("accept", accept))?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(text(&checked(path, &answer)?, "/metadata/resourceVersion").to_owned()))
    }

    /// The items of a list.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("{path} is no list"),
        }
    }

    /// Creates an object in a collection; gives what became of it.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.expect(self.json(Method::POST, path, "application/json", object))
    }

    /// Changes the fields that `patch` has.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.expect(self.json(Method::PATCH, path, "application/merge-patch+json", patch))
    }

    /// Deletes an object, as whoever has ended what it stood for. One that is gone is no error.
    pub fn delete(&self, path: &str) -> Result<()> {
        let now = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let answer = self.send(self.json(Method::DELETE, path, "application/json", &now))?;
        if answer.status == 404 {
            return Ok(());
        }
        checked(path, &answer).map(drop)
    }

    /// Whether it answers and finds itself ready.
    pub fn is_ready(&self) -> bool {
        self.send(Request::get(self.address, "/readyz")).is_ok_and(|answer| answer.status == 200)
    }

    fn json(&self, method: Method, path: &str, kind: &str, object: &Value) -> Request {
        Request::post(self.address, path, object.to_string()).method(method).header("content-type", kind)
    }

    fn expect(&self, request: Request) -> Result<Value> {
        checked(&format!("{request:?}"), &self.send(request)?)
    }

    fn send(&self, request: Request) -> Result<Answer> {
        self.client.send(&request.timeout(TIMEOUT))
    }
}

fn checked(what: &str, answer: &Answer) -> Result<Value> {
    if !(200..300).contains(&answer.status) {
        let message = answer.json().ok().and_then(|status| Some(status.get("message")?.as_str()?.to_owned()));
        bail!("the API server says {} to {what}: {}", answer.status, message.unwrap_or_else(|| answer.text()));
    }
    answer.json()
}
