use serde_json::{Value, json};

use super::*;
use crate::issuer::testing::issuer_with_tokens;

fn discovery(settings: &OidcSettings) -> Discovery {
    let (sender, authority) = watch::channel(Some(issuer_with_tokens()));
    let discovery = Discovery::new(settings, Algorithm::EdDsa, authority);
    drop(sender);
    discovery.unwrap()
}

fn settings() -> OidcSettings {
    OidcSettings::default()
}

fn ask(discovery: &Discovery, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = discovery.answer(&request.body(()).unwrap());
    read(answer)
}

fn read(answer: Response<Full<Bytes>>) -> (u16, String) {
    use http_body_util::BodyExt as _;
    let status = answer.status().as_u16();
    let body = futures_util::FutureExt::now_or_never(answer.into_body().collect());
    let body = body.unwrap().unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn document(discovery: &Discovery, path: &str, headers: &[(&str, &str)]) -> Value {
    let (status, text) = ask(discovery, path, headers);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_document_is_upstreams() {
    let found = document(
        &discovery(&settings()),
        DISCOVERY,
        &[("host", "sentry:9080")],
    );
    assert_eq!(
        found,
        json!({
            "issuer": "http://sentry:9080", "jwks_uri": "http://sentry:9080/jwks.json",
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"], "scopes_supported": ["openid"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nbf", "use"],
        })
    );
}

#[test]
fn the_flags_decide_what_documents_say() {
    let given = OidcSettings {
        issuer: Some("https://issuer.example/tenant".to_owned()),
        path_prefix: Some("/a/b/".to_owned()),
        ..settings()
    };
    let path = "/a/b/.well-known/openid-configuration";
    let found = document(&discovery(&given), path, &[("host", "x")]);
    assert_eq!(found["issuer"], "https://issuer.example/tenant");
    assert_eq!(found["jwks_uri"], "https://issuer.example/a/b/jwks.json");
    assert_eq!(ask(&discovery(&given), DISCOVERY, &[("host", "x")]).0, 404);
    let elsewhere = OidcSettings {
        jwks_uri: Some("https://cdn.example/keys".to_owned()),
        ..given
    };
    let found = document(&discovery(&elsewhere), path, &[("host", "x")]);
    assert_eq!(found["jwks_uri"], "https://cdn.example/keys");
}

#[test]
fn what_proxies_say_decides_nothing_that_is_served() {
    let lists: [&[&str]; 4] = [&[], &["*"], &["sentry"], &["other", "sentry"]];
    for list in lists {
        let given = OidcSettings {
            allowed_hosts: list.iter().map(|host| (*host).to_owned()).collect(),
            ..settings()
        };
        let discovery = discovery(&given);
        let plain = [("host", "sentry:9080")];
        let expected = document(&discovery, DISCOVERY, &plain);
        for forwarded in ["attacker.example", "other"] {
            let headers = [
                plain[0],
                ("x-forwarded-host", forwarded),
                ("x-forwarded-proto", "ftp"),
                ("x-forwarded-prefix", "/x"),
                ("forwarded", "host=attacker.example"),
            ];
            match ask(&discovery, DISCOVERY, &headers) {
                (200, text) => assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected),
                (status, text) => assert_eq!(
                    (status, text.as_str()),
                    (403, "Forbidden: unauthorized domain\n")
                ),
            }
        }
    }
    // Behind a proxy that hides the address, documents show the first that is configured.
    let given = OidcSettings {
        allowed_hosts: vec!["public.example".to_owned(), "second.example".to_owned()],
        ..settings()
    };
    let headers = [
        ("host", "10.0.0.1:9080"),
        ("x-forwarded-host", "second.example"),
    ];
    let found = document(&discovery(&given), DISCOVERY, &headers);
    assert_eq!(found["issuer"], "http://public.example");
}

#[test]
fn only_allowed_hosts_are_answered() {
    let given = OidcSettings {
        allowed_hosts: vec![
            "one.example".to_owned(),
            "two.example:8443".to_owned(),
            "::1".to_owned(),
        ],
        ..settings()
    };
    let discovery = discovery(&given);
    let status = |headers: &[(&str, &str)]| ask(&discovery, KEYS, headers).0;
    for (host, expected) in [
        ("one.example", 200),
        ("one.example:1", 200),
        ("two.example:8443", 200),
        ("[::1]:9080", 200),
        ("two.example", 403),
        ("three.example", 403),
        ("one.example.evil", 403),
    ] {
        assert_eq!(status(&[("host", host)]), expected, "{host}");
    }
    assert_eq!(status(&[]), 403);
    assert_eq!(
        status(&[("host", "x"), ("x-forwarded-host", "one.example")]),
        200
    );
    assert_eq!(
        status(&[("host", "one.example"), ("x-forwarded-host", "x")]),
        403
    );
}

#[test]
fn nothing_else_is_served() {
    let found = discovery(&settings());
    for path in [
        "/",
        "/jwks",
        "/jwks.json/",
        "/jwks.json/../x",
        "/.well-known",
        "//jwks.json",
    ] {
        assert_eq!(ask(&found, path, &[]).0, 404, "{path}");
    }
    let post = Request::post(KEYS).body(()).unwrap();
    assert_eq!(
        read(found.answer(&post)),
        (405, "Method not allowed\n".to_owned())
    );
    let (_, keys) = ask(&found, KEYS, &[]);
    assert!(
        !keys.contains("\"d\"") && keys.contains("\"kty\":\"OKP\""),
        "{keys}"
    );
    let get = Request::get(KEYS).body(()).unwrap();
    let headers = found.answer(&get).headers().clone();
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[CACHE_CONTROL], "public, max-age=3600");
    let (_sender, nothing) = watch::channel(None);
    let empty = Discovery::new(&settings(), Algorithm::EdDsa, nothing).unwrap();
    for path in [KEYS, DISCOVERY] {
        assert_eq!(ask(&empty, path, &[("host", "x")]).0, 404);
    }
}

#[test]
fn addresses_that_cannot_be_ones_are_refused() {
    let check = |settings: OidcSettings, expected: &str| {
        let (_sender, nothing) = watch::channel(None);
        let error = Discovery::new(&settings, Algorithm::EdDsa, nothing)
            .err()
            .unwrap();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    let no_slash = OidcSettings {
        path_prefix: Some("x".to_owned()),
        ..settings()
    };
    check(no_slash, "has to start with a slash");
    let no_uri = OidcSettings {
        jwks_uri: Some("a b".to_owned()),
        ..settings()
    };
    check(no_uri, "--oidc-jwks-uri is no URI");
    let bad_host = ask(&discovery(&settings()), DISCOVERY, &[("host", "a b")]);
    assert_eq!(bad_host, (400, "Invalid host\n".to_owned()));
}
