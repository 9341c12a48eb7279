//! Resources from files.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_components::registry::Registry;
use trilby_resources::{Config, Environment, LoadError, Resources, Source};
use trilby_testkit::assert_eventually;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
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
            registry: Registry::in_memory(),
            kubernetes_secrets: true,
            reconcile_interval: Duration::from_secs(60),
            first_load: Duration::from_secs(20),
            environment: Environment::new(|name| {
                (name == "DENIED").then(|| "state.in-memory".into())
            }),
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
        "error loading resources: duplicate definition of Component name one (state.in-memory/v1) with \
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
