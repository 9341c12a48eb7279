use serde_json::{Value, json};
use trilby_components::name_resolution::{NameResolver, Query};

use super::{KubernetesResolver, NameFormatResolver, Template};

const QUERY: Query<'static> = Query {
    app_id: "b",
    namespace: "ns",
    port: 50002,
};

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
    let settings = json!({ "template": "127.0.0.1:{{.Port}}" });
    let resolver = KubernetesResolver::new(settings).unwrap();
    assert_eq!(resolver.resolve(&QUERY).await.unwrap(), "127.0.0.1:50002");
    resolver.forget("b", "ns");
    assert_eq!(resolver.resolve(&QUERY).await.unwrap(), "127.0.0.1:50002");
}

#[test]
fn settings_of_another_form_are_refused() {
    let refused = KubernetesResolver::new(json!({ "template": 3 })).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("kubernetes") && refused.contains("expected a string"),
        "{refused}"
    );
}

#[tokio::test]
async fn nameformat_writes_the_application_into_the_address() {
    let settings = json!({ "format": "{appid}.{appid}-svc.internal:50002" });
    let resolver = NameFormatResolver::new(settings).unwrap();
    let found = resolver.resolve(&QUERY).await.unwrap();
    assert_eq!(found, "b.b-svc.internal:50002");
}

#[test]
fn nameformat_needs_a_place_for_the_application() {
    let refused = |settings: Value| NameFormatResolver::new(settings).unwrap_err().to_string();
    assert_eq!(refused(Value::Null), "format is required in metadata");
    let refused = refused(json!({ "format": "localhost:50002" }));
    assert_eq!(refused, "format must contain {appid} placeholder");
}
