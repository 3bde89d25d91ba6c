//! The conformance table: node metadata × plugin configuration × traffic → exact series, in real Envoys of the newest and
//! the oldest version that we support.
//!
//! Every module contains scenes. A scene is one mesh, and each call of [`scene::Scene::row`] is a row: its name, the
//! traffic, and the expected growth of series. `tests/stats` checks plain requests and connections with our own
//! configuration; the tests here check what an operator or a topology changes.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic)]

mod attributes;
mod calls;
mod configuration;
mod counts;
mod grpc;
mod grpc_server;
mod labels;
mod overrides;
mod reloads;
mod scene;
mod tcp;
mod updates;

macro_rules! tests {
    ($envoy:expr; $($module:ident: $($scene:ident),+;)+) => {
        $($(#[test] fn $scene() { crate::$module::$scene($envoy); })+)+
    };
}

/// Runs each scene as a test: on each version of Envoy, and those of `both` once more where Envoy counts.
macro_rules! scenes {
    (both { $($both:tt)+ } module_counts { $($more:tt)+ }) => {
        mod envoy_1_40 {
            tests! { local_mesh::tools::ENVOY_VERSION; $($both)+ $($more)+ }
        }
        mod envoy_1_36 {
            tests! { local_mesh::tools::OLDEST_ENVOY; $($both)+ $($more)+ }
        }
        mod envoy_counts {
            tests! { crate::scene::ENVOY_COUNTS; $($both)+ }
        }
    };
}

scenes! {
    both {
        configuration: attributes_and_expressions_are_labels, old_names_go_on_working, cluster_ids_as_istio_1_10_configures_them,
            metrics_of_one_s_own;
        overrides: labels_and_metrics_are_removed_and_replaced, separators_of_one_s_own;
        attributes: requests_are_classified;
        grpc: calls_are_counted_with_their_status_and_messages, open_streams_have_the_labels_of_their_request;
        labels: services_are_named_by_their_clusters, workloads_are_named_by_what_is_known_of_them;
        reloads: two_hundred_reloads_lose_and_double_nothing;
    }
    // What is seen of live streams: Envoy counts a stream when it ends. And what a plugin does with a wrong configuration, for which
    // there are no loggers.
    module_counts {
        grpc: open_streams_are_seen;
        tcp: a_label_of_the_engine_is_seen_on_a_live_connection, flags_are_those_of_the_moment;
        updates: what_is_refused_leaves_the_old_configuration;
    }
}
