//! The real binary with components that are processes of their own.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};
use trilby_components_pluggable::testing::{Process, Settings};
use trilby_grpc::rpc::{ErrorInfo, pack};
use trilby_grpc::status::{details_of, with_details};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetBulkStateRequest, GetStateRequest};
use trilby_testkit::assert_eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

/// A sidecar, the folder of its components and that of their sockets.
struct World {
    daprd: Daprd,
    resources: tempfile::TempDir,
    sockets: tempfile::TempDir,
}

impl World {
    /// With components of these names and types.
    async fn start(components: &[(&str, &str)], prepare: impl AsyncFnOnce(&Path)) -> Self {
        let (resources, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        prepare(sockets.path()).await;
        let folder = sockets.path().display();
        let mut world = Self {
            daprd: Daprd::new("shop")
                .arg("--resources-path", resources.path().display())
                .env("DAPR_COMPONENTS_SOCKETS_FOLDER", folder),
            resources,
            sockets,
        };
        for (name, type_name) in components {
            world.component(name, type_name);
        }
        world.daprd.start().await;
        world
    }

    fn component(&self, name: &str, type_name: &str) {
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": { "name": name },
            "spec": { "type": type_name, "version": "v1", "ignoreErrors": true, "metadata": [
                { "name": "place", "value": "here" },
                { "name": "keyPrefix", "value": "none" },
            ] },
        });
        let path = self.resources.path().join(format!("{name}.yaml"));
        std::fs::write(path, component.to_string()).unwrap();
    }

    fn process(&self, name: &str, settings: Settings) -> Process {
        Process::start(&socket(self.sockets.path(), name), settings).unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        Client::host().get(&self.daprd.url(path)).await.unwrap()
    }

    async fn save(&self, store: &str, key: &str, value: &str) -> Response {
        let body = json!([{ "key": key, "value": value }]).to_string();
        let url = self.daprd.url(&format!("/v1.0/state/{store}"));
        Client::host().post(&url, &body).await.unwrap()
    }

    async fn reads(&self, store: &str, key: &str, value: &str) -> bool {
        let read = self.get(&format!("/v1.0/state/{store}/{key}")).await;
        read.status == StatusCode::OK && read.json() == json!(value)
    }

    /// What the metadata API says of a component that serves.
    async fn capabilities(&self, name: &str) -> Option<Value> {
        let metadata = self.get("/v1.0/metadata").await.json();
        let components = metadata["components"].as_array()?;
        let component = components.iter().find(|one| one["name"] == name)?;
        Some(component["capabilities"].clone())
    }
}

fn socket(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sock"))
}

#[tokio::test]
async fn components_come_and_come_again_while_the_sidecar_runs() {
    let components = [("store", "state.mine"), ("secrets", "secretstores.mine")];
    let world = World::start(&components, async |_| {}).await;
    let absent = world.get("/v1.0/state/store/key").await;
    let expected = format!(
        "there is no socket of a pluggable component \"mine\" in {}",
        world.sockets.path().display()
    );
    let message = absent.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&expected), "{message}");

    let secret = BTreeMap::from([("user".to_owned(), "shop".to_owned())]);
    let settings = Settings {
        secrets: BTreeMap::from([("db".to_owned(), secret)]),
        ..Settings::default()
    };
    let first = world.process("mine", settings.clone());
    assert_eventually!(world.save("store", "key", "1").await.status == StatusCode::NO_CONTENT);
    assert_eventually!(world.get("/v1.0/secrets/secrets/db").await.status == StatusCode::OK);
    let secrets = world.get("/v1.0/secrets/secrets/bulk").await.json();
    assert_eq!(secrets, json!({ "db": { "user": "shop" } }));
    let capabilities = json!(["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"]);
    assert_eq!(world.capabilities("store").await, Some(capabilities));
    let given = BTreeMap::from([("place".to_owned(), "here".to_owned())]);
    assert_eq!(first.properties("store"), Some(given));

    first.kill();
    let away = world.get("/v1.0/state/store/key").await;
    assert_eq!(away.status, StatusCode::INTERNAL_SERVER_ERROR);
    let second = world.process("mine", settings);
    assert_eventually!(world.reads("store", "key", "1").await);
    let mut inits = second.inits();
    inits.dedup();
    assert_eq!(inits, ["store"], "it was initialised before it was asked");
}

