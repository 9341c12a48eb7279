//! Places that keep keys.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use trilby_components::{
    conformance::crypto::run,
    crypto::{CryptoError, CryptoProvider as _, Parameters},
    metadata::Metadata,
    registry::InitError,
};
use trilby_components_crypto::{Fetched, Folder, KeySet, Provider};

use crate::keys::{Made, NAMES, shared};

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    Metadata::new(pairs.iter().copied()).unwrap()
}

async fn folder(path: &Path) -> Result<Provider<Fetched<Folder>>, InitError> {
    let folder = Folder::open(&metadata(&[("path", path.to_str().unwrap())])).await?;
    Ok(Provider::over(Fetched(folder)))
}

async fn set(jwks: &str) -> Result<Provider<KeySet>, InitError> {
    KeySet::open(&metadata(&[("jwks", jwks)]))
        .await
        .map(Provider::over)
}

fn wrapping(key: &str) -> Parameters<'_> {
    Parameters {
        key,
        algorithm: "A256KW",
        ..Parameters::default()
    }
}

#[tokio::test]
async fn a_folder_passes_the_suite() {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in Made::new().files() {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    run(&folder(home.path()).await.unwrap(), NAMES).await;
}

#[tokio::test]
async fn a_set_passes_the_suite_wherever_it_is() {
    let text = Made::new().set().to_string();
    run(&set(&text).await.unwrap(), NAMES).await;
    run(&set(&BASE64_STANDARD.encode(&text)).await.unwrap(), NAMES).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("set.json");
    std::fs::write(&file, &text).unwrap();
    run(&set(file.to_str().unwrap()).await.unwrap(), NAMES).await;
    let web = Web::serving(&text).await;
    run(&set(&web.url).await.unwrap(), NAMES).await;
}

#[tokio::test]
async fn a_folder_has_nothing_but_its_own_keys() {
    let home = tempfile::tempdir().unwrap();
    let inner = home.path().join("keys");
    std::fs::create_dir_all(inner.join("deeper")).unwrap();
    std::fs::write(home.path().join("outside"), [1; 32]).unwrap();
    std::fs::write(inner.join("deeper/key"), [1; 32]).unwrap();
    std::fs::write(inner.join("long"), vec![b'!'; (1 << 20) + 1]).unwrap();
    let provider = folder(&inner).await.unwrap();
    assert!(
        provider
            .wrap_key(wrapping("deeper/key"), &[0; 32])
            .await
            .is_ok()
    );
    let outside = home.path().join("outside");
    for name in [
        "../outside",
        outside.to_str().unwrap(),
        "deeper",
        "long",
        "absent",
        "",
    ] {
        let refused = provider.wrap_key(wrapping(name), &[0; 32]).await;
        assert!(refused.is_err(), "{name}");
    }
    let absent = provider.wrap_key(wrapping("absent"), &[0; 32]).await;
    assert!(
        matches!(absent, Err(CryptoError::NotFound(_))),
        "{absent:?}"
    );
    for path in ["", inner.join("long").to_str().unwrap(), "/does/not/exist"] {
        assert!(folder(Path::new(path)).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_key_is_read_for_each_use() {
    let home = tempfile::tempdir().unwrap();
    let provider = folder(home.path()).await.unwrap();
    assert!(provider.wrap_key(wrapping("key"), &[0; 32]).await.is_err());
    std::fs::write(home.path().join("key"), [0xfe; 32]).unwrap();
    let first = provider.wrap_key(wrapping("key"), &[0; 32]).await.unwrap();
    std::fs::write(home.path().join("key"), [0xfd; 32]).unwrap();
    let second = provider.wrap_key(wrapping("key"), &[0; 32]).await.unwrap();
    assert_ne!(first, second);
    assert!(provider.unwrap_key(wrapping("key"), &first).await.is_err());
}

#[tokio::test]
async fn a_changed_file_counts_at_once_and_a_broken_one_does_not() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("set.json");
    std::fs::write(&file, json!({ "keys": [shared("a", 1)] }).to_string()).unwrap();
    let provider = set(file.to_str().unwrap()).await.unwrap();
    assert!(provider.wrap_key(wrapping("a"), &[0; 32]).await.is_ok());
    std::fs::write(&file, "{").unwrap();
    assert!(provider.wrap_key(wrapping("a"), &[0; 32]).await.is_ok());
    std::fs::write(&file, json!({ "keys": [shared("b", 1)] }).to_string()).unwrap();
    assert!(provider.wrap_key(wrapping("b"), &[0; 32]).await.is_ok());
    assert!(provider.wrap_key(wrapping("a"), &[0; 32]).await.is_err());
}

#[tokio::test]
async fn a_key_is_used_for_what_it_says_only() {
    let mut key = shared("a", 1);
    key["alg"] = "A256KW".into();
    key["key_ops"] = json!(["unwrapKey"]);
    let provider = set(&json!({ "keys": [key] }).to_string()).await.unwrap();
    let refused = provider.wrap_key(wrapping("a"), &[0; 32]).await;
    let text = "key cannot perform the 'wrapKey' operation";
    assert_eq!(refused, Err(CryptoError::Forbidden(text.into())));
}

#[tokio::test]
async fn what_is_no_set_is_refused() {
    for text in ["", "{", "[]", r#"{"keys":1}"#, "AAAA", "/does/not/exist"] {
        assert!(
            matches!(set(text).await, Err(InitError::Metadata(_))),
            "{text}"
        );
    }
    let web = Web::serving("[]").await;
    assert!(matches!(
        set(&web.url).await,
        Err(InitError::Unavailable(_))
    ));
}

/// A set on the web, until it is told to fail.
struct Web {
    url: String,
    text: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    async fn serving(text: &str) -> Self {
        let text = Arc::new(Mutex::new(Some(text.to_owned())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (Arc::clone(&text), Arc::clone(&asked));
        let answer = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let text = served.lock().clone();
            text.ok_or(StatusCode::SERVICE_UNAVAILABLE)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/set", listener.local_addr().unwrap());
        let router = Router::new().route("/set", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, text, asked }
    }
}

/// Sets of the web are asked no more often than they may be, and one that fails leaves the last good one.
#[tokio::test]
async fn a_set_of_the_web_is_fetched_again_when_it_is_old() {
    let web = Web::serving(&json!({ "keys": [shared("a", 1)] }).to_string()).await;
    let settings = metadata(&[("jwks", &web.url), ("minRefreshInterval", "1s")]);
    let provider = Provider::over(KeySet::open(&settings).await.unwrap());
    let has = async |name: &'static str| provider.wrap_key(wrapping(name), &[0; 32]).await.is_ok();
    assert!(has("a").await && !has("b").await);
    *web.text.lock() = None;
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while web.asked.load(Ordering::SeqCst) < 2 {
        assert!(has("a").await && tokio::time::Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(has("a").await, "the last good set stays in force");
    *web.text.lock() = Some(json!({ "keys": [shared("b", 1)] }).to_string());
    while !has("b").await {
        assert!(tokio::time::Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!has("a").await);
}
