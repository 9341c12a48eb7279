//! Resources change, and the application's health, while messages flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde_json::json;
use trilby_testkit::assert_eventually;

use super::app::App;
use super::{broker, daprd, folder, publish, publish_json, subscription};

#[tokio::test]
async fn subscriptions_come_change_and_go() {
    let (folder, app) = (folder(), App::new());
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    subscription(folder.path(), "orders", "  routes:\n    default: /first\n");
    let arrives = async |path: &str| {
        publish_json(&daprd, "bus/orders", &json!(path)).await;
        !app.at(path).is_empty()
    };
    assert_eventually!(arrives("/first").await);
    subscription(folder.path(), "orders", "  routes:\n    default: /second\n");
    assert_eventually!(arrives("/second").await);
    broker(folder.path(), &[("publishingScopes", "other=x")]);
    // The subscription goes on with the component that replaced the first.
    let count = app.at("/second").len();
    assert_eventually!({
        arrives("/second").await;
        daprd.log().text().matches("Component loaded: bus").count() == 2
    });
    publish_json(&daprd, "bus/orders", &json!("after")).await;
    assert_eventually!(app.at("/second").iter().any(|got| got.data() == "after"));
    assert!(app.at("/second").len() > count);
    std::fs::remove_file(folder.path().join("subscription-orders.yaml")).unwrap();
    let stops = async || {
        let before = app.at("/second").len();
        for _ in 0..3 {
            publish_json(&daprd, "bus/orders", &json!("nobody's")).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        app.at("/second").len() == before
    };
    assert_eventually!(stops().await);
}

#[tokio::test]
async fn an_application_that_is_not_healthy_gets_nothing() {
    let (folder, app) = (folder(), App::new());
    subscription(folder.path(), "orders", "  routes:\n    default: /orders\n");
    let ill = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&ill);
    app.answer(move |got| match got.path.as_str() {
        "/health" if answers.load(Ordering::SeqCst) => {
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
        _ => (StatusCode::OK, String::new()),
    });
    let mut daprd = daprd(&folder)
        .app_port(app.serve().await)
        .raw_arg("--enable-app-health-check")
        .arg("--app-health-check-path", "/health")
        .arg("--app-health-probe-interval", 1)
        .arg("--app-health-threshold", 1);
    daprd.start().await;
    publish_json(&daprd, "bus/orders", &json!("well")).await;
    app.until("/orders", 1).await;
    ill.store(true, Ordering::SeqCst);
    assert_eventually!(
        daprd
            .log()
            .text()
            .contains("the application is not healthy")
    );
    // In memory, what nobody subscribes to is gone.
    publish(&daprd, "bus/orders", ("text/plain", "ill")).await;
    ill.store(false, Ordering::SeqCst);
    let arrives = async || {
        publish(&daprd, "bus/orders", ("text/plain", "well again")).await;
        app.at("/orders")
            .iter()
            .any(|got| got.data() == "well again")
    };
    assert_eventually!(arrives().await);
    assert!(app.at("/orders").iter().all(|got| got.data() != "ill"));
}
