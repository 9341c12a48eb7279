//! TLS: who the server is, and who we are.

use trilby_components::registry::CreateError;
use trilby_testkit::ca::{Authority, Credential};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{Store, binary, create, value};

async fn connect(etcd: &Etcd, ca: &str, shown: &Credential) -> Result<Store, CreateError> {
    let endpoint = etcd.address().to_string();
    let pairs = [
        ("endpoints", endpoint.as_str()),
        ("tlsEnable", "true"),
        ("ca", ca),
        ("cert", shown.certificate.as_str()),
        ("key", shown.key.as_str()),
    ];
    create("v2", &pairs).await
}

#[tokio::test]
async fn both_sides_show_who_they_are() {
    let (authority, stranger) = (Authority::new("etcd"), Authority::new("stranger"));
    let ca = authority.certificate();
    let etcd = Etcd::with_tls(&authority.server(&["127.0.0.1"]), &ca);
    let own = authority.client("app", None);
    let store = eventually("it serves", async || connect(&etcd, &ca, &own).await).await;
    store.set(binary("key", "x")).await.unwrap();
    assert_eq!(value(&store, "key").await.unwrap(), "x");

    let unknown_server = connect(&etcd, &stranger.certificate(), &own).await;
    let error = unknown_server.err().expect("it is not of that authority");
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let unknown_client = connect(&etcd, &ca, &stranger.client("app", None)).await;
    let error = unknown_client.err().expect("the server knows it not");
    assert!(error.is_transient(), "{error}");

    let endpoint = etcd.address().to_string();
    let plain = create("v2", &[("endpoints", &endpoint)]).await;
    assert!(plain.err().expect("it takes TLS only").is_transient());
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_for_good() {
    let etcd = Etcd::stopped();
    let authority = Authority::new("etcd");
    let nonsense = Credential {
        certificate: "no PEM".to_owned(),
        key: "no PEM".to_owned(),
    };
    let refused = connect(&etcd, &authority.certificate(), &nonsense).await;
    let error = refused.err().expect("it is no certificate");
    assert!(!error.is_transient(), "{error}");
}
