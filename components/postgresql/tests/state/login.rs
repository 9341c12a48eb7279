//! Passwords, rights and TLS.

use trilby_components::state::GetRequest;
use trilby_testkit::ca::Authority;
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::postgres::Postgres;
use trilby_testkit::state_dir::StateDir;

use crate::support::{VERSIONS, binary, create, open, string, value};

#[tokio::test]
async fn the_password_is_checked_at_start() {
    let postgres = Postgres::with_password("right one").await;
    let string = string(postgres.address());
    let with = async |pairs: &[(&str, &str)]| {
        let pairs = [&[("url", string.as_str())], pairs].concat();
        create("v2", &pairs).await
    };
    let store = with(&[("password", "right one")]).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    let refused = with(&[("password", "wrong one")]).await.err().unwrap();
    assert!(refused.is_transient(), "{refused}");
    let refused = refused.to_string();
    let expected = "password authentication failed for user \"postgres\" (SQLSTATE 28P01)";
    assert!(refused.ends_with(expected), "{refused}");
    assert!(!refused.contains("wrong one"), "{refused}");
    let refused = with(&[]).await.err().unwrap().to_string();
    assert!(refused.contains("password missing"), "{refused}");
    let refused = with(&[("password", "right one"), ("database", "none")]).await;
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("database \"none\" does not exist"),
        "{refused}"
    );
}

/// Tables were made by somebody else: reading and writing values is all that is needed then.
#[tokio::test]
async fn rights_on_the_values_are_enough() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        open(
            &postgres,
            version,
            &[("tablePrefix", "r_"), ("tableName", "r")],
        )
        .await;
    }
    postgres.sql(
        "CREATE ROLE app LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON r, r_state TO app; GRANT SELECT ON dapr_metadata TO app",
    );
    let extra = [("user", "app"), ("tablePrefix", "r_"), ("tableName", "r")];
    for version in VERSIONS {
        let store = open(&postgres, version, &extra).await;
        store.set(binary("key", "x")).await.unwrap();
        // That it may not clean is no reason not to write.
        store.set(binary("key", "x")).await.unwrap();
        assert!(value(&store, "key").await.is_some());
    }
    let string = string(postgres.address());
    let unmade = create("v2", &[("url", &string), ("user", "app")]).await;
    let unmade = unmade.err().unwrap().to_string();
    assert!(unmade.contains("permission denied"), "{unmade}");
}

/// The files of one side.
struct Files {
    dir: StateDir,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = StateDir::create("postgres-tls");
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        Self { dir }
    }

    /// A client's own, its authority, and one that is a stranger to the server.
    fn of_client(authority: &Authority, stranger: &Authority) -> Self {
        let client = authority.client("app", None);
        Self::new(&[
            ("ca", &authority.certificate()),
            ("stranger", &stranger.certificate()),
            ("cert", &client.certificate),
            ("key", &client.key),
        ])
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_servers_certificate_is_checked_and_ours_is_shown() {
    let (authority, stranger) = (Authority::new("postgres"), Authority::new("stranger"));
    let files = Files::of_client(&authority, &stranger);
    // It calls itself what it is not called by.
    let postgres =
        Postgres::with_tls(&authority.server(&["db.example"]), &authority.certificate()).await;
    let base = string(postgres.address());
    let (ca, stranger) = (files.path("ca"), files.path("stranger"));
    let own = format!(
        "sslcert={} sslkey={}",
        files.path("cert"),
        files.path("key")
    );
    let connect = async |more: &str, extra: &[(&str, &str)]| {
        let string = format!("{base} {more}");
        let pairs = [&[("connectionString", string.as_str())], extra].concat();
        create("v2", &pairs)
            .await
            .map_err(|error| error.to_string())
    };
    let shown = format!("{own} sslmode=require");
    let store = eventually("it serves", async || connect(&shown, &[]).await).await;
    assert_eq!(store.get(GetRequest::new("key")).await, Ok(None));
    let named = format!("host=db.example hostaddr=127.0.0.1 sslmode=verify-full sslrootcert={ca}");
    for (more, extra) in [
        (String::new(), &[][..]),
        (format!("sslmode=verify-ca sslrootcert={ca}"), &[]),
        (named, &[]),
        (
            "sslmode=verify-ca".to_owned(),
            &[("sslRootCert", ca.as_str())],
        ),
    ] {
        let accepted = connect(&format!("{own} {more}"), extra).await;
        assert!(accepted.is_ok(), "{more}: {:?}", accepted.err());
    }
    for (more, reason) in [
        (format!("{own} sslmode=disable"), "no pg_hba.conf entry"),
        ("sslmode=require".to_owned(), "certificate"),
        (
            format!("{own} sslmode=verify-full sslrootcert={ca}"),
            "certificate",
        ),
        (
            format!("{own} sslmode=verify-ca sslrootcert={stranger}"),
            "certificate",
        ),
        // As libpq has it, authorities that are named count.
        (
            format!("{own} sslmode=require sslrootcert={stranger}"),
            "certificate",
        ),
        (
            format!("sslmode=require sslcert={}", files.path("cert")),
            "sslkey",
        ),
    ] {
        let refused = connect(&more, &[]).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{more} is accepted"));
        assert!(refused.contains(reason), "{more}: {refused}");
    }
}
