//! Middlewares that deal in tokens, with a real OpenID provider.

use trilby_testkit::eventually::eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::servers::oidc::Oidc;
use trilby_testkit::services::Daprd;
use trilby_testkit::state_dir::StateDir;

const AUDIENCE: &str = "shop";

/// The sidecar of an app whose API is behind these middlewares; each of them is a component here.
async fn behind(oidc: &Oidc, middlewares: &[&str]) -> (Daprd, StateDir) {
    let dir = StateDir::create("oidc-test");
    let file = |name: &str, text: String| {
        std::fs::write(dir.join(name), text).expect("the directory is writable");
    };
    file(
        "bearer.yaml",
        component(
            "bearer",
            &[("issuer", &oidc.issuer()), ("audience", AUDIENCE)],
        ),
    );
    let credentials = [
        ("clientID", "sidecar"),
        ("clientSecret", "secret"),
        ("scopes", "test"),
        ("tokenURL", &oidc.token_url()),
        ("headerName", "authorization"),
        ("endpointParamsQuery", "aud=shop"),
        ("authStyle", "1"),
    ];
    file(
        "credentials.yaml",
        component("oauth2clientcredentials", &credentials),
    );
    let handlers: Vec<String> = middlewares
        .iter()
        .map(|kind| format!("{{name: {kind}, type: middleware.http.{kind}}}"))
        .collect();
    let mut daprd = Daprd::new("shop").arg("--resources-path", dir.path().display());
    let configuration = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  \
         nameResolution: {{component: nameformat, configuration: {{format: '127.0.0.1'}}}}\n  \
         httpPipeline: {{handlers: [{}]}}\n",
        handlers.join(", ")
    );
    let configuration = daprd.file("config.yaml", &configuration);
    daprd = daprd.arg("--config", configuration.display());
    daprd.launch();
    // Not the API's own port: there even health is behind the pipeline.
    let health = format!("http://{}/v1.0/healthz", daprd.public_address());
    eventually("the sidecar is healthy", async || {
        Client::host().get(&health).await?.success().map(drop)
    })
    .await;
    (daprd, dir)
}

fn component(kind: &str, metadata: &[(&str, &str)]) -> String {
    let metadata: Vec<String> = metadata
        .iter()
        .map(|(name, value)| format!("{{name: {name}, value: '{value}'}}"))
        .collect();
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {kind}\nspec:\n  \
         type: middleware.http.{kind}\n  version: v1\n  metadata: [{}]\n",
        metadata.join(", ")
    )
}

/// Asks for metadata, with a token or without.
async fn ask(daprd: &Daprd, token: Option<&str>) -> Response {
    let mut request = http::Request::get(daprd.url("/v1.0/metadata"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(bytes::Bytes::new()).expect("it is a request");
    let answer = Client::host().request(request).await;
    answer.expect("the sidecar answers")
}

#[tokio::test]
async fn bearer_lets_in_who_has_a_token_of_the_provider_for_its_audience() {
    let oidc = Oidc::start().await;
    let (daprd, _dir) = behind(&oidc, &["bearer"]).await;
    assert_eq!(ask(&daprd, None).await.status, 401);
    let ours = oidc.token(AUDIENCE).await.expect("a token is given");
    let answer = ask(&daprd, Some(&ours)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let another = oidc.token("another").await.expect("a token is given");
    assert_eq!(ask(&daprd, Some(&another)).await.status, 401);
}

#[tokio::test]
async fn client_credentials_are_exchanged_for_a_token_that_bearer_takes() {
    let oidc = Oidc::start().await;
    let (daprd, _dir) = behind(&oidc, &["oauth2clientcredentials", "bearer"]).await;
    let answer = ask(&daprd, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
