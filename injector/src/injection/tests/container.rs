//! What the sidecar's container is made of.

use super::*;

#[test]
fn declared_variables_follow_the_sidecars_own_and_are_listed() {
    let container = sidecar(&json!({
        "dapr.io/env": "A=1,2,B=x y,nonsense",
        "dapr.io/env-from-secret": "C=s:k, D=s, E=a:b:c",
    }));
    let env = container.env.clone().unwrap();
    let own = env_of(&container);
    assert_eq!(
        own[5..],
        [
            "A=1,2",
            "B=x y,nonsense",
            "C=",
            "D=",
            "DAPR_ENV_KEYS=A B C D E"
        ]
    );
    let key = |index: usize| {
        let secret = env[index]
            .value_from
            .clone()
            .unwrap()
            .secret_key_ref
            .unwrap();
        (secret.name, secret.key)
    };
    assert_eq!(key(7), ("s".to_owned(), "k".to_owned()));
    assert_eq!(key(8), ("s".to_owned(), "s".to_owned()));
}

#[test]
fn certificates_to_install_make_an_administrator() {
    let mut cluster = testing::cluster();
    cluster.sidecar.run_as_user = Some(1000);
    cluster.sidecar.run_as_group = Some(1000);
    let container = sidecar_in(&json!({"dapr.io/env": "SSL_CERT_DIR=/certs"}), &cluster);
    let context = container.security_context.unwrap();
    let windows = context.windows_options.unwrap();
    assert_eq!(
        windows.run_as_user_name.as_deref(),
        Some("ContainerAdministrator")
    );
    assert_eq!(
        (context.run_as_non_root, context.read_only_root_filesystem),
        (Some(false), Some(false))
    );
    assert_eq!((context.run_as_user, context.run_as_group), (None, None));
}

#[test]
fn images_without_usable_entry_point_get_a_command() {
    let toleration = json!({
        "key": "aws", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5,
    });
    let mut cluster = testing::cluster();
    cluster.sidecar.ignore_entrypoint_tolerations =
        vec![from_value::<Toleration>(toleration.clone()).unwrap()];
    let mut pod = pod(&json!({}));
    pod["spec"]["tolerations"] = json!([toleration]);
    let container = sidecar_of(&patched(&pod, &injected(&pod, &cluster)));
    assert_eq!(container.command.unwrap(), ["/daprd"]);
    assert_eq!(container.args.unwrap()[0], "--dapr-http-port");

    pod["spec"]["tolerations"][0]["tolerationSeconds"] = json!(6);
    let container = sidecar_of(&patched(&pod, &injected(&pod, &cluster)));
    assert_eq!(container.command, None);
    assert_eq!(container.args.unwrap()[0], "/daprd");
}

#[test]
fn the_annotation_decides_about_a_native_sidecar_in_both_directions() {
    let mut cluster = testing::cluster();
    assert_eq!(sidecar_in(&json!({}), &cluster).restart_policy, None);
    let on = json!({"dapr.io/enable-native-sidecar": "true"});
    assert_eq!(
        sidecar_in(&on, &cluster).restart_policy.as_deref(),
        Some("Always")
    );
    cluster.sidecar.native = true;
    assert_eq!(
        sidecar_in(&json!({}), &cluster).restart_policy.as_deref(),
        Some("Always")
    );
    let off = json!({"dapr.io/enable-native-sidecar": "false"});
    assert_eq!(sidecar_in(&off, &cluster).restart_policy, None);
}

#[test]
fn volumes_to_mount_must_be_in_the_pod() {
    let annotations = json!({
        "dapr.io/volume-mounts": "config:/etc/config, gone:/x, broken",
        "dapr.io/volume-mounts-rw": "data:/data",
    });
    let mut pod = pod(&annotations);
    pod["spec"]["volumes"] = json!([{"name": "config"}, {"name": "data"}]);
    let injection = injected(&pod, &testing::cluster());
    let mounts = sidecar_of(&patched(&pod, &injection))
        .volume_mounts
        .unwrap();
    let mounts: Vec<_> = mounts
        .iter()
        .map(|mount| {
            (
                mount.name.as_str(),
                mount.mount_path.as_str(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            ("config", "/etc/config", Some(true)),
            ("data", "/data", None),
            (
                "dapr-identity-token",
                "/var/run/secrets/dapr.io/sentrytoken",
                Some(true)
            ),
        ]
    );
    assert_eq!(
        injection.warnings,
        [
            "dapr.io/volume-mounts: the pod has no volume \"gone\"; ignored",
            "dapr.io/volume-mounts: \"broken\" is not <volume>:<path>; ignored",
        ]
    );
}

#[test]
fn without_a_token_of_ones_own_sidecars_get_none() {
    let cluster = Cluster {
        token_volume: false,
        ..testing::cluster()
    };
    let pod = pod(&json!({}));
    let patched = patched(&pod, &injected(&pod, &cluster));
    assert_eq!(patched["spec"].get("volumes"), None);
    assert_eq!(sidecar_of(&patched).volume_mounts, None);
}

#[test]
fn component_containers_share_a_socket_folder_instead_of_the_apps_variables() {
    let mut pod = pod(&json!({"dapr.io/pluggable-components": "store,absent"}));
    pod["spec"]["containers"] = json!([{"name": "app"}, {"name": "store"}]);
    let injection = injected(&pod, &testing::cluster());
    let patched = patched(&pod, &injection);
    let volumes = patched["spec"]["volumes"].as_array().unwrap();
    let names: Vec<_> = volumes
        .iter()
        .map(|volume| volume["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["dapr-identity-token", "dapr-components-unix-domain-socket"]
    );
    let store = &decoded(&patched).spec.unwrap().containers[1];
    assert_eq!(
        env_of(store),
        ["DAPR_COMPONENT_SOCKETS_FOLDER=/tmp/dapr-components-sockets"]
    );
    assert!(
        env_of(&sidecar_of(&patched))
            .contains(&"DAPR_COMPONENT_SOCKETS_FOLDER=/tmp/dapr-components-sockets".to_owned())
    );
    assert_eq!(
        injection.warnings,
        ["dapr.io/pluggable-components: the pod has no container \"absent\"; ignored",]
    );
}

#[test]
fn one_unreadable_quantity_voids_all_of_them() {
    let good = json!({"dapr.io/sidecar-cpu-limit": "1", "dapr.io/sidecar-memory-request": "64Mi"});
    let resources = sidecar(&good).resources.unwrap();
    assert_eq!(resources.limits.unwrap()["cpu"].0, "1");
    assert_eq!(resources.requests.unwrap()["memory"].0, "64Mi");

    let mut bad = good;
    bad["dapr.io/sidecar-memory-limit"] = json!("much");
    let resources = sidecar(&bad).resources.unwrap();
    assert_eq!((resources.limits, resources.requests), (None, None));
    assert!(
        warnings(&bad)[0].starts_with("dapr.io/sidecar-memory-limit: invalid quantity \"much\"")
    );
}
