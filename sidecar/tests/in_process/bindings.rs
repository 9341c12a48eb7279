//! Bindings over both protocols: one that does what it is asked, and one whose events the test makes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use trilby_components::binding::{
    Binding, BindingError, Event, EventHandler, InputBinding, Invocation, OutputBinding, Reading,
    Reply, Unhandled,
};
use trilby_components::registry::{Backend, Registry};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::runtime::v1::InvokeBindingRequest;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};
use crate::{app, grpc_app};

/// Longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

type Handled = Result<Option<Bytes>, Unhandled>;
type Waiting = (Event, oneshot::Sender<Handled>);

/// What the components of one test do.
#[derive(Clone)]
struct World {
    events: mpsc::Sender<Waiting>,
    arriving: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>,
    invoked: Arc<Mutex<Vec<Invocation>>>,
    /// Readings that there are.
    readings: Arc<Mutex<usize>>,
}

/// Does what it is asked, and tells of it.
struct Echo(World);

/// Brings the test's events.
struct Source(World);

#[async_trait]
impl OutputBinding for Echo {
    fn operations(&self) -> Vec<String> {
        ["create", "get", "refuse", "nothing"]
            .map(str::to_owned)
            .into()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        self.0.invoked.lock().push(invocation.clone());
        let metadata = [("statusCode".to_owned(), "404".to_owned())].into();
        let reply = Reply {
            data: Some(invocation.data),
            metadata,
            content_type: None,
        };
        match invocation.operation.as_str() {
            "nothing" => Ok(Reply::default()),
            "refuse" => Err(BindingError::Refused {
                error: "received status code 404".to_owned(),
                reply: Box::new(reply),
            }),
            _ => Ok(reply),
        }
    }
}

#[async_trait]
impl InputBinding for Source {
    async fn read(
        &self,
        handler: Arc<dyn EventHandler>,
        stop: CancellationToken,
    ) -> Result<Reading, BindingError> {
        let world = self.0.clone();
        Ok(Box::pin(async move {
            *world.readings.lock() += 1;
            let mut arriving = world.arriving.lock().await;
            let mut handled = FuturesUnordered::new();
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    Some(()) = handled.next() => {}
                    Some((event, tell)) = arriving.recv() => {
                        let handler = Arc::clone(&handler);
                        handled.push(async move { drop(tell.send(handler.handle(event).await)) });
                    }
                }
            }
            while handled.next().await.is_some() {}
            *world.readings.lock() -= 1;
            Ok(())
        }))
    }
}

impl World {
    fn new() -> Self {
        let (events, arriving) = mpsc::channel(16);
        Self {
            events,
            arriving: Arc::new(tokio::sync::Mutex::new(arriving)),
            invoked: Arc::default(),
            readings: Arc::default(),
        }
    }

    fn registry(&self) -> Registry {
        let (output, input) = (self.clone(), self.clone());
        let echo = Backend::binding("echo", move |_, _| {
            let echo = Echo(output.clone());
            async move {
                Ok(Binding {
                    input: None,
                    output: Some(Arc::new(echo)),
                })
            }
        });
        let source = Backend::binding("source", move |_, _| {
            let source = Source(input.clone());
            async move {
                Ok(Binding {
                    input: Some(Arc::new(source)),
                    output: None,
                })
            }
        });
        Registry::in_memory().with(vec![echo, source])
    }

    /// Makes an event; what becomes of it is awaited apart.
    async fn event(&self, data: &str, metadata: &[(&str, &str)]) -> oneshot::Receiver<Handled> {
        let metadata = metadata.iter();
        let event = Event {
            data: Bytes::copy_from_slice(data.as_bytes()),
            metadata: metadata
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            content_type: None,
        };
        let (tell, told) = oneshot::channel();
        self.events.send((event, tell)).await.unwrap();
        told
    }

    async fn handled(&self, data: &str, metadata: &[(&str, &str)]) -> Handled {
        let told = self.event(data, metadata).await;
        timeout(PATIENCE, told).await.expect("in time").unwrap()
    }

    fn reads(&self, count: usize) -> bool {
        *self.readings.lock() == count
    }
}

/// Name, kind and settings.
type Component<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn write(folder: &Path, components: &[Component<'_>]) {
    let text = components.iter().map(|(name, kind, settings)| {
        let settings = settings.iter();
        let metadata = settings.map(|(name, value)| format!("  - name: {name}\n    value: '{value}'\n"));
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: bindings.{kind}\n  \
             version: v1\n  metadata:\n{}---\n",
            metadata.collect::<String>()
        )
    });
    let new = folder.join("resources.new");
    std::fs::write(&new, text.collect::<String>()).unwrap();
    std::fs::rename(new, folder.join("resources.yaml")).unwrap();
}

async fn sidecar(
    world: &World,
    components: &[Component<'_>],
    change: impl FnOnce(Settings<'_>) -> Settings<'_>,
) -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), components);
    let settings = Settings::new("a").registry(world.registry());
    let settings = change(settings.resources(folder.path()));
    let sidecar = Sidecar::start(settings, &Directory::default()).await;
    (sidecar, folder)
}

