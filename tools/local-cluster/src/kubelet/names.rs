//! Names of services, for the pods' hosts files: in place of a name server.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::spec::Pod;
use crate::api::Api;
use crate::json::{at, list, text};

/// The domain of the cluster.
const DOMAIN: &str = "svc.cluster.local";

/// A name within a namespace (`web`, or `web-0.web` of a pod behind it), and what it stands for.
#[derive(Debug)]
struct Name {
    namespace: String,
    name: String,
    address: String,
}

/// All names of the cluster.
#[derive(Debug, Default)]
pub struct Names(Vec<Name>);

impl Names {
    /// Those that there are now.
    pub fn look_up(api: &Api) -> Result<Self> {
        let slices = api.list("/apis/discovery.k8s.io/v1/endpointslices")?;
        let mut behind: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
        for slice in &slices {
            let key = (text(slice, "/metadata/namespace"), text(slice, "/metadata/labels/kubernetes.io~1service-name"));
            behind.entry(key).or_default().extend(list(slice, "/endpoints"));
        }
        let mut names = Vec::new();
        for service in api.list("/api/v1/services")? {
            let (name, namespace) = (text(&service, "/metadata/name"), text(&service, "/metadata/namespace"));
            let mut add = |name: String, address: &str| {
                names.push(Name { namespace: namespace.to_owned(), name, address: address.to_owned() });
            };
            match text(&service, "/spec/clusterIP") {
                "" => {}
                "None" => {
                    for endpoint in behind.get(&(namespace, name)).into_iter().flatten() {
                        let address = text(endpoint, "/addresses/0");
                        add(name.to_owned(), address);
                        if let Some(host) = at(endpoint, "/hostname").as_str() {
                            add(format!("{host}.{name}"), address);
                        }
                    }
                }
                address => add(name.to_owned(), address),
            }
        }
        Ok(Self(names))
    }

    /// The hosts file of a pod with an address.
    pub fn hosts(&self, pod: &Pod, address: &str) -> String {
        let mut hosts = format!("127.0.0.1 localhost\n{address} {}\n", pod.metadata.name);
        for alias in &pod.spec.host_aliases {
            hosts += &format!("{} {}\n", alias.ip, alias.hostnames.join(" "));
        }
        for Name { namespace, name, address } in &self.0 {
            hosts += &format!("{address} {name}.{namespace}.{DOMAIN} {name}.{namespace}.svc {name}.{namespace}");
            if *namespace == pod.metadata.namespace {
                hosts += &format!(" {name}");
            }
            hosts.push('\n');
        }
        hosts
    }
}
