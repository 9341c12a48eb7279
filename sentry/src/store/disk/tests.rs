use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::store::testing::Copies;

fn documents(mark: &str) -> Documents {
    let text = |what: &str| format!("{what} {mark}").into_bytes();
    Documents {
        ca: text("ca"),
        issuer: text("issuer"),
        key: text("key"),
        root_key: Some(text("root key")),
        tokens: None,
        rotation: RotationDocuments::default(),
    }
}

fn store(dir: &Path) -> DiskStore {
    let path = |name| dir.join(name);
    DiskStore {
        ca: path("ca.crt"),
        issuer: path("issuer.crt"),
        key: path("issuer.key"),
        root_key: path("ca.key"),
        tokens: None,
    }
}

async fn load(store: &DiskStore, mark: &str) -> Documents {
    store
        .load(&Copies(documents(mark)))
        .await
        .unwrap()
        .documents
}

#[tokio::test]
async fn what_is_there_stays_and_a_missing_file_replaces_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert_eq!(load(&store, "one").await, documents("one"));
    assert_eq!(load(&store, "two").await, documents("one"));
    fs::remove_file(&store.issuer).unwrap();
    assert_eq!(load(&store, "three").await, documents("three"));
    for path in [&store.key, &store.root_key] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[tokio::test]
async fn keys_of_tokens_are_made_beside_an_authority_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    load(&store, "one").await;
    let (key, jwks) = (dir.path().join("jwt.key"), dir.path().join("jwks.json"));
    store.tokens = Some((key.clone(), jwks.clone()));
    let tokens = |mark: &str| {
        let (key, jwks) = (
            format!("key {mark}").into_bytes(),
            format!("jwks {mark}").into_bytes(),
        );
        Some(TokenDocuments { key, jwks })
    };
    let with = |mark: &str| Documents {
        tokens: tokens(mark),
        ..documents(mark)
    };
    let load = async |mark: &str| store.load(&Copies(with(mark))).await.unwrap().documents;
    let one = Documents {
        tokens: tokens("two"),
        ..documents("one")
    };
    assert_eq!(load("two").await, one);
    assert_eq!(load("three").await, one);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::remove_file(&jwks).unwrap();
    assert_eq!(
        load("four").await.tokens,
        tokens("four"),
        "half of it is nothing"
    );
}

#[tokio::test]
async fn a_renewed_issuer_replaces_the_one_that_is_there_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let one = load(&store, "one").await;
    let two = Documents {
        issuer: b"two".to_vec(),
        key: b"two's key".to_vec(),
        ..one.clone()
    };
    assert_eq!(store.replace(&two, &one).unwrap(), Replaced::Overtaken);
    assert_eq!(load(&store, "x").await, one);
    assert_eq!(store.replace(&one, &two).unwrap(), Replaced::Done);
    assert_eq!(load(&store, "x").await, two);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

/// Everything differs from `one`, and there is a rotation.
fn rotating() -> Documents {
    let text = |what: &str| format!("{what} next").into_bytes();
    Documents {
        rotation: RotationDocuments {
            record: Some(b"{}".to_vec()),
            next: Some(NewAuthority {
                anchors_pem: text("ca"),
                issuer_chain_pem: text("issuer"),
                issuer_key_pem: text("key"),
                root_key_pem: None,
            }),
        },
        root_key: None,
        ..documents("two")
    }
}

#[tokio::test]
async fn a_replacement_that_was_cut_short_anywhere_is_finished_or_never_began() {
    // Files that were written or removed before the process died; all are more than there are.
    for (from, to) in [("one", None), ("two", Some("one"))] {
        for steps in 0..12 {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path());
            let before = match from {
                "one" => documents("one"),
                _ => rotating(),
            };
            let after = to.map_or_else(rotating, documents);
            load(&store, "one").await;
            let first = documents("one");
            if before != first {
                assert_eq!(store.replace(&first, &before).unwrap(), Replaced::Done);
            }
            let change = store.describe(&after);
            match steps {
                0 => fs::write(store.change().with_extension("next.new"), &change[..5]).unwrap(),
                _ => fs::write(store.change(), &change).unwrap(),
            }
            let change: Map<String, Value> = serde_json::from_slice(&change).unwrap();
            for (name, path) in store.files().into_iter().take(steps) {
                match change.get(name) {
                    Some(content) => fs::write(&path, content.as_str().unwrap()).unwrap(),
                    None => remove(&path).unwrap(),
                }
            }
            let expected = if steps == 0 { before } else { after };
            assert_eq!(load(&store, "x").await, expected, "after {steps} steps");
            assert!(!store.change().exists());
        }
    }
}

#[tokio::test]
async fn a_rotation_is_kept_beside_the_authority_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let one = load(&store, "one").await;
    assert_eq!(store.replace(&one, &rotating()).unwrap(), Replaced::Done);
    assert_eq!(load(&store, "x").await, rotating());
    assert_eq!(
        store.replace(&one, &rotating()).unwrap(),
        Replaced::Overtaken
    );
    assert_eq!(store.replace(&rotating(), &one).unwrap(), Replaced::Done);
    assert_eq!(load(&store, "x").await, one);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[tokio::test]
async fn orders_are_files_beside_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let orders = async || {
        let loaded = store.load(&Copies(documents("one"))).await;
        loaded.unwrap().orders
    };
    assert_eq!(orders().await, Orders::default());
    fs::write(dir.path().join("rotate-root"), "2026-11-21\n").unwrap();
    fs::write(dir.path().join("rotation-paused"), "").unwrap();
    let expected = Orders {
        rotate: Some("2026-11-21".to_owned()),
        paused: true,
    };
    assert_eq!(orders().await, expected);
    fs::write(dir.path().join("rotate-root"), "").unwrap();
    assert_eq!(orders().await.rotate, None);
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let store = store(Path::new("/nonexistent"));
    let error = store.load(&Copies(documents("x"))).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot write /nonexistent/ca.key: "),
        "{text}"
    );
}
