//! What a pod's specification says, as far as this kubelet does it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A pod as the API server has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Pod {
    /// Who it is.
    pub metadata: Metadata,
    /// What is to run.
    pub spec: Spec,
}

/// Who an object is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// The same for no other object, ever.
    pub uid: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Set when it is to end.
    pub deletion_timestamp: Option<String>,
    /// How many seconds it has for that.
    pub deletion_grace_period_seconds: Option<u64>,
}

/// What is to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The node it was given to.
    pub node_name: Option<String>,
    /// Whose tokens it gets.
    #[serde(default = "default_account")]
    pub service_account_name: String,
    /// Containers that run to their end before the others start, or beside them.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// Containers.
    pub containers: Vec<Container>,
    /// Files that they mount.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// `Always`, `OnFailure` or `Never`.
    #[serde(default)]
    pub restart_policy: String,
    /// Lines for its hosts file.
    #[serde(default)]
    pub host_aliases: Vec<HostAlias>,
    /// Who the containers run as.
    #[serde(default)]
    pub security_context: Security,
    /// Its name in names of hosts.
    pub hostname: Option<String>,
    /// The service that such names are under.
    pub subdomain: Option<String>,
}

/// A container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    #[serde(default)]
    pub image: String,
    /// What is run in place of the image's own program.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// Which volumes it sees where.
    #[serde(default)]
    pub volume_mounts: Vec<Mount>,
    /// Limits, which are told and not enforced.
    #[serde(default)]
    pub resources: Resources,
    /// When it takes requests.
    pub readiness_probe: Option<Probe>,
    /// When those after it may start.
    pub startup_probe: Option<Probe>,
    /// `Always`, of an init container that runs beside the others.
    pub restart_policy: Option<String>,
    /// Who it runs as.
    #[serde(default)]
    pub security_context: Security,
    /// What is done before it ends.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Named ports.
    #[serde(default)]
    pub ports: Vec<Port>,
}

/// A port of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Number.
    pub container_port: u16,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    #[serde(default)]
    pub value: String,
    /// Where the value is otherwise.
    pub value_from: Option<ValueFrom>,
}

/// Where a value is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueFrom {
    /// In the pod.
    FieldRef(FieldRef),
    /// In the container's limits.
    ResourceFieldRef(ResourceRef),
    /// In a ConfigMap.
    ConfigMapKeyRef(KeyRef),
}

/// A field of the pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Such as `metadata.name`.
    pub field_path: String,
}

/// A limit of the container.
#[derive(Debug, Clone, Deserialize)]
pub struct ResourceRef {
    /// Such as `limits.cpu`.
    pub resource: String,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyRef {
    /// The ConfigMap.
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// A volume's place in a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// The volume.
    pub name: String,
    /// Where it is seen.
    pub mount_path: String,
    /// The part of it that is seen.
    #[serde(default)]
    pub sub_path: String,
}

/// Limits of a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Resources {
    /// By name: `cpu`, `memory`.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

/// Who runs a program.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// User.
    pub run_as_user: Option<u32>,
    /// Group.
    pub run_as_group: Option<u32>,
    /// Settings of the kernel for the pod's network.
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
}

/// A setting of the kernel.
#[derive(Debug, Clone, Deserialize)]
pub struct Sysctl {
    /// Its name, such as `net.ipv4.ip_unprivileged_port_start`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A question whose answer says how a container is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// A GET.
    pub http_get: Option<HttpGet>,
    /// A connection.
    pub tcp_socket: Option<TcpSocket>,
}

/// A GET that is to be answered well.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpGet {
    /// Path.
    #[serde(default = "root_path")]
    pub path: String,
    /// Port, by number or name.
    pub port: Value,
}

/// A port that is to take connections.
#[derive(Debug, Clone, Deserialize)]
pub struct TcpSocket {
    /// Port, by number or name.
    pub port: Value,
}

/// What is done at a container's end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Before it is told to end.
    pub pre_stop: Option<Hook>,
}

/// A program that is run in a container.
#[derive(Debug, Clone, Deserialize)]
pub struct Hook {
    /// The program.
    pub exec: Option<Exec>,
}

/// A program.
#[derive(Debug, Clone, Deserialize)]
pub struct Exec {
    /// It and its arguments.
    pub command: Vec<String>,
}

