//! Starting a node and waiting until it runs pods.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::time::Instant;

use super::config;
use super::layout::{NAME, NodeDir};
use super::record::Record;
use super::requirements;
use super::supervisor::down;
use crate::eventually::{PATIENCE, try_within};
use crate::images::Image;
use crate::kube::Kube;
use crate::network::Network;
use crate::process::Log;
use crate::programs;
use crate::state_dir::StateDir;

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// No longer than the process that starts it, however that ends.
    OfStarter,
    /// Until it is told to end ([`down`]).
    UntilDown,
}

/// A running node. With [`Lifetime::OfStarter`] it is ended on drop, and no trace of it is left.
#[derive(Debug)]
pub struct Node {
    dir: NodeDir,
    kube: Kube,
    init: u32,
    _supervisor: Supervisor,
}

/// Holds the pipe whose end tells the supervisor that its starter is gone.
#[derive(Debug)]
struct Supervisor {
    child: Child,
    lifetime: Lifetime,
}

impl Node {
    /// Starts a node in this directory with these images, and waits until it is Ready and resolves names. `say` is
    /// called with each step.
    ///
    /// # Errors
    /// If something is missing, or a step fails; the text has the end of the log that matters. The node is then ended
    /// for [`Lifetime::OfStarter`], and left for the caller to look at otherwise.
    pub async fn start(
        dir: NodeDir,
        lifetime: Lifetime,
        images: &[Image],
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Self> {
        requirements::check()?;
        config::write(&dir)?;
        for (number, image) in images.iter().enumerate() {
            say(&format!("packing image {}", image.name()));
            image.write(&dir.images().join(format!("{number}.tar")))?;
        }
        say("starting the API server and containerd, loading images");
        let supervisor = Supervisor::spawn(&dir, lifetime)?;
        let init = wait_for_mark(&dir).await?;
        let network = Network::OfProcess(init);
        let kube = Kube::new(dir.kubeconfig(), dir.join("tmp"), network);
        say("waiting for the node to be Ready");
        kube.try_apply(config::COREDNS).await?;
        wait_for_node(&dir, &kube).await?;
        say("waiting for the cluster's DNS");
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        let arguments = [
            "rollout",
            "status",
            "-n",
            "kube-system",
            "deployment/coredns",
            &timeout,
        ];
        kube.try_kubectl(&arguments).await?;
        Ok(Self {
            dir,
            kube,
            init,
            _supervisor: supervisor,
        })
    }

    /// The administrator's handle on its API.
    pub fn kube(&self) -> &Kube {
        &self.kube
    }

    /// Its directory.
    pub fn dir(&self) -> &NodeDir {
        &self.dir
    }

    /// Its process 1, as the machine sees it.
    pub fn init(&self) -> u32 {
        self.init
    }
}

impl NodeDir {
    /// The handle on the API of the node that runs here.
    ///
    /// # Errors
    /// If none does.
    pub fn kube(&self) -> Result<Kube> {
        let record = Record::read(self)?;
        let running = record.outer.filter(|outer| outer.is_alive());
        let init = running
            .and(record.init)
            .with_context(|| format!("the node in {} does not run", self.path().display()))?;
        let home = self.join("tmp");
        Ok(Kube::new(self.kubeconfig(), home, Network::OfProcess(init)))
    }

    /// Makes an image known to the node that runs here.
    ///
    /// # Errors
    /// If none does, or the image cannot be read.
    pub async fn load(&self, image: &Image) -> Result<()> {
        let archive = tempfile::Builder::new()
            .suffix(".tar")
            .tempfile_in(self.join("tmp"))?
            .into_temp_path();
        image.write(&archive)?;
        self.import(&archive).await
    }

