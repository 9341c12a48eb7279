use std::{net::Ipv4Addr, time::Duration};

use axum::{Router, response::Redirect, routing::get};

use super::{Client, Error, Limits};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    size: 10,
};

async fn server() -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/short", get(|| async { "short" }))
        .route("/long", get(|| async { "longer than ten bytes" }))
        .route("/moved", get(|| async { Redirect::temporary("/short") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/never", get(std::future::pending::<()>));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

async fn ask(path: &str, limits: Limits) -> Result<String, Error> {
    let url = server().await + path;
    let response = Client::new().unwrap().get(&url, limits).await?;
    Ok(String::from_utf8_lossy(response.body()).into_owned())
}

#[tokio::test]
async fn redirects_are_followed_to_an_end() {
    assert_eq!(ask("/moved", LIMITS).await.unwrap(), "short");
    assert!(matches!(ask("/loop", LIMITS).await, Err(Error::Redirects)));
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    assert!(matches!(
        ask("/long", LIMITS).await,
        Err(Error::TooLarge(10))
    ));
    let hurried = Limits {
        time: Duration::from_millis(50),
        ..LIMITS
    };
    assert!(matches!(
        ask("/never", hurried).await,
        Err(Error::Timeout(_))
    ));
}

#[tokio::test]
async fn what_is_no_url_of_the_web_is_refused() {
    for url in ["", "/relative", "ftp://host/file", "http:// "] {
        let answer = Client::new().unwrap().get(url, LIMITS).await;
        assert!(matches!(answer, Err(Error::Url(_))), "{url:?}");
    }
}
