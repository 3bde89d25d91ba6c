//! What Istio's own tools find in the files of `kubernetes/`.

use crate::scene::{kubernetes, mesh};

#[test]
fn istioctl_finds_nothing_to_say() {
    let cluster = mesh();
    let filters = kubernetes("filters");
    let mut arguments = vec!["validate"];
    arguments.extend(["-f", &filters]);
    let said = cluster.istioctl(&arguments).unwrap();
    assert!(said.is_empty() || said.contains("is valid"), "{said}");
    for namespace in ["shop", "depot", "istio-system"] {
        let said = cluster.istioctl(&["analyze", "-n", namespace, "--output", "json"]).unwrap();
        let messages: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
        let ours = messages.iter().filter(|message| message.to_string().contains("remixer"));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&serde_json::Value>::new());
    }
}