fn client(sidecar: &Sidecar) -> DaprClient<trilby_grpc::Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: sidecar.grpc.port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

fn asked(name: &str, operation: &str) -> InvokeBindingRequest {
    InvokeBindingRequest {
        name: name.to_owned(),
        operation: operation.to_owned(),
        data: Bytes::from_static(b"data"),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_operation_is_asked_for_over_http() {
    let world = World::new();
    let (sidecar, _folder) = sidecar(&world, &[("echo", "echo", &[])], |settings| settings).await;
    let url = sidecar.url("/v1.0/bindings/echo");
    let request = Request::put(&url).header("baggage", "a=1");
    let body = r#"{"operation":"create","data":{"n": 9007199254740993},"metadata":{"Key":"k"}}"#;
    let response = sidecar.request(request, body).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.text(), r#"{"n":9007199254740993}"#);
    assert_eq!(response.headers["metadata.statuscode"], "404");
    let metadata = world.invoked.lock()[0].metadata.clone();
    assert_eq!((&*metadata["Key"], &*metadata["baggage"]), ("k", "a=1"));
    assert_eq!(metadata["traceparent"].len(), 55);
    let nothing = sidecar
        .post("/v1.0/bindings/echo", r#"{"operation":"nothing"}"#)
        .await;
    assert_eq!(nothing.status, StatusCode::NO_CONTENT);
    assert_eq!(world.invoked.lock()[1].data, "null");
}

#[tokio::test]
async fn what_cannot_be_done_is_told_over_http() {
    let components: &[Component<'_>] = &[
        ("echo", "echo", &[]),
        ("deaf", "echo", &[("direction", "input")]),
    ];
    let world = World::new();
    let (sidecar, _folder) = sidecar(&world, components, |settings| settings).await;
    for (name, body, error) in [
        ("echo", "{}", "operation field is missing from request"),
        (
            "none",
            r#"{"operation":"get"}"#,
            "couldn't find output binding none",
        ),
        (
            "deaf",
            r#"{"operation":"get"}"#,
            "couldn't find output binding deaf",
        ),
        (
            "echo",
            r#"{"operation":"list"}"#,
            "binding echo does not support operation list. supported operations:create get refuse nothing",
        ),
        (
            "echo",
            r#"{"operation":"refuse"}"#,
            "received status code 404",
        ),
    ] {
        let response = sidecar.post(&format!("/v1.0/bindings/{name}"), body).await;
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
        let expected = json!({
            "errorCode": "ERR_INVOKE_OUTPUT_BINDING",
            "message": format!("error invoking output binding {name}: {error}"),
        });
        assert_eq!(response.json(), expected);
        let refused = response.headers.contains_key("metadata.statuscode");
        assert_eq!(refused, body.contains("refuse"));
    }
    let malformed = sidecar.post("/v1.0/bindings/echo", "text").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    assert_eq!(malformed.json()["errorCode"], "ERR_MALFORMED_REQUEST");
}

#[tokio::test]
async fn an_operation_is_asked_for_over_grpc() {
    let world = World::new();
    let (sidecar, _folder) = sidecar(&world, &[("echo", "echo", &[])], |settings| settings).await;
    let mut client = client(&sidecar);
    let mut request = tonic::Request::new(asked("echo", "create"));
    request.metadata_mut().insert("own", "1".parse().unwrap());
    let response = client.invoke_binding(request).await.unwrap();
    assert_eq!(
        response.metadata().get("metadata.statuscode").unwrap(),
        "404"
    );
    let answer = response.into_inner();
    assert_eq!(answer.data, "data");
    assert_eq!(answer.metadata["statusCode"], "404");
    let metadata = world.invoked.lock()[0].metadata.clone();
    assert_eq!(metadata["own"], "1");
    assert_eq!(metadata["traceparent"].len(), 55);
    let refused = client.invoke_binding(asked("echo", "refuse")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    let text = "error invoking output binding echo: received status code 404";
    assert_eq!(refused.message(), text);
    assert_eq!(
        refused.metadata().get("metadata.statuscode").unwrap(),
        "404"
    );
}

#[tokio::test]
async fn events_go_to_an_http_application_and_only_its_success_takes_them() {
    let components: &[Component<'_>] = &[("queue", "source", &[("route", "/orders/new")])];
    let (world, address) = (World::new(), app::start().await);
    let (_sidecar, folder) = sidecar(&world, components, |settings| settings.app(address)).await;
    let taken = world
        .handled("[1]", &[("Key", "k"), ("not a header", "")])
        .await;
    let seen: Value = serde_json::from_slice(&taken.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&seen["method"], &seen["path"]),
        (&json!("POST"), &json!("/orders/new"))
    );
    assert_eq!(
        (&seen["body"], &seen["headers"]["key"]),
        (&json!("[1]"), &json!(["k"]))
    );
    assert_eq!(seen["headers"]["content-type"], json!(["application/json"]));
    assert!(seen["headers"]["traceparent"].is_array());
    let status = |status: &str| format!("/status/{status}");
    for (status, expected) in [
        (status("204"), Ok(Some(Bytes::new()))),
        (
            status("500"),
            Err(Unhandled(
                "fails to send binding event to http app channel, status code: 500 body: status 500".to_owned(),
            )),
        ),
    ] {
        let settings = [("direction", "input"), ("route", &*status)];
        write(folder.path(), &[("queue", "source", &settings)]);
        assert_eventually!(world.handled("", &[]).await == expected);
    }
}

#[tokio::test]
async fn what_the_application_does_not_want_is_not_read() {
    let components: &[Component<'_>] = &[
        ("unwanted", "source", &[("route", "/status/404")]),
        ("output", "source", &[("direction", "output")]),
    ];
    let (world, address) = (World::new(), app::start().await);
    let (_sidecar, folder) = sidecar(&world, components, |settings| settings.app(address)).await;
    let told = world.event("", &[]).await;
    // One that is wanted reads it at once.
    let wanted: (&str, &str, &[(&str, &str)]) = ("wanted", "source", &[("route", "/status/405")]);
    write(folder.path(), &[components[0], components[1], wanted]);
    let handled = timeout(PATIENCE, told).await.expect("in time").unwrap();
    assert!(handled.unwrap_err().0.contains("status code: 405"));
    assert!(world.reads(1));
}

#[tokio::test]
async fn events_go_to_a_grpc_application_whose_answer_asks_bindings() {
    let components: &[Component<'_>] = &[
        ("listed", "source", &[]),
        ("not-listed", "source", &[]),
        ("echo", "echo", &[]),
    ];
    let (world, address) = (World::new(), grpc_app::start().await);
    let (_sidecar, _folder) = sidecar(&world, components, |settings| {
        settings.app(address).flags(&["--app-protocol=grpc"])
    })
    .await;
    let taken = world
        .handled("{\"a\": 1}", &[("to", "echo,none,echo")])
        .await;
    assert_eq!(taken, Ok(Some(Bytes::from_static(b"{\"a\": 1}"))));
    // The second cannot be asked, so the third is not.
    let invoked = world.invoked.lock().clone();
    assert_eq!(invoked.len(), 1);
    assert_eq!(
        (&*invoked[0].operation, &*invoked[0].data),
        ("create", &b"{\"a\":1}"[..])
    );
    assert!(world.reads(1), "what is not listed is not read");
}

#[tokio::test]
async fn what_is_being_handled_is_waited_for_when_the_component_changes() {
    let (world, address) = (World::new(), app::start().await);
    let read: &[(&str, &str)] = &[("direction", "input"), ("route", "slow")];
    let (_sidecar, folder) = sidecar(&world, &[("queue", "source", read)], |settings| {
        settings.app(address)
    })
    .await;
    assert_eventually!(world.reads(1));
    let events: Vec<_> = futures_util::future::join_all((0..8).map(|_| world.event("", &[]))).await;
    write(
        folder.path(),
        &[(
            "queue",
            "source",
            &[("direction", "input"), ("route", "other")],
        )],
    );
    for told in events {
        let taken = timeout(PATIENCE, told).await.expect("in time").unwrap();
        taken.unwrap();
    }
    assert_eventually!({
        let taken = world.handled("", &[]).await.unwrap().unwrap();
        String::from_utf8_lossy(&taken).contains("/other")
    });
    std::fs::remove_file(folder.path().join("resources.yaml")).unwrap();
    assert_eventually!(world.reads(0));
}

#[tokio::test]
async fn the_end_of_the_process_stops_readings_first() {
    let (world, address) = (World::new(), app::start().await);
    let read: &[(&str, &str)] = &[("direction", "input")];
    let (sidecar, _folder) = sidecar(&world, &[("queue", "source", read)], |settings| {
        let flags = ["--dapr-block-shutdown-duration=1h"];
        settings.app(address).flags(&flags)
    })
    .await;
    assert_eventually!(world.reads(1));
    sidecar.process.shutdown().cancel();
    assert_eventually!(world.reads(0));
    let healthy = sidecar.get("/v1.0/healthz/outbound").await;
    assert_eq!(healthy.status, StatusCode::NO_CONTENT, "it still serves");
}

#[tokio::test]
async fn operations_and_events_are_counted() {
    let components: &[Component<'_>] = &[("queue", "source", &[]), ("echo", "echo", &[])];
    let (world, address) = (World::new(), app::start().await);
    let (sidecar, _folder) = sidecar(&world, components, |settings| settings.app(address)).await;
    world.handled("", &[]).await.unwrap();
    sidecar
        .post("/v1.0/bindings/echo", r#"{"operation":"refuse"}"#)
        .await;
    let metadata = sidecar.get("/v1.0/metadata").await.json();
    let capabilities = metadata["components"].as_array().unwrap().iter();
    let capabilities = capabilities.map(|component| component["capabilities"].clone());
    let capabilities: Vec<_> = capabilities.collect();
    assert_eq!(
        capabilities,
        [json!(["OUTPUT_BINDING"]), json!(["INPUT_BINDING"])]
    );
}
