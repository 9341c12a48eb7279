//! Tokens, identities and rules.

use http::{Request, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use trilby_grpc::{ChannelConfig, Target};
use trilby_identity::Expect;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest};
use trilby_proto::internals::v1::service_invocation_client::ServiceInvocationClient;
use trilby_proto::internals::v1::{InternalInvokeRequest, ListStringValue};
use trilby_proto::runtime::v1::GetMetadataRequest;
use trilby_proto::runtime::v1::dapr_client::DaprClient;

use trilby_testkit::assert_eventually;

use crate::app;
use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};

#[tokio::test]
async fn token_is_asked_of_everyone_but_health_probes() {
    let settings = Settings::new("a").app(app::start().await);
    let settings = settings.environment(|environment| {
        environment.api_token = "secret".to_owned();
        environment.app_token = "for-app".to_owned();
    });
    let a = Sidecar::start(settings, &Directory::default()).await;
    assert_eq!(a.get("/v1.0/healthz").await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        a.get("/v1.0/healthz/outbound").await.status,
        StatusCode::NO_CONTENT
    );
    for wrong in [None, Some("wrong")] {
        let mut request = Request::get(a.url("/v1.0/metadata"));
        if let Some(token) = wrong {
            request = request.header("dapr-api-token", token);
        }
        let refused = a.request(request, "").await;
        assert_eq!(
            (refused.status, refused.text().as_str()),
            (StatusCode::UNAUTHORIZED, "invalid api token")
        );
    }
    let request = Request::get(a.url("/v1.0/invoke/a/method/x")).header("dapr-api-token", "secret");
    let seen = a.request(request, "").await.json();
    assert_eq!(seen["headers"]["dapr-api-token"], json!(["for-app"]));
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_reads_the_answer_and_may_go_on() {
    let settings =
        Settings::new("a").environment(|environment| environment.api_token = "secret".to_owned());
    let a = Sidecar::start(settings, &Directory::default()).await;
    let mut client = TcpStream::connect(a.http).await.unwrap();
    let head = "POST /v1.0/metadata/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; "HTTP/1.1 401".len()];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, *b"HTTP/1.1 401");
    let part = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for part in [part.as_str(), &part, "0\r\n\r\n"] {
        client.write_all(part.as_bytes()).await.unwrap();
    }
    let last = "GET /v1.0/healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(last.as_bytes()).await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 204"), "{rest}");
}

#[tokio::test]
async fn token_is_asked_over_grpc() {
    let settings =
        Settings::new("a").environment(|environment| environment.api_token = "secret".to_owned());
    let a = Sidecar::start(settings, &Directory::default()).await;
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: a.grpc.port(),
    };
    let mut dapr =
        DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap());
    let with = |token: Option<&'static str>| {
        let mut request = tonic::Request::new(GetMetadataRequest {});
        if let Some(token) = token {
            request
                .metadata_mut()
                .insert("dapr-api-token", token.parse().unwrap());
        }
        request
    };
    let missing = dapr.get_metadata(with(None)).await.unwrap_err();
    let wrong = dapr.get_metadata(with(Some("wrong"))).await.unwrap_err();
    for (status, reason) in [
        (missing, "missing api token in request metadata"),
        (wrong, "authentication error: api token mismatch"),
    ] {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "Unauthorized")
        );
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(details.contains(reason), "{details}");
    }
    assert_eq!(
        dapr.get_metadata(with(Some("secret")))
            .await
            .unwrap()
            .into_inner()
            .id,
        "a"
    );
}

#[tokio::test]
async fn sidecar_of_another_application_is_refused_by_the_caller() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    let b = Sidecar::start(
        Settings::new("b").app(app::start().await).sentry(&sentry),
        &directory,
    )
    .await;
    directory.point("c", "default", b.internal);
    let response = a.get("/v1.0/invoke/c/method/x").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = response.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message
            .starts_with("failed to invoke, id: c, err: failed to invoke target c after 3 retries"),
        "{message}"
    );
    assert!(
        message.contains("unexpected SPIFFE ID: \"spiffe://public/ns/default/b\""),
        "{message}"
    );
}

#[tokio::test]
async fn proven_identity_beats_what_a_caller_claims() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let b = Sidecar::start(
        Settings::new("b").app(app::start().await).sentry(&sentry),
        &directory,
    )
    .await;
    let (_keep, attacker) = sentry.identity("spiffe://public/ns/elsewhere/mallory");
    let tls = attacker.client_tls(Expect::Workload {
        namespace: "default".into(),
        app_id: "b".into(),
    });
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: b.internal.port(),
    };
    let channel = trilby_grpc::channel(target, Some(tls), ChannelConfig::default()).unwrap();
    let claim = |text: &str| ListStringValue {
        values: vec![text.to_owned()],
    };
    let request = InternalInvokeRequest {
        ver: 1,
        metadata: [
            ("dapr-caller-app-id".to_owned(), claim("a")),
            ("Dapr-Caller-App-Id".to_owned(), claim("a")),
            ("dapr-caller-namespace".to_owned(), claim("default")),
        ]
        .into(),
        message: Some(InvokeRequest {
            method: "x".to_owned(),
            http_extension: Some(HttpExtension {
                verb: Verb::Get as i32,
                querystring: String::new(),
            }),
            ..Default::default()
        }),
        actor: None,
    };
    let response = ServiceInvocationClient::new(channel)
        .call_local(request)
        .await
        .unwrap()
        .into_inner();
    let seen: serde_json::Value =
        serde_json::from_slice(&response.message.unwrap().data.unwrap().value).unwrap();
    assert_eq!(seen["headers"]["dapr-caller-app-id"], json!(["mallory"]));
    assert_eq!(
        seen["headers"]["dapr-caller-namespace"],
        json!(["elsewhere"])
    );
}

