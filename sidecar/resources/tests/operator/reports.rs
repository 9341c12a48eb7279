//! The operator is told what became of what it gave.

use trilby_testkit::assert_eventually;

use crate::{
    SOON,
    support::{
        Sidecar,
        backend::{Backends, Mode},
        operator::FakeOperator,
        store,
    },
};

/// A store in the given version.
fn version(name: &str, tag: &str, generation: u32) -> String {
    let uid = format!(r#""uid":"u","generation":{generation},"namespace""#);
    store(name, tag, "").replace(r#""namespace""#, &uid)
}

#[tokio::test]
async fn every_version_is_acknowledged_or_refused() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&version("one", "1", 1));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(
        operator.reports().said() == ["Component one u/1 loaded"],
        SOON
    );
    assert_eventually!(operator.streams() == 1);

    backends.set("bad", Some(Mode::Refuse));
    operator.apply(&version("one", "bad", 2));
    let reason = "[INIT_COMPONENT_FAILURE]: initialization error occurred for one (state.fake/v1): it is refused";
    assert_eventually!(
        operator.reports().said()
            == [format!(
                "Component one u/2 failed, older in force: {reason}"
            )],
        SOON
    );
    assert_eq!(sidecar.error("one"), reason);

    operator.apply(&version("one", "good", 3));
    assert_eventually!(
        operator.reports().said() == ["Component one u/3 loaded"],
        SOON
    );
    operator.delete("one");
    assert_eventually!(operator.reports().said().is_empty(), SOON);
    assert_eq!(operator.reports().attempts(), 1, "all that on one stream");
}

#[tokio::test]
async fn other_kinds_are_reported_as_well() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply_endpoint(
        r#"{"metadata":{"name":"web","namespace":"shop","uid":"u","generation":4},"spec":{"baseUrl":5}}"#,
    );
    let _sidecar = Sidecar::start(&operator, &backends).await;
    let said = || operator.reports().said().join("\n");
    assert_eventually!(said().starts_with("HTTPEndpoint web u/4 "), SOON);
}

#[tokio::test]
async fn an_operator_that_comes_back_is_told_everything_again() {
    let (mut operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&version("one", "1", 1));
    let _sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(
        operator.reports().said() == ["Component one u/1 loaded"],
        SOON
    );
    operator.stop().await;
    assert_eventually!(operator.reports().said().is_empty(), SOON);
    operator.resume().await;
    assert_eventually!(
        operator.reports().said() == ["Component one u/1 loaded"],
        SOON
    );
}

#[tokio::test]
async fn an_operator_that_takes_no_reports_is_left_alone_until_it_comes_back() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.reports().set_deaf(true);
    operator.apply(&version("one", "1", 1));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
    assert_eventually!(operator.streams() == 1);
    assert_eventually!(operator.reports().attempts() >= 1);
    operator.reports().set_deaf(false);
    operator.end_streams();
    assert_eventually!(
        operator.reports().said() == ["Component one u/1 loaded"],
        SOON
    );
}

#[tokio::test]
async fn the_replica_that_counts_is_searched_on_other_connections() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.reports().redirect(3);
    operator.apply(&version("one", "1", 1));
    let _sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(
        operator.reports().said() == ["Component one u/1 loaded"],
        SOON
    );
    assert_eq!(operator.reports().attempts(), 4);
}
