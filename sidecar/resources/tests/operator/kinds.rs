//! Kinds that are published as they are.

use std::time::Duration;

use tonic::Status;
use trilby_resources::LoadError;
use trilby_testkit::assert_eventually;

use crate::{
    SOON,
    support::{Sidecar, backend::Backends, component, config, operator::FakeOperator},
};

fn endpoint(url: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"github","namespace":"shop"}},"spec":{{"baseUrl":"{url}"{more}}}}}"#
    )
}

fn urls(sidecar: &Sidecar) -> Vec<String> {
    let endpoints = sidecar.resources.http_endpoints();
    let all = endpoints.borrow();
    all.iter().map(|one| one.spec.base_url.clone()).collect()
}

/// The value of the first header.
fn header(sidecar: &Sidecar) -> Option<String> {
    let endpoints = sidecar.resources.http_endpoints();
    let all = endpoints.borrow();
    Some(all.first()?.spec.headers[0].text().into_owned())
}

#[tokio::test]
async fn they_are_listed_and_follow_their_stream() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply_endpoint(&endpoint("http://one", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(urls(&sidecar), ["http://one"]);
    let mut changes = sidecar.resources.http_endpoints();
    changes.mark_unchanged();
    operator.apply_endpoint(&endpoint("http://two", ""));
    assert_eventually!(urls(&sidecar) == ["http://two"], SOON);
    assert!(changes.has_changed().unwrap());
    operator.apply_endpoint(&endpoint("", ""));
    assert_eventually!(!sidecar.resources.problems().is_empty(), SOON);
    assert_eq!(urls(&sidecar), ["http://two"]);
    operator.delete_endpoint("github");
    assert_eventually!(urls(&sidecar).is_empty(), SOON);
}

#[tokio::test]
async fn what_changed_while_the_operator_was_away_is_found() {
    let (mut operator, backends) = (FakeOperator::start().await, Backends::default());
    let sidecar = Sidecar::start(&operator, &backends).await;
    operator.stop().await;
    operator.apply_endpoint(&endpoint("http://one", ""));
    operator.resume().await;
    assert_eventually!(urls(&sidecar) == ["http://one"], SOON);
}

#[tokio::test]
async fn a_kind_that_the_operator_does_not_know_is_empty() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert!(sidecar.resources.resiliencies().borrow().is_empty());
    assert!(sidecar.resources.mcp_servers().borrow().is_empty());
}

#[tokio::test]
async fn what_upstream_says_of_no_subscriptions_is_none() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.fail_subscriptions(Some(Status::internal(
        "grpc: error while marshaling: proto: Marshal called with nil",
    )));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert!(sidecar.resources.subscriptions().borrow().is_empty());
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_is_an_error_that_names_it() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.fail_subscriptions(Some(Status::unavailable("later")));
    let mut config = config(&operator, backends.registry());
    config.first_load = Duration::from_millis(300);
    let Err(error) = Sidecar::try_start(config).await else {
        panic!("subscriptions cannot be listed");
    };
    assert!(
        matches!(
            &error,
            LoadError::Kind {
                kind: "Subscription",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("Unavailable: later"), "{error}");
}

#[tokio::test]
async fn a_secret_of_kubernetes_comes_with_the_resource() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let headers =
        r#","headers":[{"name":"h","value":"czNjcmV0","secretKeyRef":{"name":"s","key":"k"}}]"#;
    operator.apply_endpoint(&endpoint("http://one", headers));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(header(&sidecar).as_deref(), Some("s3cret"));
}

#[tokio::test]
async fn a_secret_of_a_store_is_asked_for_once_the_store_serves() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let headers = r#","headers":[{"name":"h","secretKeyRef":{"name":"s","key":"s"}}]"#;
    let waiting = endpoint("http://one", headers)
        .replace("\"spec\"", "\"auth\":{\"secretStore\":\"vault\"},\"spec\"");
    operator.apply_endpoint(&waiting);
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(header(&sidecar), None);
    let problem = sidecar.resources.problems().remove(0);
    assert_eq!((problem.kind, &*problem.name), ("HTTPEndpoint", "github"));
    operator.apply(&component("vault", "secretstores.fake", "v", ""));
    assert_eventually!(header(&sidecar).as_deref() == Some("s of v"), SOON);
    assert_eventually!(sidecar.resources.problems().is_empty(), SOON);
}

#[tokio::test]
async fn components_are_closed_at_the_end() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&crate::support::store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    drop(sidecar);
    assert_eventually!(backends.closed() == ["1"], SOON);
}
