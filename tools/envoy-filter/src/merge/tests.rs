use super::*;
use serde_json::json;

fn merged(mut target: Value, patch: Value) -> Value {
    message(&mut target, &patch, Lists::Append).unwrap();
    target
}

#[test]
fn messages_merge_field_by_field_and_scalars_overwrite() {
    assert_eq!(
        merged(json!({"a": {"b": 1, "c": "x"}, "d": true}), json!({"a": {"c": "y", "e": 2}})),
        json!({"a": {"b": 1, "c": "y", "e": 2}, "d": true})
    );
}

#[test]
fn lists_append() {
    assert_eq!(merged(json!({"a": [1]}), json!({"a": [1, 2]})), json!({"a": [1, 1, 2]}));
}

#[test]
fn lists_replace_at_every_depth_when_asked_but_an_empty_list_is_unset() {
    let mut target = json!({"a": [1], "b": {"c": [1]}, "d": [1]});
    message(&mut target, &json!({"a": [2], "b": {"c": [2]}, "d": []}), Lists::Replace).unwrap();
    assert_eq!(target, json!({"a": [2], "b": {"c": [2]}, "d": [1]}));
}

#[test]
fn both_spellings_are_one_field_and_the_targets_stays() {
    assert_eq!(
        merged(json!({"stats_config": {"stats_tags": [1]}}), json!({"statsConfig": {"statsTags": [2]}})),
        json!({"stats_config": {"stats_tags": [1, 2]}})
    );
}

#[test]
fn a_default_scalar_does_not_overwrite_because_protobuf_cannot_tell_it_from_unset() {
    assert_eq!(
        merged(json!({"a": true, "b": 5, "c": "x"}), json!({"a": false, "b": 0, "c": "", "d": false})),
        json!({"a": true, "b": 5, "c": "x", "d": false})
    );
}

#[test]
fn a_duration_of_zero_is_a_value() {
    assert_eq!(merged(json!({"timeout": "5s"}), json!({"timeout": "0s"})), json!({"timeout": "0s"}));
}

#[test]
fn null_is_unset() {
    assert_eq!(merged(json!({"a": 1}), json!({"a": null})), json!({"a": 1}));
    assert_eq!(merged(json!({"a": null}), json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn a_map_entry_is_replaced_as_a_whole() {
    assert_eq!(
        merged(
            json!({"metadata": {"filter_metadata": {"istio": {"services": []}, "other": {"a": 1}}}}),
            json!({"metadata": {"filterMetadata": {"istio": {"config": false}}}})
        ),
        json!({"metadata": {"filter_metadata": {"istio": {"config": false}, "other": {"a": 1}}}})
    );
}

#[test]
fn node_metadata_is_a_struct_whose_entries_are_replaced() {
    assert_eq!(
        merged(
            json!({"node": {"id": "a", "metadata": {"LABELS": {"app": "x"}, "NAME": "n"}}}),
            json!({"node": {"metadata": {"LABELS": {"version": "v1"}}}})
        ),
        json!({"node": {"id": "a", "metadata": {"LABELS": {"version": "v1"}, "NAME": "n"}}})
    );
}

#[test]
fn a_oneof_member_displaces_its_siblings_even_with_a_default_value() {
    assert_eq!(
        merged(json!({"name": "r", "route": {"cluster": "a"}}), json!({"directResponse": {"status": 503}})),
        json!({"name": "r", "directResponse": {"status": 503}})
    );
    assert_eq!(
        merged(
            json!({"route": {"cluster": "a", "auto_host_rewrite": true}}),
            json!({"route": {"auto_host_rewrite": false}})
        ),
        json!({"route": {"cluster": "a", "auto_host_rewrite": false}})
    );
}

#[test]
fn a_nested_any_is_replaced_not_merged() {
    let target = json!({"transport_socket": {"name": "tls", "typed_config": {"@type": "t/A", "a": 1}}});
    assert_eq!(
        merged(target.clone(), json!({"transport_socket": {"typed_config": {"@type": "t/A", "b": 2}}})),
        json!({"transport_socket": {"name": "tls", "typed_config": {"@type": "t/A", "b": 2}}})
    );
    assert_eq!(merged(target.clone(), json!({"transport_socket": {"typed_config": {"@type": "t/A"}}})), target);
}

#[test]
fn the_insides_of_two_anys_of_one_type_merge() {
    let mut target = json!({"@type": "t/A", "list": [1], "a": 1});
    any(&mut target, &json!({"@type": "t/A", "list": [2], "b": 2})).unwrap();
    assert_eq!(target, json!({"@type": "t/A", "list": [1, 2], "a": 1, "b": 2}));
}

#[test]
fn a_typed_structs_value_is_a_struct() {
    let kind = "type.googleapis.com/xds.type.v3.TypedStruct";
    let mut target = json!({"@type": kind, "type_url": "t/A", "value": {"a": {"b": 1}, "c": true}});
    any(&mut target, &json!({"@type": kind, "value": {"a": {"d": 2}, "c": false}})).unwrap();
    assert_eq!(target, json!({"@type": kind, "type_url": "t/A", "value": {"a": {"d": 2}, "c": false}}));
}

#[test]
fn anys_of_two_types_conflict() {
    let conflict = any(&mut json!({"@type": "t/A"}), &json!({"@type": "t/B"})).unwrap_err();
    assert_eq!(conflict.path, ".@type");
    assert!(conflict.reason.contains("\"t/B\"") && conflict.reason.contains("\"t/A\""));
}

#[test]
fn two_shapes_of_one_field_conflict_and_the_path_is_told() {
    let conflict = message(&mut json!({"a": {"b": [1]}}), &json!({"a": {"b": {"c": 1}}}), Lists::Append).unwrap_err();
    assert_eq!(conflict.path, ".a.b");
    assert_eq!(conflict.reason, "is a mapping, but the configuration has a list");
}