#[tokio::test]
async fn a_hanging_socket_holds_up_no_other() {
    let components = [
        ("good", "state.good"),
        ("bad", "state.bad"),
        ("local", "state.in-memory"),
    ];
    let mut sockets = None;
    let prepare = async |folder: &Path| {
        // It listens, and never answers.
        let hanging = UnixListener::bind(socket(folder, "bad")).unwrap();
        let good = Process::start(&socket(folder, "good"), Settings::default()).unwrap();
        sockets = Some((hanging, good));
    };
    let world = World::start(&components, prepare).await;
    for store in ["good", "local"] {
        let saved = world.save(store, "key", "1").await;
        assert_eq!(
            saved.status,
            StatusCode::NO_CONTENT,
            "{store}: {}",
            saved.text()
        );
    }
    let refused = world.get("/v1.0/state/bad/key").await;
    let text = refused.text();
    assert!(
        text.contains("bad.sock cannot be used: it did not say within"),
        "{text}"
    );

    drop(sockets.take().unwrap().0);
    let _process = world.process("bad", Settings::default());
    assert_eventually!(world.save("bad", "key", "1").await.status == StatusCode::NO_CONTENT);
}

/// As a component answers that decides what applications see.
fn custom() -> Status {
    let said = [("kit_error", "true"), ("http_code", "507"), ("tag", "TAG")];
    let info = ErrorInfo {
        reason: "REASON".to_owned(),
        domain: "domain".to_owned(),
        metadata: said
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    with_details(Code::DataLoss, "gone", vec![pack(&info)])
}

#[tokio::test]
async fn a_component_decides_how_its_failures_are_answered() {
    let mut process = None;
    let prepare = async |folder: &Path| {
        let settings = Settings {
            failure: Some(custom()),
            ..Settings::default()
        };
        process = Some(Process::start(&socket(folder, "mine"), settings).unwrap());
    };
    let world = World::start(&[("store", "state.mine")], prepare).await;
    let read = world.get("/v1.0/state/store/key").await;
    assert_eq!(read.status.as_u16(), 507);
    let text = "fail to get key from state store store: api error: code = DataLoss desc = gone";
    let expected = json!({ "errorCode": "ERR_STATE_GET", "message": text });
    assert_eq!(read.json(), expected);

    let address = format!("http://{}", world.daprd.grpc_address());
    let mut client = DaprClient::connect(address).await.unwrap();
    let one = GetStateRequest {
        store_name: "store".to_owned(),
        key: "key".to_owned(),
        ..GetStateRequest::default()
    };
    let many = GetBulkStateRequest {
        store_name: "store".to_owned(),
        keys: vec!["key".to_owned(), "other".to_owned()],
        ..GetBulkStateRequest::default()
    };
    let statuses = [
        client.get_state(one).await.unwrap_err(),
        client.get_bulk_state(many).await.unwrap_err(),
    ];
    for status in statuses {
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "gone"));
        assert_eq!(details_of(&status).len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_is_as_long_as_the_component_says() {
    let mut process = None;
    let prepare = async |folder: &Path| {
        let settings = Settings {
            max_operations: 1,
            ..Settings::default()
        };
        process = Some(Process::start(&socket(folder, "mine"), settings).unwrap());
    };
    let world = World::start(&[("store", "state.mine")], prepare).await;
    let upsert =
        |key: &str| json!({ "operation": "upsert", "request": { "key": key, "value": 1 } });
    let url = world.daprd.url("/v1.0/state/store/transaction");
    for (operations, status) in [
        (vec![upsert("a")], StatusCode::NO_CONTENT),
        (vec![upsert("a"), upsert("b")], StatusCode::BAD_REQUEST),
    ] {
        let body = json!({ "operations": operations }).to_string();
        let answer = Client::host().post(&url, &body).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}
