use serde_json::{Value, json};

use super::*;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn annotated(namespace: &str, annotations: &Value) -> Pod {
    pod(json!({
        "metadata": {"name": "pod-1", "namespace": namespace, "annotations": annotations},
    }))
}

fn token(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.c2ln")
}

#[test]
fn the_account_is_read_from_the_user_name() {
    let found = account("system:serviceaccount:shop:till").unwrap();
    assert_eq!((found.namespace, found.name), ("shop", "till"));
    for user in [
        "",
        "admin",
        "system:node:a",
        "x:serviceaccount:a:b",
        "system:serviceaccount:a:b:c",
    ] {
        assert_eq!(
            account(user).unwrap_err().to_string(),
            "provided token is not a properly structured service account token"
        );
    }
}

#[test]
fn the_pod_is_read_from_the_token() {
    let claims = json!({"kubernetes.io": {"pod": {"name": "cart-1"}}});
    assert_eq!(pod_name(&token(&claims)).unwrap(), "cart-1");
    assert_eq!(pod_name(&format!(" {claims}\n")).unwrap(), "cart-1");
    for missing in [json!({}), json!({"kubernetes.io": {"pod": {"name": ""}}})] {
        assert_eq!(
            pod_name(&token(&missing)).unwrap_err().to_string(),
            "kubernetes.io/pod/name claim is missing from Kubernetes token"
        );
    }
    for broken in ["", "a.b", "a.!.c", "a.bm8.c", "{"] {
        let text = pod_name(broken).unwrap_err().to_string();
        assert!(
            text.starts_with("failed to parse Kubernetes token: "),
            "{text}"
        );
    }
}

#[test]
fn the_audiences_of_the_token_count_where_the_api_server_tells_none() {
    let ours = [LEGACY_AUDIENCE.to_owned(), "spiffe://td/ns/x/y".to_owned()];
    let check = |told: &[&str], claims: Value, expected: bool| {
        let told: Vec<_> = told.iter().map(|&audience| audience.to_owned()).collect();
        let meant = is_meant_for(&ours, &told, &token(&claims)).unwrap();
        assert_eq!(meant, expected, "{told:?} {claims}");
    };
    let other = "https://kubernetes.default.svc";
    check(&["spiffe://td/ns/x/y"], json!({"aud": [other]}), true);
    check(&[other, LEGACY_AUDIENCE], json!({}), true);
    check(&[other], json!({"aud": [LEGACY_AUDIENCE]}), false);
    check(&[], json!({"aud": [other, LEGACY_AUDIENCE]}), true);
    check(&[], json!({"aud": LEGACY_AUDIENCE}), true);
    check(&[], json!({"aud": [other]}), false);
    check(&[], json!({"aud": other}), false);
    check(&[], json!({"aud": []}), false);
    check(&[], json!({}), true);
    assert!(is_meant_for(&ours, &[], "nonsense").is_err());
}

#[test]
fn a_pod_is_who_its_annotations_say() {
    let check = |namespace: &str, annotations: Value, expected: Result<&str, &str>| {
        let found = expected_id(&annotated(namespace, &annotations), "dapr-system");
        match (found, expected) {
            (Ok(id), Ok(expected)) => assert_eq!(id, expected),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
            (found, _) => panic!("{found:?}"),
        }
    };
    check("shop", json!({}), Ok("pod-1"));
    check("shop", json!({APP_ID: "cart"}), Ok("cart"));
    check(
        "dapr-system",
        json!({CONTROL_PLANE: "operator"}),
        Ok("dapr-operator"),
    );
    check(
        "shop",
        json!({CONTROL_PLANE: "operator"}),
        Err("control plane service in namespace 'shop' is not allowed"),
    );
    check(
        "dapr-system",
        json!({CONTROL_PLANE: "mole"}),
        Err("unknown control plane service 'pod-1'"),
    );
    check(
        "dapr-system",
        json!({CONTROL_PLANE: "operator", APP_ID: "x"}),
        Err("control plane service 'pod-1' cannot have annotation 'dapr.io/app-id'"),
    );
}

#[test]
fn images_are_listed_in_order_with_their_digests() {
    let pod = pod(json!({
        "metadata": {},
        "spec": {
            "initContainers": [
                {"name": "once", "image": "setup:1"},
                {"name": "daprd", "image": "daprd:1", "restartPolicy": "Always"},
            ],
            "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
        },
        "status": {
            "initContainerStatuses": [{
                "name": "daprd", "image": "", "ready": true, "restartCount": 0,
                "imageID": "registry/daprd@sha256:11",
            }],
            "containerStatuses": [{
                "name": "b", "image": "", "ready": true, "restartCount": 0,
                "imageID": "sha256:22",
            }],
        },
    }));
    assert_eq!(
        String::from_utf8(images(&pod).unwrap()).unwrap(),
        concat!(
            r#"[{"role":"daprd","containerName":"daprd","image":"daprd:1","digest":"sha256:11"},"#,
            r#"{"role":"app","containerName":"a","image":"a:1"},"#,
            r#"{"role":"app","containerName":"b","image":"b:1","digest":"sha256:22"}]"#
        )
    );
    assert_eq!(images(&Pod::default()), None);
}

/// An API server that serves pods by their list alone, whatever is selected, as that of upstream's tests does.
fn api_server_of_lists(pods: &Value) -> Client {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods});
    let list = list.to_string();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (code, text) = match request.uri().path() {
            "/api/v1/pods" => (200, list.clone()),
            _ => (404, "404 page not found".to_owned()),
        };
        let body = kube::client::Body::from(text.into_bytes());
        let response = http::Response::builder().status(code).body(body).unwrap();
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn a_pod_is_found_by_the_list_of_all_and_one_that_is_in_no_answer_is_refused() {
    let pods = json!([
        {"metadata": {"name": "cart-1", "namespace": "bank", "uid": "another"}},
        {"metadata": {"name": "cart-1", "namespace": "shop", "uid": "one"}},
    ]);
    let sentry = "spiffe://td/ns/dapr-system/dapr-sentry".parse().unwrap();
    let td = TrustDomain::parse("td").unwrap();
    let validator = KubernetesValidator::new(api_server_of_lists(&pods), &sentry, td);
    let found = validator.pod("shop", "cart-1").await.unwrap();
    assert_eq!(found.metadata.uid.as_deref(), Some("one"));
    for (namespace, name) in [("shop", "gone-1"), ("gone", "cart-1")] {
        let denied = validator.pod(namespace, name).await.unwrap_err();
        assert_eq!(denied.to_string(), "failed to get pod of identity");
    }
}