#[tokio::test]
async fn plain_text_is_refused_by_a_sidecar_with_mtls() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let b = Sidecar::start(
        Settings::new("b").app(app::start().await).sentry(&sentry),
        &directory,
    )
    .await;
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: b.internal.port(),
    };
    let channel = trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap();
    let status = ServiceInvocationClient::new(channel)
        .call_local(InternalInvokeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

/// A Configuration file in a folder of its own.
fn configuration(spec: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n{spec}"
    );
    std::fs::write(&path, text).unwrap();
    let flag = format!("--config={}", path.display());
    (folder, flag)
}

#[tokio::test]
async fn access_control_judges_the_proven_caller() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let (_folder, flag) = configuration(
        "  accessControl:\n    defaultAction: deny\n    policies:\n    - appId: a\n      namespace: default\n      \
         trustDomain: public\n      defaultAction: deny\n      operations:\n      - name: /orders/**\n        \
         httpVerb: [GET]\n        action: allow\n",
    );
    let b = Settings::new("b")
        .app(app::start().await)
        .sentry(&sentry)
        .flags(&[&flag]);
    let b = Sidecar::start(b, &directory).await;
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    assert_eq!(
        a.get("/v1.0/invoke/b/method/orders/1").await.status,
        StatusCode::OK
    );
    let refused = a.post("/v1.0/invoke/b/method/orders/1", "x").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(
        refused.json()["message"],
        "failed to invoke, id: b, err: rpc error: code = PermissionDenied desc = access control policy has denied \
         access to id: spiffe://public/ns/default/a operation: orders/1 verb: POST"
    );
    // Calls to oneself are not judged.
    assert_eq!(
        b.get("/v1.0/invoke/b/method/other").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn refused_apis_are_as_if_they_were_not_there() {
    let (_folder, flag) =
        configuration("  api:\n    denied:\n    - name: metadata\n      version: v1\n");
    let a = Sidecar::start(Settings::new("a").flags(&[&flag]), &Directory::default()).await;
    let response = a.get("/v1.0/metadata").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(response.json()["errorCode"], "ERR_DIRECT_INVOKE");
    assert_eq!(a.get("/v1.0/healthz").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn rules_of_a_changed_configuration_take_effect_without_a_restart() {
    let (folder, flag) = configuration("  api: {}\n");
    let a = Sidecar::start(Settings::new("a").flags(&[&flag]), &Directory::default()).await;
    assert_eq!(a.get("/v1.0/metadata").await.status, StatusCode::OK);
    let denied = "kind: Configuration\nspec:\n  api:\n    denied:\n    - name: metadata\n      version: v1\n";
    std::fs::write(folder.path().join("config.yaml"), denied).unwrap();
    assert_eventually!(a.get("/v1.0/metadata").await.status == StatusCode::NOT_FOUND);
    std::fs::write(folder.path().join("config.yaml"), "spec: [").unwrap();
    let open = "kind: Configuration\nspec: {}\n";
    std::fs::write(folder.path().join("config.yaml"), open).unwrap();
    assert_eventually!(a.get("/v1.0/metadata").await.status == StatusCode::OK);
}

#[tokio::test]
async fn sentry_that_comes_late_is_waited_for() {
    let (sentry, directory) = (Sentry::away().await, Directory::default());
    let (a, ()) = tokio::join!(
        Sidecar::start(Settings::new("a").sentry(&sentry), &directory),
        async {
            tokio::task::yield_now().await;
            sentry.come().await;
        }
    );
    assert_eq!(a.get("/v1.0/healthz").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn certificates_that_expire_under_load_cost_no_call() {
    let life = std::time::Duration::from_secs(5);
    let (sentry, directory) = (Sentry::with_life(life).await, Directory::default());
    let b = Settings::new("b").app(app::start().await).sentry(&sentry);
    let _b = Sidecar::start(b, &directory).await;
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut calls = 0;
    // Both have theirs renewed, twice.
    while sentry.signed() < 6 {
        let answer = a.get("/v1.0/invoke/b/method/x").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        calls += 1;
        assert!(
            tokio::time::Instant::now() < limit,
            "only {} signed",
            sentry.signed()
        );
    }
    assert!(calls > 0);
}
