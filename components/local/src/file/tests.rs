use std::fs::File;
use std::time::Duration;

use trilby_components::conformance::secret::{self as conformance, Held};

use super::*;

struct OnDisk {
    directory: tempfile::TempDir,
    /// Each version is a second older than the one before, whatever the file system's clock resolves.
    age: u64,
}

impl OnDisk {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let mut this = Self { directory, age: 0 };
        this.write(text);
        this
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("secrets.json")
    }

    fn write(&mut self, text: &str) {
        std::fs::write(self.path(), text).expect("the file can be written");
        self.age += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - self.age);
        let file = File::options().append(true).open(self.path());
        let set = file.and_then(|file| file.set_modified(modified));
        set.expect("the file's time can be set");
    }

    async fn open(&self) -> Result<FileSecrets, InitError> {
        let path = self.path().display().to_string();
        open(&[("secretsFile", &path)]).await
    }
}

async fn open(pairs: &[(&str, &str)]) -> Result<FileSecrets, InitError> {
    let metadata = Metadata::new(pairs.iter().copied()).expect("no key is twice");
    FileSecrets::open(&metadata).await
}

async fn get(store: &FileSecrets, name: &str) -> Result<Secret, SecretError> {
    store.get(name, &RequestMetadata::new()).await
}

fn secret(name: &str, value: &str) -> Secret {
    Secret::from([(name.into(), value.into())])
}

#[tokio::test]
async fn secrets_are_read_by_name_and_all_at_once() {
    let file = OnDisk::new(r#"{"a": {"b": "1"}, "c": "2"}"#);
    let store = file.open().await.expect("the file is good");
    assert_eq!(get(&store, "a:b").await, Ok(secret("a:b", "1")));
    let missing = SecretError::NotFound("secret a not found".into());
    assert_eq!(get(&store, "a").await, Err(missing));
    let all = store.bulk_get(&RequestMetadata::new()).await;
    let names: Vec<String> = all.expect("the file was read").into_keys().collect();
    assert_eq!(names, ["a:b", "c"]);
    assert!(store.capabilities().is_empty());
}

#[tokio::test]
async fn several_values_of_a_secret_are_a_capability() {
    let file = OnDisk::new(r#"{"db": {"user": "u"}}"#);
    let path = file.path().display().to_string();
    let store = open(&[("secretsFile", &path), ("multiValued", "true")]).await;
    let store = store.expect("the file is good");
    assert_eq!(get(&store, "db").await, Ok(secret("user", "u")));
    assert_eq!(store.capabilities(), [MULTIPLE_KEY_VALUES]);
}

/// Upstream reads it once.
#[tokio::test]
async fn a_changed_file_is_read_again() {
    let mut file = OnDisk::new(r#"{"key": "old"}"#);
    let store = file.open().await.expect("the file is good");
    file.write(r#"{"key": "new"}"#);
    assert_eq!(get(&store, "key").await, Ok(secret("key", "new")));
}

#[tokio::test]
async fn a_bad_version_leaves_the_last_good_one_in_force() {
    let mut file = OnDisk::new(r#"{"key": "old"}"#);
    let store = file.open().await.expect("the file is good");
    file.write("{");
    assert_eq!(get(&store, "key").await, Ok(secret("key", "old")));
    std::fs::remove_file(file.path()).expect("the file can be removed");
    assert_eq!(get(&store, "key").await, Ok(secret("key", "old")));
    file.write(r#"{"key": "mended"}"#);
    assert_eq!(get(&store, "key").await, Ok(secret("key", "mended")));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let file = OnDisk::new("[]");
    let path = file.path();
    let refused = file.open().await.expect_err("an array is not an object");
    let text = format!(
        "cannot read the secrets file {}: invalid type",
        path.display()
    );
    assert!(refused.to_string().starts_with(&text), "{refused}");
    let absent = open(&[("secretsFile", "/nowhere/secrets.json")]).await;
    assert_eq!(
        absent.expect_err("there is no such file").to_string(),
        "cannot read the secrets file /nowhere/secrets.json: No such file or directory (os error 2)"
    );
    for pairs in [&[][..], &[("secretsFile", "")]] {
        let refused = open(pairs).await.expect_err("no file is named");
        assert_eq!(
            refused.to_string(),
            "metadata property secretsFile is missing"
        );
    }
}

#[tokio::test]
async fn it_passes_the_suite() {
    let file = OnDisk::new(r#"{"a": {"b": "1"}, "c": "2", "d e?f": "3"}"#);
    let store = file.open().await.expect("the file is good");
    let single: [(&str, &[(&str, &str)]); 3] = [
        ("a:b", &[("a:b", "1")]),
        ("c", &[("c", "2")]),
        ("d e?f", &[("d e?f", "3")]),
    ];
    conformance::run(&store, &Held::new(&single)).await;
    let path = file.path().display().to_string();
    let store = open(&[("secretsFile", &path), ("multiValued", "true")]).await;
    let store = store.expect("the file is good");
    let held: [(&str, &[(&str, &str)]); 3] = [
        ("a", &[("b", "1")]),
        ("c", &[("c", "2")]),
        ("d e?f", &[("d e?f", "3")]),
    ];
    conformance::run(&store, &Held::new(&held)).await;
}