    /// Makes the images of an archive (OCI, or what `docker save` writes) known to the node that runs here.
    ///
    /// # Errors
    /// If none does, or the archive cannot be read.
    pub async fn import(&self, archive: &Path) -> Result<()> {
        let Network::OfProcess(init) = self.kube()?.network() else {
            bail!("a node has a network of its own");
        };
        let target = init.to_string();
        let enter = ["-t", &target, "--mount", "--pid", "--net", "--"].map(OsStr::new);
        // Inside, the machine's /tmp may be covered; the node's directory never is.
        let inside = self
            .join("tmp")
            .join(format!("import-{}.tar", std::process::id()));
        fs::copy(archive, &inside).with_context(|| archive.display().to_string())?;
        let output = tokio::process::Command::new(programs::system("nsenter")?)
            .args(enter)
            .arg(programs::system("ctr")?)
            .args(["--namespace", "k8s.io", "images", "import", "--no-unpack"])
            .arg(&inside)
            .output()
            .await?;
        fs::remove_file(&inside)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("importing {}: {}", archive.display(), stderr.trim());
        }
        Ok(())
    }
}

impl Supervisor {
    /// In a session of its own: neither Ctrl-C nor a closed terminal reaches the node.
    fn spawn(dir: &NodeDir, lifetime: Lifetime) -> Result<Self> {
        let log = Log::at(dir.log("supervisor")).open()?;
        let mut command = Command::new(programs::system("setsid")?);
        command
            .arg(programs::node()?)
            .arg("supervise")
            .arg(dir.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        match lifetime {
            Lifetime::OfStarter => command.arg("--until-eof").stdin(Stdio::piped()),
            Lifetime::UntilDown => command.stdin(Stdio::null()),
        };
        let child = command.spawn().context("starting the node's supervisor")?;
        Ok(Self { child, lifetime })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::OfStarter {
            drop(self.child.stdin.take());
            if let Err(error) = self.child.wait() {
                eprintln!("waiting for the node's end: {error}");
            }
        }
    }
}

/// Waits until process 1 says that the API answers and the images are there; gives its id.
async fn wait_for_mark(dir: &NodeDir) -> Result<u32> {
    let deadline = Instant::now() + PATIENCE * 2;
    let outcome = try_within(deadline - Instant::now(), async || {
        if let Ok(reason) = fs::read_to_string(dir.failed_mark()) {
            return Ok(Err(anyhow!("the node {reason}")));
        }
        let init = Record::read(dir).ok().and_then(|record| record.init);
        match init {
            Some(init) if dir.ready_mark().exists() => Ok(Ok(init)),
            _ => Err("the API server or the images are not ready"),
        }
    })
    .await;
    outcome
        .map_err(|last| anyhow!(last))
        .flatten()
        .with_context(|| {
            format!(
                "logs in {}:\n{}",
                dir.join("log").display(),
                tails(dir, &["supervisor", "node", "kube-apiserver"])
            )
        })
}

async fn wait_for_node(dir: &NodeDir, kube: &Kube) -> Result<()> {
    let what = format!("node/{NAME}");
    let arguments = ["wait", "--for=condition=Ready", &what, "--timeout=1s"];
    let outcome = try_within(PATIENCE * 2, async || {
        if let Ok(reason) = fs::read_to_string(dir.failed_mark()) {
            return Ok(Err(anyhow!("the node {reason}")));
        }
        let ready = kube.try_kubectl(&arguments).await;
        ready.map(|_| Ok(())).map_err(|error| format!("{error:#}"))
    })
    .await;
    outcome
        .map_err(|last| anyhow!(last))
        .flatten()
        .with_context(|| tails(dir, &["node", "kubelet", "containerd"]))
}

fn tails(dir: &NodeDir, programs: &[&str]) -> String {
    let tail = |name: &&str| format!("--- {name}:\n{}", Log::at(dir.log(name)).tail(12));
    programs.iter().map(tail).collect::<Vec<_>>().join("\n")
}

/// Removes what killed starters and supervisors have left of nodes of this kind of directory.
///
/// # Errors
/// If something of one cannot be removed.
pub fn sweep(kind: &str) -> Result<()> {
    for stale in StateDir::stale(kind) {
        down(&NodeDir::at(stale.path())?)?;
    }
    Ok(())
}
