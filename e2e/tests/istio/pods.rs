//! The cluster itself: that its kubelet is one.

use local_mesh::wait_until;

use crate::scene::{bare_cluster, WAIT};

const POD: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: yard }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: keeper, namespace: yard }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: notes, namespace: yard }
data: { today: sunny }
---
apiVersion: v1
kind: Pod
metadata: { name: shed, namespace: yard, labels: { app: shed } }
spec:
  serviceAccountName: keeper
  automountServiceAccountToken: false
  securityContext: { runAsUser: 1000 }
  hostAliases: [{ ip: 192.0.2.7, hostnames: [well.example] }]
  initContainers:
  - { name: first, image: pod-app, command: [sh, -c, 'echo done >/shared/first'], volumeMounts: [{ name: shared, mountPath: /shared }] }
  containers:
  - name: app
    image: pod-app
    args: [serve, $(WHO), http=8080]
    env: [{ name: WHO, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]
    ports: [{ name: web, containerPort: 8080 }]
    readinessProbe: { httpGet: { path: /status/200, port: web } }
    volumeMounts:
    - { name: shared, mountPath: /shared }
    - { name: notes, mountPath: /etc/notes }
    - { name: tokens, mountPath: /var/run/secrets/tokens }
  volumes:
  - { name: shared, emptyDir: {} }
  - { name: notes, configMap: { name: notes } }
  - name: tokens
    projected: { sources: [{ serviceAccountToken: { path: mine, audience: yard } }, { downwardAPI: { items: [{ path: app, fieldRef: { fieldPath: 'metadata.labels[''app'']' } }] } }] }
";

#[test]
fn a_pod_has_its_volumes_names_and_user_and_is_gone_when_deleted() {
    let cluster = bare_cluster();
    cluster.apply(POD).unwrap();
    let pod = cluster.wait_ready_one("yard", "app=shed").unwrap();
    let run = |command: &str| pod.exec("app", &["sh", "-c", command]).unwrap();
    assert_eq!(run("cat /shared/first /etc/notes/today /var/run/secrets/tokens/app"), "done\nsunnyshed");
    assert_eq!(run("cut -d . -f 1,2 /var/run/secrets/tokens/mine | wc -l").trim(), "1");
    assert_eq!(run("getent hosts well.example").split_whitespace().collect::<Vec<_>>(), ["192.0.2.7", "well.example"]);
    assert_eq!(run("ps -o uid= -p 1").trim(), "1000");
    assert_eq!(run("pod-app http http://127.0.0.1:8080/status/204 1"), "204\n");
    // The API server's service: it does not speak plain HTTP, and says so.
    let api_server = "pod-app http http://kubernetes.default:443/ 1";
    wait_until(WAIT, || !run("getent hosts kubernetes.default || true").is_empty()).unwrap();
    assert_eq!(run(api_server), "400\n");
    cluster.apply(&POD.replace("sunny", "rainy")).unwrap();
    wait_until(WAIT, || run("cat /etc/notes/today") == "rainy").unwrap();
    let address = pod.address().unwrap();
    cluster.kubectl(&["-n", "yard", "delete", "pod", "shed", "--wait"]).unwrap();
    assert!(pod.exec("app", &["true"]).is_err());
    assert!(std::net::TcpStream::connect_timeout(&(address, 8080).into(), std::time::Duration::from_secs(1)).is_err());
}
