//! Containers that Components declare.

use super::*;

fn declarations(declared: &[(&str, &[&str], Value)]) -> Declarations {
    let mut declarations = Declarations::default();
    for (name, scopes, container) in declared {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let declaration = Declaration::read(&container.to_string(), scopes);
        declarations.set(("shop", name), Some(declaration));
    }
    declarations
}

fn injected_with(pod: &Value, components: &Declarations) -> Injection {
    let live = Live {
        components,
        ..live()
    };
    inject(&decoded(pod), &testing::cluster(), live).unwrap()
}

fn asking() -> Value {
    pod(&json!({"dapr.io/inject-pluggable-components": "true"}))
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod["spec"][list].as_array().into_iter().flatten();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn containers_in_scope_are_added_once_for_each_image_with_what_they_need() {
    let declared = declarations(&[
        ("audit", &[], json!({"image": "store:1", "name": "another"})),
        ("other", &["payments"], json!({"image": "other:1"})),
        (
            "archive",
            &["checkout"],
            json!({"image": "store:1", "env": [{"name": "A", "value": "1"}],
                   "volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
        ),
    ]);
    let patched = patched(&asking(), &injected_with(&asking(), &declared));
    assert_eq!(names(&patched, "containers"), ["app", "daprd", "archive"]);
    assert_eq!(
        names(&patched, "volumes"),
        [
            "dapr-identity-token",
            "dapr-components-unix-domain-socket",
            "data"
        ]
    );
    let archive = &patched["spec"]["containers"][2];
    assert_eq!(archive["env"].as_array().unwrap().len(), 2);
    assert_eq!(archive["env"][1]["name"], "DAPR_COMPONENT_SOCKETS_FOLDER");
    assert_eq!(
        archive["volumeMounts"][1]["mountPath"],
        "/tmp/dapr-components-sockets"
    );
    let mounts = sidecar_of(&patched).volume_mounts.unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount.name == "dapr-components-unix-domain-socket")
    );
}

#[test]
fn what_cannot_be_added_is_told_and_the_rest_is_added() {
    let declared = declarations(&[
        ("broken", &[], json!(7)),
        ("empty", &[], json!({})),
        ("same", &[], json!({"image": "a", "name": "app"})),
        ("store", &[], json!({"image": "b"})),
    ]);
    let injection = injected_with(&asking(), &declared);
    let patched = patched(&asking(), &injection);
    assert_eq!(names(&patched, "containers"), ["app", "daprd", "store"]);
    let reasons = [
        "invalid type",
        "names no image",
        "a container \"app\" already",
    ];
    assert_eq!(injection.warnings.len(), reasons.len());
    for (warning, reason) in injection.warnings.iter().zip(reasons) {
        assert!(warning.contains(reason), "{warning}");
    }
}

#[test]
fn pods_that_do_not_ask_get_none() {
    let declared = declarations(&[("store", &[], json!({"image": "b"}))]);
    let plain = pod(&json!({}));
    let patched = patched(&plain, &injected_with(&plain, &declared));
    assert_eq!(names(&patched, "containers"), ["app", "daprd"]);
}

#[test]
fn components_come_and_go() {
    let mut declared = declarations(&[("store", &[], json!({"image": "b"}))]);
    declared.set(("shop", "store"), None);
    declared.set(
        ("elsewhere", "store"),
        Some(Declaration::read("{\"image\": \"b\"}", Vec::new())),
    );
    let patched = patched(&asking(), &injected_with(&asking(), &declared));
    assert_eq!(names(&patched, "containers"), ["app", "daprd"]);
}
