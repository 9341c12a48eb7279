//! Resources from files.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_components::{
    RequestMetadata,
    registry::{Backend, InitError, Registry},
    secret::{Secret, SecretError, SecretStore},
    workload::{JwtIdentity, NoIdentity, WorkloadIdentity, X509Identity},
};
use trilby_resources::{Config, Environment, LoadError, Resources, Source};
use trilby_testkit::assert_eventually;

/// Manifests, and the identity of a sidecar that loads them.
struct Folder(TempDir, Option<Arc<dyn WorkloadIdentity>>);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"), None)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("the directory is writable");
    }

    fn component(&self, name: &str, kind: &str) {
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  version: v1\n"
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    async fn start(&self, configurations: &[&str]) -> Result<Sidecar, LoadError> {
        let config = Config {
            app_id: "cart".into(),
            namespace: None,
            source: Source::Disk {
                directories: vec![self.0.path().to_owned()],
                configurations: configurations.iter().map(|file| self.path(file)).collect(),
            },
            registry: Registry::in_memory().with(vec![bearer()]),
            kubernetes_secrets: true,
            reconcile_interval: Duration::from_secs(60),
            first_load: Duration::from_secs(20),
            environment: Environment::new(|name| {
                (name == "DENIED").then(|| "state.in-memory".into())
            }),
            identity: self.1.clone(),
            observer: std::sync::Arc::new(trilby_resources::Silent),
        };
        let cancel = CancellationToken::new();
        let (resources, run) = Resources::start(config, cancel.clone()).await?;
        Ok(Sidecar {
            resources,
            _running: tokio::spawn(run),
            _cancel: cancel.drop_guard(),
        })
    }
}

struct Sidecar {
    resources: Resources,
    _running: JoinHandle<()>,
    _cancel: DropGuard,
}

impl Sidecar {
    fn serves(&self, name: &str) -> bool {
        self.resources.state_store(name).is_ok()
    }

    fn error(&self, name: &str) -> Option<String> {
        let mut components = self.resources.components().into_iter();
        components.find(|info| info.name == name)?.error
    }
}

#[tokio::test]
async fn files_that_come_change_and_go_take_effect() {
    let folder = Folder::new();
    folder.component("one", "state.in-memory");
    let sidecar = folder.start(&[]).await.expect("the files are right");
    assert!(sidecar.serves("one"));
    folder.component("two", "state.in-memory");
    assert_eventually!(sidecar.serves("two"));
    folder.component("two", "state.in-memori");
    assert_eventually!(
        sidecar
            .error("two")
            .is_some_and(|why| why.contains("Did you mean"))
    );
    assert!(sidecar.serves("two"));
    fs::remove_file(folder.path("one.yaml")).expect("the file is there");
    assert_eventually!(!sidecar.serves("one"));
}

#[tokio::test]
async fn duplicates_end_the_start_and_change_nothing_later() {
    let folder = Folder::new();
    folder.component("one", "state.in-memory");
    let sidecar = folder.start(&[]).await.expect("the files are right");
    let text = fs::read_to_string(folder.path("one.yaml")).expect("the file is there");
    folder.write("copy.yaml", &text);
    let Err(error) = folder.start(&[]).await else {
        panic!("one name stands twice");
    };
    assert_eq!(
        error.to_string(),
        "failed to load components: duplicate definition of Component name one (state.in-memory/v1) with \
         existing one (state.in-memory/v1)"
    );
    assert!(sidecar.serves("one"));
}

#[tokio::test]
async fn outside_kubernetes_there_is_no_builtin_secret_store() {
    let folder = Folder::new();
    let sidecar = folder.start(&[]).await.expect("an empty folder is right");
    assert!(sidecar.resources.components().is_empty());
}

#[tokio::test]
async fn a_configuration_file_may_name_variables_and_change() {
    let folder = Folder::new();
    folder.component("one", "state.in-memory");
    folder.write(
        "settings.yml",
        "spec:\n  components:\n    deny: [\"$DENIED\"]\n",
    );
    let sidecar = folder
        .start(&["settings.yml"])
        .await
        .expect("the files are right");
    assert!(!sidecar.serves("one"));
    folder.write("settings.yml", "spec: {}\n");
    assert_eventually!(sidecar.serves("one"));
}