/// Lines of a hosts file.
#[derive(Debug, Clone, Deserialize)]
pub struct HostAlias {
    /// Address.
    pub ip: String,
    /// Names.
    pub hostnames: Vec<String>,
}

/// Files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name.
    pub name: String,
    /// A ConfigMap.
    pub config_map: Option<Named>,
    /// A secret.
    pub secret: Option<Secret>,
    /// The pod itself.
    #[serde(rename = "downwardAPI")]
    pub downward: Option<Downward>,
    /// Several of these.
    pub projected: Option<Projected>,
    /// An empty directory.
    pub empty_dir: Option<Map<String, Value>>,
    /// What is not known here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A ConfigMap, or some of its keys.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    /// Name.
    pub name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
    /// Which keys, if not all.
    pub items: Option<Vec<Item>>,
}

/// A secret, or some of its keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Name.
    pub secret_name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
    /// Which keys, if not all.
    pub items: Option<Vec<Item>>,
}

/// A key and the file that it becomes.
#[derive(Debug, Clone, Deserialize)]
pub struct Item {
    /// Key.
    pub key: String,
    /// File.
    pub path: String,
}

/// Fields of the pod as files.
#[derive(Debug, Clone, Deserialize)]
pub struct Downward {
    /// Which.
    pub items: Vec<DownwardItem>,
}

/// A field and the file that it becomes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownwardItem {
    /// File.
    pub path: String,
    /// Field of the pod.
    pub field_ref: Option<FieldRef>,
    /// Limit of a container.
    pub resource_field_ref: Option<ResourceRef>,
}

/// Several sources in one volume.
#[derive(Debug, Clone, Deserialize)]
pub struct Projected {
    /// The sources.
    pub sources: Vec<Source>,
}

/// A part of a volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A token of the pod's service account.
    ServiceAccountToken(Token),
    /// A ConfigMap.
    ConfigMap(Named),
    /// A secret.
    Secret(Named),
    /// The pod itself.
    #[serde(rename = "downwardAPI")]
    Downward(Downward),
}

/// A token of a service account.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// File.
    pub path: String,
    /// For whom.
    pub audience: Option<String>,
    /// For how long.
    #[serde(default = "an_hour")]
    pub expiration_seconds: u64,
}

fn default_account() -> String {
    "default".to_owned()
}

fn root_path() -> String {
    "/".to_owned()
}

fn an_hour() -> u64 {
    3600
}

impl Pod {
    /// For messages: namespace and name.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// Its path at the API server.
    pub fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.metadata.namespace, self.metadata.name)
    }

    /// A field, as `fieldRef` names it; None for one that is not known here.
    pub fn field(&self, path: &str, address: &str) -> Option<String> {
        let of = |map: &BTreeMap<String, String>, rest: &str| {
            let key = rest.trim_start_matches("['").trim_end_matches("']");
            map.get(key).cloned().unwrap_or_default()
        };
        let all = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!("{key}={}\n", Value::from(value.as_str()))).collect::<String>()
        };
        let Metadata { name, namespace, uid, labels, annotations, .. } = &self.metadata;
        Some(match path {
            "metadata.name" => name.clone(),
            "metadata.namespace" => namespace.clone(),
            "metadata.uid" => uid.clone(),
            "metadata.labels" => all(labels),
            "metadata.annotations" => all(annotations),
            "spec.nodeName" => self.spec.node_name.clone().unwrap_or_default(),
            "spec.serviceAccountName" => self.spec.service_account_name.clone(),
            "status.podIP" | "status.podIPs" => address.to_owned(),
            "status.hostIP" | "status.hostIPs" => crate::network::NODE.to_string(),
            _ => match (path.strip_prefix("metadata.labels"), path.strip_prefix("metadata.annotations")) {
                (Some(rest), _) => of(labels, rest),
                (_, Some(rest)) => of(annotations, rest),
                _ => return None,
            },
        })
    }
}

impl Container {
    /// Whether it is an init container that runs beside the others.
    pub fn runs_beside(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// A port by number or name.
    pub fn port(&self, port: &Value) -> Option<u16> {
        match port {
            Value::String(name) => self.ports.iter().find(|port| port.name == *name).map(|port| port.container_port),
            _ => port.as_u64()?.try_into().ok(),
        }
    }
}
