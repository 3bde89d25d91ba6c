//! Images are names of programs of this machine: nothing is pulled.

use std::path::PathBuf;

use anyhow::{bail, Result};
use local_mesh::tools;

use crate::parts;

/// The application of tests, in the specifications of pods.
pub const APP: &str = "pod-app";

/// Where programs are in a container.
const PROGRAMS: &str = "/usr/local/bin";

/// What an image has beside this machine's own programs and libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// What is run when the container does not say it.
    pub command: Vec<String>,
    /// Files by their paths in the container.
    pub files: Vec<(String, PathBuf)>,
    /// Variables of the environment.
    pub environment: Vec<(String, String)>,
}

impl Image {
    /// The image of a name such as `docker.io/istio/proxyv2:1.31.0`.
    pub fn named(name: &str) -> Result<Self> {
        let repository = name.split(['@', ':']).next().unwrap_or_default();
        match repository.rsplit('/').next().unwrap_or_default() {
            // The injector puts the proxy's image in place of `auto`.
            "proxyv2" | "auto" => Self::proxy(),
            "pilot" => Ok(Self::program("pilot-discovery", parts::istio("pilot-discovery")?)),
            APP => Ok(Self::program(APP, tools::program(APP)?)),
            "prometheus" => Ok(Self::program("prometheus", parts::prometheus()?)),
            "kiali" => Ok(Self::program("kiali", parts::kiali()?)),
            "registry" => Ok(Self::program("docker-registry", parts::registry()?)),
            // A server of files for one that serves what is mounted where nginx looks for it. The image's shell and curl are this
            // machine's.
            "nginx-unprivileged" => {
                let mut server = Self::program(APP, tools::program(APP)?);
                server.command.extend(["files", "8080", "/usr/share/nginx/html"].map(str::to_owned));
                Ok(server)
            }
            _ => bail!("the image {name} is not known here"),
        }
    }

    /// Istio's proxy image with stock Envoy.
    fn proxy() -> Result<Self> {
        let mut image = Self::program("pilot-agent", parts::istio("pilot-agent")?);
        image.files.push((format!("{PROGRAMS}/envoy"), tools::envoy(None)?.canonicalize()?));
        let template = parts::istio("envoy_bootstrap_tmpl.json")?;
        image.files.push(("/var/lib/istio/envoy/envoy_bootstrap_tmpl.json".to_owned(), template));
        let version = ("ISTIO_META_ISTIO_VERSION".to_owned(), parts::ISTIO_VERSION.to_owned());
        image.environment = vec![version, ("ISTIO_META_ISTIO_PROXY_SHA".to_owned(), "stock".to_owned())];
        Ok(image)
    }

    fn program(name: &str, source: PathBuf) -> Self {
        let path = format!("{PROGRAMS}/{name}");
        Self { command: vec![path.clone()], files: vec![(path, source)], environment: Vec::new() }
    }
}