#[tokio::test]
async fn what_is_missing_at_start_is_named() {
    let folder = Folder::new();
    let Err(error) = folder.start(&["settings.yaml"]).await else {
        panic!("there is no such file");
    };
    let text = error.to_string();
    assert!(text.starts_with("error loading configuration: "), "{text}");
    assert!(text.contains("settings.yaml: No such file"), "{text}");
}

fn endpoint(url: &str, more: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata:\n  name: shop\nspec:\n  baseUrl: {url}\n{more}"
    )
}

impl Sidecar {
    fn urls(&self) -> Vec<String> {
        let endpoints = self.resources.http_endpoints();
        let all = endpoints.borrow();
        all.iter()
            .map(|endpoint| endpoint.spec.base_url.clone())
            .collect()
    }
}

#[tokio::test]
async fn other_kinds_come_change_and_go_as_components_do() {
    let folder = Folder::new();
    folder.write(
        "all.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: r\nspec:\n  policies:\n    timeouts:\n      t: 5s\n\
         ---\napiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata:\n  name: s\nspec:\n  pubsubname: p\n  topic: t\n  route: /r\n\
         ---\napiVersion: dapr.io/v1alpha1\nkind: MCPServer\nmetadata:\n  name: m\nspec:\n  endpoint:\n    sse:\n      url: http://m\n\
         ---\napiVersion: dapr.io/v1alpha1\nkind: WorkflowAccessPolicy\nmetadata:\n  name: w\nscopes: [cart]\n",
    );
    let sidecar = folder.start(&[]).await.expect("the files are right");
    let resources = &sidecar.resources;
    assert_eq!(
        resources.resiliencies().borrow()[0].spec.policies.timeouts["t"],
        "5s"
    );
    let routes = resources.subscriptions().borrow()[0].spec.routes.clone();
    assert_eq!(routes.default.as_deref(), Some("/r"));
    assert_eq!(resources.mcp_servers().borrow()[0].name, "m");
    assert_eq!(
        resources.workflow_access_policies().borrow()[0].scopes,
        ["cart"]
    );
    folder.write("e.yaml", &endpoint("http://one", ""));
    assert_eventually!(sidecar.urls() == ["http://one"]);
    folder.write("e.yaml", &endpoint("http://two", ""));
    assert_eventually!(sidecar.urls() == ["http://two"]);
    fs::remove_file(folder.path("e.yaml")).expect("the file is there");
    assert_eventually!(sidecar.urls().is_empty());
}

