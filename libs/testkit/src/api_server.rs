//! A real Kubernetes API without nodes: etcd, API server and controller manager, on loopback, as an ordinary user.
//!
//! Ready in about 4 s. Namespaces get their default service accounts, Deployments make pods that stay Pending, webhooks
//! are called, tokens are issued and reviewed; nothing runs a pod.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::OnceCell;

use crate::control_plane::{ApiAddress, ControlPlane, Daemon};
use crate::eventually::try_within;
use crate::kube::Kube;
use crate::network::Network;
use crate::pki::Pki;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

mod audit;

use audit::Audit;

const KIND: &str = "api";

/// How long an API server may take to start on a machine that has much else to do. One that cannot start ends sooner.
const START: Duration = Duration::from_mins(4);

/// A running API server. It derefs to [`Kube`], the administrator's handle on it. Dropped, it is gone without a trace.
#[derive(Debug)]
pub struct ApiServer {
    kube: Kube,
    url: String,
    // The order matters: fields are dropped as declared, clients before servers, the directory last.
    _controller_manager: Process,
    api_server: Process,
    plane: ControlPlane,
    audit: Audit,
    _etcd: Process,
    _ports: [Port; 4],
    dir: StateDir,
}

impl ApiServer {
    /// Starts one for the caller alone.
    ///
    /// # Panics
    /// If a program is missing or one does not come up; the message says which, with the end of its log.
    pub async fn start() -> Self {
        Self::try_start()
            .await
            .unwrap_or_else(|error| panic!("the API server did not start: {error:#}"))
    }

    /// The one that all tests of this process share; the first caller starts it. Each test makes a namespace of its own
    /// ([`Kube::namespace`]), and keeps away from what has none.
    ///
    /// # Panics
    /// As [`ApiServer::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that signed the server's, PEM.
    pub fn ca_file(&self) -> std::path::PathBuf {
        self.dir.join("pki/ca.crt")
    }

    /// As [`ApiServer::start`], and it keeps a list of what service accounts ask: [`ApiServer::requests_of`].
    ///
    /// # Panics
    /// As [`ApiServer::start`].
    pub async fn start_audited() -> Self {
        Self::try_start_with(Audit::ServiceAccounts)
            .await
            .unwrap_or_else(|error| panic!("the API server did not start: {error:#}"))
    }

    /// What a service account has asked so far, one line for each request: `list components`.
    ///
    /// # Panics
    /// If this server keeps no list.
    pub fn requests_of(&self, namespace: &str, account: &str) -> Vec<String> {
        let requests = self.audited(namespace, account).into_iter();
        requests.map(|request| request.what).collect()
    }

    /// Those of [`ApiServer::requests_of`] that the account has no right to.
    ///
    /// # Panics
    /// If this server keeps no list.
    pub fn forbidden_to(&self, namespace: &str, account: &str) -> Vec<String> {
        let requests = self.audited(namespace, account).into_iter();
        requests
            .filter(|request| request.status == 403)
            .map(|request| request.what)
            .collect()
    }

