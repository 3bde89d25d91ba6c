//! docker-compose.yml, and the output of `remixer mesh render --compose` for its containers.

use std::process::Command;

use local_mesh::config::Tracing;
use local_mesh::{containers, tools, Options, Topology};
use serde_json::{Map, Value};

use super::{root, run, text, yaml, Scratch};

/// The file with all profiles, as docker-compose reads it; `None` if docker-compose is not installed.
fn resolved() -> Option<Map<String, Value>> {
    let profiles = ["--profile", "logs", "--profile", "traces"];
    let arguments = [profiles.as_slice(), &["config"]].concat();
    let mut plugin = Command::new("docker");
    let has_plugin = plugin.args(["compose", "version"]).output().is_ok_and(|output| output.status.success());
    let config = match has_plugin {
        true => run("docker", &[["compose"].as_slice(), &arguments].concat(), &root())?,
        false => run("docker-compose", &arguments, &root())?,
    };
    yaml(&config)["services"].as_object().cloned()
}

#[test]
fn every_workload_has_its_proxy_and_its_application_and_nobody_else_has() {
    let topology = Topology::bookinfo().unwrap();
    let document = yaml(&text("docker-compose.yml"));
    let services = document["services"].as_object().unwrap();
    let command = |service: &str| services.get(service).and_then(|s| s["command"].as_str()).unwrap_or_default();
    let (mut proxies, mut applications) = (Vec::new(), Vec::new());
    for workload in &topology.workloads {
        let name = &workload.name;
        assert!(command(name).contains(&format!(" /mesh/{name}/envoy.json")), "{name}: {}", command(name));
        proxies.push(name.clone());
        if topology.services_of(workload).next().is_some() {
            let application = format!("{name}-app");
            let service = services.get(&application).unwrap_or_else(|| panic!("no service {application}"));
            assert_eq!(service["network_mode"], format!("service:{name}"), "{application}");
            assert!(command(&application).starts_with(&format!("mesh app {name} ")), "{application}");
            let check = service["healthcheck"]["test"].as_array().unwrap();
            assert!(check.iter().any(|word| word == name), "{application}: {check:?}");
            applications.push(application);
        }
        if let Some(gateway) = &workload.gateway {
            let ports = services[name]["ports"].to_string();
            assert!(ports.contains(&format!(":{}\"", gateway.port)), "{name}: {ports}");
        }
    }
    for (service, _) in services {
        assert!(!command(service).contains("envoy.json") || proxies.contains(service), "{service} is no workload");
        assert!(
            !command(service).starts_with("mesh app ") || applications.contains(service),
            "{service} is no workload"
        );
    }
    let traffic = topology.traffic.as_ref().unwrap();
    let port = topology.workload(&traffic.gateway).unwrap().gateway.as_ref().unwrap().port;
    assert!(command("traffic").starts_with(&format!("mesh traffic {}:{port} ", traffic.gateway)));
}

#[test]
fn the_program_accepts_what_it_is_told() {
    let document = yaml(&text("docker-compose.yml"));
    let mut count = 0;
    for (name, service) in document["services"].as_object().unwrap() {
        let words = |field: &Value| field.as_str().map(|line| line.split_whitespace().map(str::to_owned).collect());
        let command: Vec<String> = service.get("command").and_then(words).unwrap_or_default();
        if !["mesh", "graph"].contains(&command.first().map_or("", String::as_str)) {
            continue;
        }
        let program = ["remixer".to_owned()];
        let mut lines = vec![[program.as_slice(), &command].concat()];
        let test = service.get("healthcheck").and_then(|check| check["test"].as_array()).into_iter();
        let test: Vec<String> = test.flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
        lines.extend(test.get(1..).filter(|check| check[0] == "remixer").map(<[String]>::to_vec));
        count += lines.len();
        for line in lines {
            let parsed = remixer_cli::cli::command().try_get_matches_from(&line);
            assert!(parsed.is_ok(), "{name}: {}", parsed.unwrap_err());
        }
    }
    // What renders, the traffic, the graph; and of each application itself and its check.
    let topology = Topology::bookinfo().unwrap();
    let applications = topology.workloads.iter().filter(|w| topology.services_of(w).next().is_some()).count();
    assert_eq!(count, 3 + 2 * applications);
    assert!(text("Dockerfile").contains("ENTRYPOINT [\"remixer\"]\n"));
}

#[test]
fn docker_compose_accepts_the_file_and_every_service_that_stays_has_a_health_check() {
    let Some(services) = resolved() else { return };
    // A service that ends, and one that only sends.
    let without = ["config", "traffic"];
    for (name, service) in &services {
        assert_eq!(service.get("healthcheck").is_none(), without.contains(&name.as_str()), "{name}");
        assert!(service.get("image").is_some_and(|image| !image.to_string().contains("latest")), "{name}");
    }
}

/// Docker builds an image once for each service with a `build` section, and all of these at once.
#[test]
fn each_image_is_built_for_one_service_and_taken_by_the_others() {
    let Some(services) = resolved() else { return };
    for image in ["remixer-mesh", "remixer-proxy", "remixer-fluentd"] {
        let users: Vec<&Value> = services.values().filter(|service| service["image"] == image).collect();
        let (built, taken): (Vec<&Value>, Vec<&Value>) =
            users.iter().partition(|service| service.get("build").is_some());
        assert_eq!(built.len(), 1, "{image}");
        assert!(built[0].get("pull_policy").is_none(), "{image}");
        assert!(taken.iter().all(|service| service["pull_policy"] == "never"), "{image}");
    }
}

