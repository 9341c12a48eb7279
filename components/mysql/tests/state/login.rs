//! Passwords, rights, sockets and TLS.

use trilby_components::state::GetRequest;
use trilby_testkit::ca::Authority;
use trilby_testkit::servers::mariadb::Mariadb;
use trilby_testkit::state_dir::StateDir;

use crate::support::{Store, binary, create, open, value};

async fn connect(string: &str, extra: &[(&str, &str)]) -> Result<Store, String> {
    let pairs = [&[("connectionString", string)], extra].concat();
    create(&pairs).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_password_is_checked_at_start_and_may_have_every_character() {
    let mariadb = Mariadb::start().await;
    let address = mariadb.address();
    for (number, password) in ["p/w@x:y", "a?b=c&d", "(x)/", "%2f ü"].iter().enumerate() {
        let user = format!("app{number}");
        mariadb.sql(&format!(
            "CREATE USER {user} IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO {user}"
        ));
        let store = connect(&format!("{user}:{password}@tcp({address})/"), &[]).await;
        let store = store.unwrap_or_else(|error| panic!("{password}: {error}"));
        store.set(binary("key", "x")).await.unwrap();
    }
    let pairs = format!("app0:wrong@tcp({address})/");
    let refused = create(&[("connectionString", &pairs)]).await.err().unwrap();
    assert!(refused.is_transient(), "{refused}");
    let refused = refused.to_string();
    assert!(
        refused.contains("Access denied for user 'app0'"),
        "{refused}"
    );
    assert!(!refused.contains("wrong"), "{refused}");
}

/// Tables were made by somebody else: reading and writing values is all that is needed then.
#[tokio::test]
async fn rights_on_the_values_are_enough() {
    let mariadb = Mariadb::start().await;
    open(&mariadb, &[]).await;
    mariadb.sql(
        "CREATE USER app; GRANT SELECT, INSERT, UPDATE, DELETE ON dapr_state_store.state TO app;
         GRANT SELECT ON dapr_state_store.dapr_metadata TO app",
    );
    let string = format!("app@tcp({})/", mariadb.address());
    let store = connect(&string, &[]).await.unwrap();
    // That it may not clean is no reason not to write.
    for _ in 0..3 {
        store.set(binary("key", "x")).await.unwrap();
    }
    assert!(value(&store, "key").await.is_some());
    for extra in [("tableName", "other"), ("schemaName", "other")] {
        let unmade = connect(&string, &[extra]).await.err().unwrap();
        assert!(unmade.contains("denied"), "{unmade}");
    }
}

#[tokio::test]
async fn a_socket_is_an_address() {
    let mariadb = Mariadb::start().await;
    let string = format!("root@unix({})/", mariadb.socket().display());
    let store = connect(&string, &[]).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    assert!(value(&store, "key").await.is_some());
}

#[tokio::test]
async fn the_servers_certificate_is_checked() {
    let (authority, stranger) = (Authority::new("mariadb"), Authority::new("stranger"));
    let dir = StateDir::create("mariadb-tls");
    let file = |name: &str, authority: &Authority| {
        let path = dir.join(name);
        std::fs::write(&path, authority.certificate()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (known, unknown) = (file("known", &authority), file("unknown", &stranger));
    let mariadb = Mariadb::with_tls(&authority.server(&["127.0.0.1"])).await;
    mariadb.sql("CREATE USER app REQUIRE SSL; GRANT ALL ON *.* TO app");
    let base = format!("app@tcp({})/?tls=", mariadb.address());
    let connect =
        async |mode: &str, extra: &[(&str, &str)]| connect(&format!("{base}{mode}"), extra).await;
    for (mode, extra) in [
        ("custom", &[("pemPath", known.as_str())][..]),
        ("skip-verify", &[]),
        ("preferred", &[]),
    ] {
        let store = connect(mode, extra).await;
        let store = store.unwrap_or_else(|error| panic!("{mode}: {error}"));
        assert_eq!(store.get(GetRequest::new("key")).await, Ok(None));
    }
    for (mode, extra, reason) in [
        ("false", &[][..], "Access denied"),
        ("true", &[], "certificate"),
        ("custom", &[("pemPath", unknown.as_str())], "certificate"),
        ("custom", &[("pemPath", "/no/such/file")], "pemPath"),
    ] {
        let refused = connect(mode, extra).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{mode} is accepted"));
        assert!(refused.contains(reason), "{mode}: {refused}");
    }
}

#[tokio::test]
async fn a_certificate_is_for_its_name_only() {
    let authority = Authority::new("mariadb");
    let dir = StateDir::create("mariadb-tls");
    let path = dir.join("known");
    std::fs::write(&path, authority.certificate()).unwrap();
    let mariadb = Mariadb::with_tls(&authority.server(&["db.example"])).await;
    let string = format!("root@tcp({})/?tls=custom", mariadb.address());
    let extra = [("pemPath", path.to_str().unwrap())];
    let refused = connect(&string, &extra).await.err().unwrap();
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_server_without_tls_is_good_enough_for_who_only_prefers_it() {
    let mariadb = Mariadb::start().await;
    let base = format!("root@tcp({})/?tls=", mariadb.address());
    let store = connect(&format!("{base}preferred"), &[]).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    let refused = connect(&format!("{base}skip-verify"), &[])
        .await
        .err()
        .unwrap();
    assert!(refused.contains("SSL"), "{refused}");
}