    /// Those of these rights ([`Kube::rights_of`]) that the account has not made use of so far.
    ///
    /// # Panics
    /// If this server keeps no list.
    pub fn idle_rights<'a>(
        &self,
        (namespace, account): (&str, &str),
        rights: &'a BTreeSet<String>,
    ) -> Vec<&'a String> {
        let asked = self.requests_of(namespace, account);
        let idle = rights.iter().filter(|right| !asked.contains(right));
        idle.collect()
    }

    fn audited(&self, namespace: &str, account: &str) -> Vec<audit::Request> {
        let user = format!("system:serviceaccount:{namespace}:{account}");
        audit::requests(&self.dir.join(audit::LOG), &user)
    }

    /// What admission webhooks noted in the audit log under this name, a text for each request of a service account so far.
    ///
    /// # Panics
    /// If this server keeps no list.
    pub fn audit_annotations(&self, name: &str) -> Vec<String> {
        audit::annotations(&self.dir.join(audit::LOG), name)
    }

    /// Stops the API server itself and starts it again, on the same address and data. Connections to it end.
    ///
    /// # Panics
    /// If it does not come up again.
    pub async fn restart(&mut self) {
        let outcome = self.try_restart().await;
        outcome.unwrap_or_else(|error| panic!("the API server did not start again: {error:#}"));
    }

    async fn try_restart(&mut self) -> Result<()> {
        self.api_server.kill().await;
        self.api_server = spawn_api_server(&self.plane, self.audit, self.dir.path())?;
        wait_ready(&self.kube, &mut [&mut self.api_server]).await
    }

    async fn try_start() -> Result<Self> {
        Self::try_start_with(Audit::Off).await
    }

    async fn try_start_with(audit: Audit) -> Result<Self> {
        drop(StateDir::stale(KIND));
        let dir = StateDir::create(KIND);
        let ports = [Port::free(), Port::free(), Port::free(), Port::free()];
        let url = format!("https://{}", ports[0].address());
        Pki::write(&dir.join("pki"), &url, &[])?;
        let plane = ControlPlane {
            pki: dir.join("pki"),
            data: dir.join("etcd"),
            api: ApiAddress::Loopback {
                port: ports[0].number(),
            },
            etcd_port: ports[1].number(),
            etcd_peer_port: ports[2].number(),
            controller_manager_port: ports[3].number(),
            scheduler_port: 0,
        };
        let mut etcd = spawn(&plane.etcd(), dir.path())?;
        let mut api_server = spawn_api_server(&plane, audit, dir.path())?;
        let kubeconfig = dir.join("pki/admin.kubeconfig");
        let kube = Kube::new(kubeconfig, dir.path().to_owned(), Network::Host);
        wait_ready(&kube, &mut [&mut etcd, &mut api_server]).await?;
        let mut controller_manager = spawn(&plane.controller_manager(), dir.path())?;
        wait_default_account(&kube, &mut controller_manager).await?;
        Ok(Self {
            kube,
            url,
            _controller_manager: controller_manager,
            api_server,
            plane,
            audit,
            _etcd: etcd,
            _ports: ports,
            dir,
        })
    }
}

impl Deref for ApiServer {
    type Target = Kube;

    fn deref(&self) -> &Kube {
        &self.kube
    }
}

fn spawn_api_server(plane: &ControlPlane, audit: Audit, dir: &Path) -> Result<Process> {
    let mut daemon = plane.api_server();
    daemon.arguments.extend(audit.arguments(dir)?);
    spawn(&daemon, dir)
}

fn spawn(daemon: &Daemon, dir: &Path) -> Result<Process> {
    let mut command = Command::new(programs::kubernetes(daemon.program)?);
    command.args(&daemon.arguments).current_dir(dir);
    let log = Log::at(dir.join(format!("{}.log", daemon.program)));
    Process::spawn(daemon.program, command, log)
        .with_context(|| format!("starting {}", daemon.program))
}

async fn wait_ready(kube: &Kube, processes: &mut [&mut Process]) -> Result<()> {
    wait(processes, async || {
        kube.try_kubectl(&["get", "--raw=/readyz"]).await.map(drop)
    })
    .await
}

async fn wait_default_account(kube: &Kube, controller_manager: &mut Process) -> Result<()> {
    wait(&mut [controller_manager], async || {
        kube.try_get_json("default", "serviceaccount/default")
            .await
            .map(drop)
    })
    .await
}

/// Waits until the probe succeeds, but no longer than the processes live.
async fn wait<P>(processes: &mut [&mut Process], mut probe: P) -> Result<()>
where
    P: AsyncFnMut() -> Result<()>,
{
    let outcome = try_within(START, async || {
        if processes
            .iter_mut()
            .any(|process| process.exit_status().is_some())
        {
            return Ok(Err(anyhow!("a process ended")));
        }
        probe().await.map(Ok).map_err(|error| format!("{error:#}"))
    })
    .await;
    outcome
        .map_err(|last| anyhow!(last))
        .flatten()
        .with_context(|| {
            let tails = processes.iter().map(|process| {
                format!(
                    "{}:\n{}",
                    process.log().path().display(),
                    process.log().tail(15)
                )
            });
            tails.collect::<Vec<_>>().join("\n")
        })
}
