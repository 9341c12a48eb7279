//! An installation for tests.

use super::{Actors, Cluster, Profile, PullPolicy, Requests, ServiceAddress, SidecarDefaults};

/// What the chart installs by default, in namespace `dapr-system`.
pub(crate) fn cluster() -> Cluster {
    Cluster {
        namespace: "dapr-system".to_owned(),
        trust_domain: "cluster.local".to_owned(),
        domain: "cluster.local".to_owned(),
        actors: Actors::Placement(ServiceAddress::new("dapr-placement-server", 50005)),
        reminders: None,
        scheduler: false,
        token_volume: true,
        sidecar: SidecarDefaults {
            image: "registry.example/daprd:1.18.0".to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            run_as_non_root: true,
            run_as_user: None,
            run_as_group: None,
            read_only_root_filesystem: true,
            drop_all_capabilities: false,
            downward_api: false,
            native: false,
            profile: Profile::Default,
            requests: Requests::new(),
            ignore_entrypoint_tolerations: Vec::new(),
            component_sockets_folder: "/tmp/dapr-components-sockets".to_owned(),
        },
    }
}
