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
    store.load(&Copies(documents(mark))).await.unwrap()
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
    let load = async |mark: &str| store.load(&Copies(with(mark))).await.unwrap();
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

#[tokio::test]
async fn a_replacement_that_was_cut_short_anywhere_is_finished_or_never_began() {
    for steps in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let one = load(&store, "one").await;
        let two = Documents {
            issuer: b"two".to_vec(),
            key: b"two's key".to_vec(),
            ..one.clone()
        };
        let change = [&two.key, SEPARATOR, &two.issuer].concat();
        // What a process has done that dies after so many steps.
        match steps {
            0 => fs::write(store.change().with_extension("next.new"), &change[..5]).unwrap(),
            _ => fs::write(store.change(), &change).unwrap(),
        }
        if steps > 1 {
            fs::write(&store.key, &two.key).unwrap();
        }
        if steps > 2 {
            fs::write(&store.issuer, &two.issuer).unwrap();
        }
        let expected = if steps == 0 { &one } else { &two };
        assert_eq!(load(&store, "x").await, *expected, "after {steps} steps");
        assert!(!store.change().exists());
    }
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
