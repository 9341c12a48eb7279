//! Workloads talk to each other without a break while the root rotates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use rustls::{ClientConnection, ServerConnection, pki_types::ServerName};
use trilby_identity::{Anchors, ClientAuth, Expect, Identity, Svid};
use trilby_testkit::services::Sentry;

use super::{Home, LIMIT, TRUST_DOMAIN};

/// Connections that are made at least.
const CONNECTIONS: usize = 10_000;

/// Between two rounds: more than this is no heavier on rotation, only on whoever else uses the machine.
const BREATH: Duration = Duration::from_millis(5);

/// A connection in memory, up to the end of its handshake on both sides.
fn shake(server: &Identity, client: &Identity) -> Result<(), rustls::Error> {
    let name = ServerName::try_from("unused.invalid").unwrap();
    let mut client = ClientConnection::new(client.client_tls(Expect::Any), name)?;
    let mut server = ServerConnection::new(server.server_tls(ClientAuth::Required))?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

/// Whether certificates have not ended: on a machine that is too busy the next ones may come too late, which says
/// nothing about rotation.
fn are_current(svids: &[Option<Arc<Svid>>]) -> bool {
    let now = SystemTime::now();
    let mut svids = svids.iter().flatten();
    svids.all(|svid| svid.not_after() > now)
}

/// Connects each with each, over and over.
fn connect_all(workloads: &[Identity], made: &AtomicUsize, done: &AtomicBool) -> Vec<String> {
    let mut failures = Vec::new();
    while !(done.load(Ordering::Relaxed) && made.load(Ordering::Relaxed) >= CONNECTIONS) {
        for server in workloads {
            for client in workloads {
                let held = [server.current(), client.current()];
                match shake(server, client) {
                    Ok(()) => {
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if are_current(&held) => failures.push(error.to_string()),
                    Err(_too_late) => {}
                }
            }
        }
        if failures.len() > 100 {
            break;
        }
        std::thread::sleep(BREATH);
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_of_ten_thousand_fails_while_the_root_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let sentry = Sentry::new();
    let configuration = sentry.file(
        "config.yaml",
        "kind: Configuration\nspec: {mtls: {workloadCertTTL: 10s, allowedClockSkew: 1m}}\n",
    );
    let mut sentry = sentry
        .arg("--config", configuration.display())
        .arg("--issuer-credentials", dir.path().display())
        .arg("--trust-domain", TRUST_DOMAIN)
        .arg("--ca-ttl", "4m")
        .arg("--issuer-ttl", "3m");
    sentry.start().await;
    let path = |name: &str| dir.path().join(name);
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    let first = read("ca.crt");
    // One learns from answers, one follows a file, and one knows for ever what it was started with, as upstream's.
    std::fs::write(path("snapshot.crt"), &first).unwrap();
    let home = Home {
        sentry: sentry.grpc_address().to_string(),
        system: "default",
        namespace: "default",
        token: None,
    };
    let workloads = [
        home.workload("learns", Anchors::Pem(first.clone())).await,
        home.workload("follows", Anchors::File(path("ca.crt")))
            .await,
        home.workload("remembers", Anchors::File(path("snapshot.crt")))
            .await,
    ];
    let identities: Vec<_> = workloads
        .iter()
        .map(|workload| workload.identity.clone())
        .collect();
    let (made, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let connecting = {
        let (made, done) = (Arc::clone(&made), Arc::clone(&done));
        let identities = identities.clone();
        std::thread::spawn(move || connect_all(&identities, &made, &done))
    };

    std::fs::write(path("rotate-root"), "1").unwrap();
    let retired = || {
        let status = read("rotation-status.yaml");
        status.starts_with("phase: retired\n") && !read("ca.crt").contains(first.trim())
    };
    trilby_testkit::assert_eventually!(retired(), LIMIT);
    let learnt = || identities[0].current_bundle().pem() == read("ca.crt");
    trilby_testkit::assert_eventually!(learnt(), LIMIT);
    done.store(true, Ordering::Relaxed);
    let failures = tokio::task::spawn_blocking(|| connecting.join().unwrap());
    assert_eq!(failures.await.unwrap(), Vec::<String>::new());
    assert!(made.load(Ordering::Relaxed) >= CONNECTIONS);
    assert_eq!(identities[2].current_bundle().pem(), first);
}
