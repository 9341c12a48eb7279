use serde_json::json;

use super::{Query, ResolverConfig, Template};

const QUERY: Query<'static> = Query {
    app_id: "b",
    namespace: "ns",
    port: 50002,
};

fn config(component: &str, settings: serde_json::Value) -> ResolverConfig {
    ResolverConfig {
        component: component.into(),
        version: String::new(),
        settings,
    }
}

#[test]
fn templates_are_filled() {
    let template: Template = "{{.ID}}.{{ .Namespace }}:{{.Port}}".parse().unwrap();
    assert_eq!(template.fill(&QUERY), "b.ns:50002");
}

#[test]
fn templates_that_cannot_be_filled_say_why() {
    let error = "{{.Data.region}}".parse::<Template>().unwrap_err();
    assert!(error.to_string().contains(".Data.region"), "{error}");
    let error = "{{.ID".parse::<Template>().unwrap_err();
    assert!(error.to_string().contains("not closed"), "{error}");
}

#[tokio::test]
async fn template_that_gives_an_address_needs_no_dns() {
    let resolver = config("kubernetes", json!({ "template": "127.0.0.1:{{.Port}}" }))
        .build()
        .unwrap();
    assert_eq!(resolver.resolve(&QUERY).await.unwrap(), "127.0.0.1:50002");
    resolver.forget("b", "ns");
    assert_eq!(resolver.resolve(&QUERY).await.unwrap(), "127.0.0.1:50002");
}

#[tokio::test]
async fn absent_resolver_is_named_in_every_answer() {
    let resolver = config("mdns", json!(null)).build().unwrap();
    let error = resolver.resolve(&QUERY).await.unwrap_err().to_string();
    assert!(error.contains("mdns") && error.contains("app b"), "{error}");
}

#[test]
fn unknown_resolver_is_refused() {
    let error = config("zookeeper", json!(null)).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "couldn't find name resolver zookeeper/v1: kubernetes/v1 is built in"
    );
    assert!(
        config("kubernetes", json!({ "template": 3 }))
            .build()
            .is_err()
    );
}
