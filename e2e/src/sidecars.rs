//! Two sidecars that know each other: `caller` has a state store, `callee` an app that answers with what it was sent.

use anyhow::Result;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use trilby_testkit::services::Daprd;
use trilby_testkit::state_dir::StateDir;

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n";

/// The sidecars and their files. The app ends with the test.
#[derive(Debug)]
pub struct Sidecars {
    /// The one of `caller`. It runs, but may not be ready yet.
    pub caller: Daprd,
    /// The one of `callee`.
    pub callee: Daprd,
    /// Their files, and what the test adds.
    pub dir: StateDir,
}

impl Sidecars {
    /// Starts both, with a Configuration that has these further settings in `spec`, as YAML in one line each.
    ///
    /// # Errors
    /// If the app has no port, or a file cannot be written.
    pub async fn start(settings: &[String]) -> Result<Self> {
        let dir = StateDir::create("sidecars");
        let configuration = dir.join("config.yaml");
        let names = dir.join("names.db");
        let mut text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  nameResolution: \
             {{component: sqlite, configuration: {{connectionString: '{}'}}}}\n",
            names.display()
        );
        for setting in settings {
            text.push_str(&format!("  {setting}\n"));
        }
        std::fs::write(&configuration, text)?;
        let resources = dir.join("resources");
        std::fs::create_dir(&resources)?;
        std::fs::write(resources.join("store.yaml"), STORE)?;
        let daprd = |app_id| {
            Daprd::new(app_id)
                .arg("--config", configuration.display())
                // Spans leave at once.
                .env("OTEL_BSP_SCHEDULE_DELAY", 50)
        };
        let mut caller = daprd("caller").arg("--resources-path", resources.display());
        let mut callee = daprd("callee").app_port(echo().await?);
        callee.start().await;
        caller.launch();
        Ok(Self {
            caller,
            callee,
            dir,
        })
    }
}

/// An app that answers with what it was sent: `POST /orders/7 {"n":1}`. It ends with the test.
async fn echo() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answering = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(async move { drop(answering.await) });
        }
    });
    Ok(port)
}

async fn answer(request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    Ok(Response::new(format!(
        "{} {} {body}",
        head.method, head.uri
    )))
}
