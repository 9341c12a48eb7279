use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use trilby_components::binding::{BindingError, Invocation, OutputBinding as _, Reply};
use trilby_components::metadata::Metadata;

use super::LocalStorage;

fn storage(root: &Path, extra: &[(&str, &str)]) -> LocalStorage {
    let root = root.to_str().unwrap();
    let metadata = Metadata::new([&[("rootPath", root)], extra].concat()).unwrap();
    LocalStorage::open(&metadata).unwrap()
}

async fn ask(
    storage: &LocalStorage,
    operation: &str,
    name: &str,
    data: &'static str,
) -> Result<Reply, BindingError> {
    let metadata = [("fileName".to_owned(), name.to_owned())];
    let invocation = Invocation {
        operation: operation.to_owned(),
        data: Bytes::from(data),
        metadata: metadata.into(),
    };
    storage.invoke(invocation).await
}

async fn json_of(storage: &LocalStorage, operation: &str, name: &str) -> Value {
    let reply = ask(storage, operation, name, "data!").await.unwrap();
    serde_json::from_slice(&reply.data.unwrap()).unwrap()
}

async fn content(storage: &LocalStorage, name: &str) -> Bytes {
    ask(storage, "get", name, "").await.unwrap().data.unwrap()
}

/// A root, and beside it a file that is nobody's business.
fn places() -> (TempDir, LocalStorage) {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    let storage = storage(&dir.path().join("root"), &[]);
    (dir, storage)
}

#[tokio::test]
async fn a_file_is_written_read_listed_and_deleted() {
    let (dir, storage) = places();
    let root = dir.path().join("root").canonicalize().unwrap();
    assert_eq!(json_of(&storage, "list", "").await, Value::Null);
    assert_eq!(
        json_of(&storage, "create", "b/c.txt").await,
        json!({"fileName": "b/c.txt"})
    );
    json_of(&storage, "create", "/b.txt").await;
    json_of(&storage, "create", "b/c.txt").await;
    assert_eq!(content(&storage, "b/./c.txt").await, "data!");
    let listed = json_of(&storage, "list", "").await;
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    assert_eq!(listed, json!([path("b/c.txt"), path("b.txt")]));
    assert_eq!(
        json_of(&storage, "list", "b/").await,
        json!([path("b/c.txt")])
    );
    assert_eq!(
        ask(&storage, "delete", "b/c.txt", "").await,
        Ok(Reply::default())
    );
    for operation in ["get", "delete"] {
        let gone = ask(&storage, operation, "b/c.txt", "").await.unwrap_err();
        assert_eq!(
            gone.to_string(),
            format!("file not found: {}", path("b/c.txt"))
        );
    }
    ask(&storage, "delete", "b", "").await.unwrap();
    let file = ask(&storage, "list", "b.txt", "").await.unwrap_err();
    assert!(file.to_string().contains("not a directory"), "{file}");
}

#[tokio::test]
async fn a_file_without_a_name_gets_one() {
    let (_dir, storage) = places();
    let made = json_of(&storage, "create", "").await;
    let name = made["fileName"].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(name).is_ok());
    assert_eq!(content(&storage, name).await, "data!");
}

#[tokio::test]
async fn an_old_content_leaves_nothing_behind() {
    let (_dir, storage) = places();
    ask(&storage, "create", "a", "something long")
        .await
        .unwrap();
    ask(&storage, "create", "a", "short!").await.unwrap();
    assert_eq!(content(&storage, "a").await, "short!");
}

#[tokio::test]
async fn no_name_leaves_the_root() {
    let (dir, storage) = places();
    let root = dir.path().join("root");
    let secret = dir.path().join("secret");
    symlink(&secret, root.join("absolute")).unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink("..", root.join("up")).unwrap();
    let names = [
        "../secret",
        "../../../../../../etc/passwd",
        "up/secret",
        "absolute",
        "relative",
        "a/../../secret",
        secret.to_str().unwrap(),
    ];
    for name in names {
        let read = ask(&storage, "get", name, "").await;
        assert!(
            matches!(read, Err(BindingError::Refused { .. })),
            "{name}: {read:?}"
        );
        assert!(ask(&storage, "delete", name, "").await.is_err(), "{name}");
    }
    for name in names {
        ask(&storage, "create", name, "mine!").await.unwrap();
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    // What was asked for outside is inside.
    assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "mine!");
    assert_eq!(
        fs::read_to_string(root.join("etc/passwd")).unwrap(),
        "mine!"
    );
}

/// As where a volume of Kubernetes is mounted: its files are links.
#[tokio::test]
async fn links_within_the_root_are_followed() {
    let (dir, storage) = places();
    let root = dir.path().join("root");
    fs::create_dir(root.join("..2026")).unwrap();
    fs::write(root.join("..2026/key"), "value").unwrap();
    symlink("..2026", root.join("..data")).unwrap();
    symlink("..data/key", root.join("key")).unwrap();
    assert_eq!(content(&storage, "key").await, "value");
    symlink("loop", root.join("loop")).unwrap();
    assert!(ask(&storage, "get", "loop", "").await.is_err());
}

#[tokio::test]
async fn directories_are_not_for_everybody() {
    let (dir, storage) = places();
    ask(&storage, "create", "a/b/c", "data!").await.unwrap();
    for folder in ["root", "root/a", "root/a/b"] {
        let mode = fs::metadata(dir.path().join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o027, 0, "{folder}: {mode:o}");
    }
    let file = fs::metadata(dir.path().join("root/a/b/c")).unwrap();
    assert_eq!(file.permissions().mode() & 0o022, 0);
}

#[tokio::test]
async fn base64_is_decoded_unless_it_is_to_stay() {
    let (dir, storage) = places();
    for (data, expected) in [
        ("aGVsbG8=", "hello"),
        ("\"aGVs\\nbG8=\"", "hello"),
        ("\"no base64\"", "no base64"),
        ("{\"a\":1}", "{\"a\":1}"),
        ("", ""),
        // Upstream's surprise: any four letters are Base64.
        ("four", "~\u{8b}\u{ab}"),
    ] {
        ask(&storage, "create", "a", data).await.unwrap();
        let read = content(&storage, "a").await;
        let read: String = read.iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(read, expected, "{data}");
    }
    let plain = self::storage(&dir.path().join("root"), &[("decodeBase64", "false")]);
    ask(&plain, "create", "a", "four").await.unwrap();
    assert_eq!(content(&plain, "a").await, "four");
}

#[tokio::test]
async fn the_root_stays_and_only_files_are_files() {
    let (dir, storage) = places();
    for name in ["", "/", ".", "a/.."] {
        let root = ask(&storage, "delete", name, "").await;
        assert!(root.is_err(), "{name:?}");
        assert!(ask(&storage, "get", name, "").await.is_err(), "{name:?}");
    }
    let pipe = dir.path().join("root/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    for operation in ["get", "create"] {
        let refused = ask(&storage, operation, "pipe", "data!").await;
        assert!(
            matches!(refused, Err(BindingError::Refused { .. })),
            "{operation}"
        );
    }
    assert!(ask(&storage, "get", "a\0b", "").await.is_err());
    assert!(ask(&storage, "close", "a", "").await.is_err());
    fs::remove_dir_all(dir.path().join("root")).unwrap();
    assert_eq!(
        json_of(&storage, "create", "a").await,
        json!({"fileName": "a"})
    );
}
