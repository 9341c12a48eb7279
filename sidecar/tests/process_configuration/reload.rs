//! The component changes while a subscription runs: the stream goes on with what differs, and ends with the component.

use trilby_testkit::api_server::ApiServer;
use trilby_testkit::assert_eventually;
use trilby_testkit::kube::Kube;
use trilby_testkit::servers::postgres::{Postgres, USER};
use trilby_testkit::servers::redis::Redis;

use super::{Changes, client, component, daprd, folder, write};

#[tokio::test]
async fn a_subscription_outlives_the_server_and_the_component() {
    let (mut old, new) = (Redis::start().await, Redis::start().await);
    old.command(&["MSET", "a", "1", "b", "same"]);
    new.command(&["MSET", "a", "3", "b", "same"]);
    let folder = folder(&old);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut client = client(&daprd).await;
    let mut changes = Changes::of(&mut client, &["a", "b"]).await;
    // Changed when the server is back and nobody listens yet, or hears it: either way it is told.
    old.stop().await;
    old.resume().await;
    old.command(&["SET", "a", "2"]);
    changes.until("a", "2").await;
    // The component that replaces it knows another value of one key, which alone is told.
    write(folder.path(), &new);
    let message = changes.until("a", "3").await;
    assert_eq!(message.items.len(), 1);
    new.command(&["SET", "b", "later"]);
    let message = changes.next().await.unwrap();
    assert_eq!(message.items["b"].value, "later");
    assert_eventually!(
        old.command(&["PUBSUB", "NUMSUB", "__keyspace@0__:a"])
            .ends_with('0')
    );
    std::fs::remove_file(folder.path().join("component.yaml")).unwrap();
    assert_eq!(changes.next().await, None);
}

/// Two tables, each with a trigger that tells its rows on a channel of the table's name.
const TABLES: &str = r"
    CREATE TABLE old (key varchar, value varchar, version varchar, metadata json);
    CREATE TABLE new (key varchar, value varchar, version varchar, metadata json);
    CREATE FUNCTION notify() RETURNS trigger AS $$
        BEGIN
            PERFORM pg_notify(TG_TABLE_NAME, json_build_object('data', row_to_json(NEW))::text);
            RETURN NULL;
        END;
    $$ LANGUAGE plpgsql;
    CREATE TRIGGER old AFTER INSERT ON old FOR EACH ROW EXECUTE PROCEDURE notify();
    CREATE TRIGGER new AFTER INSERT ON new FOR EACH ROW EXECUTE PROCEDURE notify();
    INSERT INTO old VALUES ('a', '1', '1'), ('b', 'same', '1');
    INSERT INTO new VALUES ('a', '3', '1'), ('b', 'same', '1');";

/// On the server of this port.
fn table(folder: &tempfile::TempDir, port: u16, name: &str) {
    let string = format!("host=127.0.0.1 port={port} user={USER} database={USER}");
    let settings = [
        ("connectionString", string.as_str()),
        ("table", name),
        ("notifyChannel", name),
    ];
    component(folder.path(), "postgresql", &settings);
}

#[tokio::test]
async fn a_subscription_to_a_table_goes_on_with_another_one() {
    let postgres = Postgres::start().await;
    postgres.sql(TABLES);
    let port = postgres.address().port();
    let folder = tempfile::tempdir().unwrap();
    table(&folder, port, "old");
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut changes = Changes::of(&mut client(&daprd).await, &["a", "b"]).await;
    postgres.sql("INSERT INTO old VALUES ('a', '2', '2')");
    changes.until("a", "2").await;
    table(&folder, port, "new");
    let message = changes.until("a", "3").await;
    assert_eq!(message.items.len(), 1, "what is the same is not told");
    // One that cannot start: nobody listens at that port. The one before goes on.
    table(&folder, 1, "old");
    assert_eventually!(daprd.log().text().contains("INIT_COMPONENT_FAILURE"));
    postgres.sql("INSERT INTO old VALUES ('b', 'unheard', '3')");
    postgres.sql("INSERT INTO new VALUES ('b', 'heard', '3')");
    let message = changes.next().await.unwrap();
    assert_eq!(message.items["b"].value, "heard");
    std::fs::remove_file(folder.path().join("component.yaml")).unwrap();
    assert_eq!(changes.next().await, None);
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    assert_eventually!(postgres.sql(listening).trim() == "0");
}

async fn patch(server: &Kube, (namespace, name): (&str, &str), data: &str) {
    let data = format!(r#"{{"data":{{{data}}}}}"#);
    let words = ["-n", namespace, "patch", "configmap", name, "-p", &data];
    server.kubectl(&words).await;
}

#[tokio::test]
async fn a_subscription_to_a_config_map_goes_on_with_another_one() {
    let server = ApiServer::shared().await;
    let namespace = &server.namespace("configuration").await;
    for name in ["old", "new"] {
        server
            .kubectl(&["-n", namespace, "create", "configmap", name])
            .await;
    }
    patch(server, (namespace, "old"), r#""a":"1","b":"same""#).await;
    patch(server, (namespace, "new"), r#""a":"3","b":"same""#).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = server.kubeconfig().display().to_string();
    let map = |name: &str| {
        let settings = [
            ("kubeconfigPath", kubeconfig.as_str()),
            ("configMapName", name),
        ];
        component(folder.path(), "kubernetes", &settings);
    };
    map("old");
    let mut daprd = daprd(&folder).env("NAMESPACE", namespace);
    daprd.start().await;
    let mut changes = Changes::of(&mut client(&daprd).await, &["a", "b"]).await;
    let message = changes.until("a", "1").await;
    assert_eq!(
        message.items.len(),
        2,
        "a new subscription is told everything"
    );
    map("new");
    let message = changes.until("a", "3").await;
    // An item's version is that of its ConfigMap: of another one, every item differs.
    assert_eq!(message.items["b"].value, "same");
    // One that cannot be: this is no name of a ConfigMap. The one before goes on.
    map("No Name");
    assert_eventually!(daprd.log().text().contains("INIT_COMPONENT_FAILURE"));
    patch(server, (namespace, "old"), r#""b":"unheard""#).await;
    patch(server, (namespace, "new"), r#""b":"heard""#).await;
    let message = changes.next().await.unwrap();
    assert_eq!(message.items["b"].value, "heard");
    std::fs::remove_file(folder.path().join("component.yaml")).unwrap();
    assert_eq!(changes.next().await, None);
}