#[tokio::test]
async fn a_header_of_an_endpoint_may_stand_in_the_environment() {
    let folder = Folder::new();
    let more =
        "  headers:\n  - name: a\n    envRef: DENIED\n  - name: b\n    envRef: DAPR_API_TOKEN\n";
    folder.write("e.yaml", &endpoint("http://one", more));
    let sidecar = folder.start(&[]).await.expect("the files are right");
    let endpoints = sidecar.resources.http_endpoints();
    let headers: Vec<String> = endpoints.borrow()[0]
        .spec
        .headers
        .iter()
        .map(|header| header.text().into_owned())
        .collect();
    assert_eq!(headers, ["state.in-memory", ""]);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_a_problem_with_its_place() {
    let folder = Folder::new();
    folder.write("a.yaml", "kind: [\n");
    let sidecar = folder
        .start(&[])
        .await
        .expect("one bad document spoils nothing");
    let problem = sidecar.resources.problems().remove(0);
    assert_eq!(problem.kind, "file");
    assert!(problem.name.ends_with("a.yaml#1"), "{problem:?}");
    fs::remove_file(folder.path("a.yaml")).expect("the file is there");
    assert_eventually!(sidecar.resources.problems().is_empty());
}

#[tokio::test]
async fn without_hot_reload_a_reload_that_is_asked_for_reads_everything() {
    let folder = Folder::new();
    folder.write(
        "settings.yml",
        "spec:\n  features:\n  - name: HotReload\n    enabled: false\n",
    );
    let sidecar = folder
        .start(&["settings.yml"])
        .await
        .expect("the files are right");
    folder.component("one", "state.in-memory");
    folder.write("e.yaml", &endpoint("http://one", ""));
    assert!(!sidecar.serves("one"));
    sidecar.resources.reload();
    assert_eventually!(sidecar.serves("one") && sidecar.urls() == ["http://one"]);
    folder.write("settings.yml", "spec: {}\n");
    sidecar.resources.reload();
    fs::remove_file(folder.path("e.yaml")).expect("the file is there");
    assert_eventually!(sidecar.urls().is_empty());
}

#[tokio::test]
async fn a_component_that_fails_at_start_holds_it_up_until_it_serves() {
    let folder = Folder::new();
    folder.component("one", "state.in-memori");
    folder.write(
        "two.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: two\nspec:\n  type: state.nothing\n  version: v1\n  ignoreErrors: true\n",
    );
    let sidecar = folder
        .start(&[])
        .await
        .expect("a failing component is no error");
    let held_up = || {
        let components = sidecar.resources.components().into_iter();
        let held_up = components.filter(|info| info.holds_up_start);
        held_up.map(|info| info.name).collect::<Vec<_>>()
    };
    assert_eq!(held_up(), ["one"]);
    folder.component("one", "state.in-memory");
    assert_eventually!(held_up().is_empty());
    folder.component("one", "state.in-memori");
    assert_eventually!(sidecar.error("one").is_some());
    assert!(held_up().is_empty());
}

/// `secretstores.bearer`: has to show a token for `vault` when it is created, and shows a current one with every read.
fn bearer() -> Backend {
    Backend::secret_store("bearer", |context, _| async move {
        let away = |reason: String| InitError::Unavailable(reason);
        let identity = context.identity.ok_or_else(|| away("no identity".into()))?;
        identity
            .jwt("vault")
            .map_err(|reason| away(reason.to_string()))?;
        Ok(Arc::new(Bearer(identity)) as Arc<dyn SecretStore>)
    })
}

struct Bearer(Arc<dyn WorkloadIdentity>);

#[async_trait]
impl SecretStore for Bearer {
    async fn get(&self, name: &str, _: &RequestMetadata) -> Result<Secret, SecretError> {
        let jwt = self
            .0
            .jwt(name)
            .map_err(|reason| SecretError::Forbidden(reason.to_string()))?;
        let id = self
            .0
            .x509()
            .map_err(|reason| SecretError::Forbidden(reason.to_string()))?
            .id;
        Ok([("token".to_owned(), jwt.token), ("id".to_owned(), id)].into())
    }

    async fn bulk_get(&self, _: &RequestMetadata) -> Result<BTreeMap<String, Secret>, SecretError> {
        Ok(BTreeMap::new())
    }
}

/// Tokens for `vault` only, each different.
#[derive(Debug, Default)]
struct Renewing(AtomicU32);

impl WorkloadIdentity for Renewing {
    fn x509(&self) -> Result<X509Identity, NoIdentity> {
        Ok(X509Identity {
            id: "spiffe://public/ns/default/cart".to_owned(),
            chain: Vec::new(),
            key: Vec::new(),
        })
    }

    fn jwt(&self, audience: &str) -> Result<JwtIdentity, NoIdentity> {
        if audience != "vault" {
            return Err(NoIdentity("no JWT SVID available".to_owned()));
        }
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(JwtIdentity {
            token: format!("token {number}"),
            audiences: vec![audience.to_owned()],
        })
    }
}

#[tokio::test]
async fn a_component_shows_the_identity_that_is_in_force_at_each_call() {
    let mut folder = Folder::new();
    folder.1 = Some(Arc::new(Renewing::default()));
    folder.component("store", "secretstores.bearer");
    let sidecar = folder.start(&[]).await.expect("the files are right");
    let store = sidecar.resources.secret_store("store").expect("it serves");
    let metadata = RequestMetadata::new();
    for number in 1..3 {
        let secret = store.get("vault", &metadata).await.expect("it has a token");
        assert_eq!(secret["token"], format!("token {number}"));
        assert_eq!(secret["id"], "spiffe://public/ns/default/cart");
    }
    let refused = store
        .get("other", &metadata)
        .await
        .expect_err("there is no token for it");
    assert_eq!(refused.to_string(), "no JWT SVID available");
}

#[tokio::test]
async fn without_an_identity_a_component_that_needs_one_says_so() {
    let folder = Folder::new();
    folder.component("store", "secretstores.bearer");
    let sidecar = folder.start(&[]).await.expect("the files are right");
    let error = sidecar.error("store").expect("it does not serve");
    assert!(error.contains("no identity"), "{error}");
}
