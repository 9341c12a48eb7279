use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use trilby_proto::common::v1::http_extension::Verb;

use crate::channel::Proxies;
use crate::pipeline::Pipeline;

use super::{EndpointSettings, External, Externals, place, request};
use crate::blocks::invoke::Call;
use crate::blocks::invoke::headers::Origin;
use crate::channel::ClientTls;
use crate::payload::Payload;

fn settings(name: &str, base_url: &str) -> EndpointSettings {
    EndpointSettings {
        name: name.to_owned(),
        base_url: base_url.to_owned(),
        headers: Vec::new(),
        tls: ClientTls::default(),
        renegotiation: None,
    }
}

fn call(headers: &[(&'static str, &'static str)]) -> Call {
    let headers = headers.iter().map(|(name, value)| {
        (
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    Call {
        method: "orders".to_owned(),
        verb: Verb::Post,
        query: "q=1".to_owned(),
        content_type: "text/plain".to_owned(),
        type_url: String::new(),
        headers: headers.collect(),
        origin: Origin::Http,
        body: Payload::Bytes(Bytes::from_static(b"x")),
    }
}

#[test]
fn base_method_and_query_are_put_together_as_text() {
    for (base, method, query, expected) in [
        ("http://h:1", "a/b", "", "http://h:1/a/b"),
        ("http://h/base", "a", "q=1", "http://h/base/a?q=1"),
        ("http://h/base/", "a", "", "http://h/base//a"),
        ("http://h/base", "", "", "http://h/base"),
        ("http://h/p?k=1", "a", "", "http://h/p?k=1/a"),
        ("https://h", "a b", "q=ü", "https://h/a%20b?q=%C3%BC"),
    ] {
        let (uri, credentials) = place(base, method, query).unwrap();
        assert_eq!(uri.to_string(), expected, "{base}");
        assert_eq!(credentials, None);
    }
    let (uri, credentials) = place("http://user:pass@h/x", "a", "").unwrap();
    assert_eq!(uri.to_string(), "http://h/x/a");
    assert_eq!(credentials.unwrap(), "Basic dXNlcjpwYXNz");
    assert!(place("http://", "a", "").is_err());
}

#[test]
fn neither_identity_nor_token_goes_outside() {
    let forged = [
        ("dapr-caller-app-id", "me"),
        ("dapr-caller-namespace", "mine"),
        ("dapr-callee-app-id", "you"),
        ("dapr-api-token", "secret"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-custom", "1"),
    ];
    let own = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-custom"),
        HeaderValue::from_static("configured"),
    )]);
    let request = request("http://h", call(&forged), own).unwrap();
    let names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-custom", "content-type"]);
    assert_eq!(request.own_headers["x-custom"], "configured");
}

#[tokio::test]
async fn endpoint_is_found_by_name_and_an_address_by_its_form() {
    let externals = Externals::new(Pipeline::default(), Proxies::default());
    assert!(externals.find("web").is_none());
    externals
        .replace(vec![settings("web", "http://127.0.0.1:1")])
        .await;
    assert!(matches!(externals.find("web"), Some(External::Endpoint(_))));
    assert!(matches!(
        externals.find("web.ns"),
        Some(External::Endpoint(_))
    ));
    assert!(externals.find("other").is_none());
    let address = "https://h:1";
    assert!(matches!(
        externals.find(address),
        Some(External::Address(found)) if found == address
    ));
}

#[tokio::test]
async fn bad_update_leaves_the_former_version_in_force() {
    let externals = Externals::new(Pipeline::default(), Proxies::default());
    externals
        .replace(vec![settings("web", "http://127.0.0.1:1")])
        .await;
    externals
        .replace(vec![settings("web", "nowhere"), settings("new", "ftp://h")])
        .await;
    let Some(External::Endpoint(web)) = externals.find("web") else {
        panic!("the endpoint is gone");
    };
    assert_eq!(web.settings.base_url, "http://127.0.0.1:1");
    assert!(externals.find("new").is_none());
    externals.replace(Vec::new()).await;
    assert!(externals.find("web").is_none());
}

#[tokio::test]
async fn unknown_renegotiation_is_refused_and_known_ones_are_taken() {
    let externals = Externals::new(Pipeline::default(), Proxies::default());
    for (wish, taken) in [
        ("Never", true),
        ("OnceAsClient", true),
        ("FreelyAsClient", true),
        ("Sometimes", false),
    ] {
        let mut endpoint = settings(wish, "http://127.0.0.1:1");
        endpoint.renegotiation = Some(wish.to_owned());
        externals.replace(vec![endpoint]).await;
        assert_eq!(externals.find(wish).is_some(), taken, "{wish}");
    }
}

#[tokio::test]
async fn header_that_cannot_be_sent_is_refused() {
    let externals = Externals::new(Pipeline::default(), Proxies::default());
    let mut bad = settings("web", "http://127.0.0.1:1");
    bad.headers = vec![("x".to_owned(), "a\nb".to_owned())];
    externals.replace(vec![bad]).await;
    assert!(externals.find("web").is_none());
}