#[test]
fn every_published_port_can_be_changed_and_is_for_this_machine_alone() {
    let document = text("docker-compose.yml");
    let published: Vec<&str> = document.lines().map(str::trim).filter(|line| line.starts_with("- \"${BIND")).collect();
    assert_eq!(published.len(), document.matches("ports:").count(), "{published:?}");
    for line in published {
        assert!(line.starts_with("- \"${BIND:-127.0.0.1}:${PORT_"), "{line}");
        let name = line.split("${").nth(2).unwrap().split(":-").next().unwrap();
        assert!(document.split("x-log").next().unwrap().contains(name), "the head of the file does not say {name}");
    }
}

#[test]
fn containers_have_the_versions_that_are_tested() {
    let (compose, docker) = (text("docker-compose.yml"), text("Dockerfile"));
    assert!(compose.contains(&format!("${{ENVOY_VERSION:-{}}}", tools::ENVOY_VERSION)));
    assert!(docker.contains(&format!("ARG ENVOY_VERSION={}\n", tools::ENVOY_VERSION)));
    let manifest = text("Cargo.toml");
    let minimum = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(docker.contains(&format!("ARG RUST_VERSION={minimum}\n")));
    assert!(docker.contains(" AS release\n"));
    for target in ["proxy", "mesh", "fluentd"] {
        assert!(
            docker.contains(&format!(" AS {target}\n")) && compose.contains(&format!("target: {target}")),
            "{target}"
        );
    }
}

#[test]
fn envoy_and_prometheus_accept_what_is_rendered() {
    let scratch = Scratch::new();
    let topology = Topology::bookinfo().unwrap();
    let options = Options { filters: vec![tools::filters()], every_patch_must_match: true, ..Options::default() };
    containers::render(&topology, &options, &scratch.0).unwrap();
    let envoy = tools::envoy(None).unwrap();
    for workload in &topology.workloads {
        let path = scratch.0.join(&workload.name).join("envoy.json");
        let rendered = std::fs::read_to_string(&path).unwrap();
        assert!(rendered.contains("remixer.wasm") && rendered.contains("stats_tags"), "{}", workload.name);
        let arguments = ["--mode", "validate", "--log-level", "error", "--config-path", path.to_str().unwrap()];
        run(envoy.to_str().unwrap(), &arguments, &scratch.0).unwrap();
    }
    let promtool = tools::prometheus().unwrap().with_file_name("promtool");
    run(promtool.to_str().unwrap(), &["check", "config", "prometheus.yml"], &scratch.0).unwrap();
    let rules = yaml(&std::fs::read_to_string(scratch.0.join("prometheus.yml")).unwrap())["rule_files"][0].clone();
    let directory = rules.as_str().unwrap().trim_end_matches("*.yaml").to_owned();
    let volumes = yaml(&text("docker-compose.yml"))["services"]["prometheus"]["volumes"].to_string();
    assert!(volumes.contains(&format!("./dashboards/alerts.yaml:{directory}")), "{volumes}");
}

#[test]
fn proxies_report_their_spans_to_the_collector_of_the_profile() {
    let scratch = Scratch::new();
    let document = yaml(&text("docker-compose.yml"));
    let command = document["services"]["config"]["command"].as_str().unwrap();
    let collector = command.split("--zipkin ").nth(1).unwrap().split_whitespace().next().unwrap();
    let (host, port) = collector.split_once(':').unwrap();
    let jaeger = &document["services"][host];
    assert_eq!(jaeger["environment"]["COLLECTOR_ZIPKIN_HOST_PORT"], format!(":{port}"));
    let topology = Topology::bookinfo().unwrap();
    let tracing = Tracing::to(collector).unwrap();
    containers::render(&topology, &Options { tracing, ..Options::default() }, &scratch.0).unwrap();
    for workload in &topology.workloads {
        let rendered = std::fs::read_to_string(scratch.0.join(&workload.name).join("envoy.json")).unwrap();
        assert!(rendered.contains(&format!("\"address\": \"{host}\"")), "{}", workload.name);
    }
}

#[test]
fn certificates_stay_while_they_are_enough() {
    let scratch = Scratch::new();
    let topology = Topology::bookinfo().unwrap();
    let authority = || {
        containers::render(&topology, &Options::default(), &scratch.0).unwrap();
        std::fs::read(scratch.0.join("pki/ca.pem")).unwrap()
    };
    let first = authority();
    assert!(first == authority());
    let name = local_mesh::pki::file_name(topology.workloads.last().unwrap());
    std::fs::remove_file(scratch.0.join(format!("pki/{name}.key"))).unwrap();
    assert!(first != authority());
}

#[test]
fn grafana_and_fluentd_find_what_they_are_told() {
    let services = yaml(&text("docker-compose.yml"))["services"].clone();
    let source = yaml(&text("tools/local-mesh/compose/grafana/datasources/prometheus.yaml"));
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    assert!(services.get("prometheus").is_some());
    let provider = yaml(&text("tools/local-mesh/compose/grafana/dashboards/remixer.yaml"));
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(services["grafana"]["volumes"].to_string().contains(&format!("./dashboards:{path}:ro")));

    let fluentd = text("tools/local-mesh/compose/fluent.conf");
    let mut open = Vec::new();
    for line in fluentd.lines().map(str::trim) {
        match line.strip_prefix("</") {
            Some(name) => assert_eq!(open.pop(), name.strip_suffix('>'), "{line}"),
            None if line.starts_with('<') => open.push(line[1..].split([' ', '>']).next().unwrap()),
            None => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let host = fluentd.lines().find_map(|line| line.trim().strip_prefix("host ")).unwrap();
    assert!(services.get(host).is_some(), "{host}");
    let tag = yaml(&text("docker-compose.yml"))["x-log"]["options"]["tag"].as_str().unwrap().to_owned();
    assert!(tag.starts_with("remixer/") && fluentd.contains(r"pattern /^remixer\//"), "{tag}");
}
