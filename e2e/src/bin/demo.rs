//! Shows the main path, on a Kubernetes of its own or on the one that `kubectl` points to. `e2e/demo.sh` runs it.
#![allow(clippy::print_stdout, reason = "this is a command-line program")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use tokio::time::Instant;
use trilby_e2e::images::{self, DEFAULT_REGISTRY};
use trilby_e2e::path::STEPS;
use trilby_e2e::registry;
use trilby_e2e::scene::{SYSTEM, Scene};
use trilby_testkit::Kube;
use trilby_testkit::network::Network;
use trilby_testkit::node::{self, Lifetime, Node, NodeDir};

/// The namespace of the apps on a cluster of our own: there is nobody else.
const OWN_NAMESPACE: &str = "default";
/// The namespace of the apps on somebody's cluster. Its label says that the demo made it, and all the rest.
const GUEST_NAMESPACE: &str = "trilby-demo";
const MADE_BY: &str = "trilby.io/made-by=demo";
const CRDS: &[&str] = &[
    "components.dapr.io",
    "configurations.dapr.io",
    "httpendpoints.dapr.io",
    "mcpservers.dapr.io",
    "resiliencies.dapr.io",
    "subscriptions.dapr.io",
    "workflowaccesspolicies.dapr.io",
];

/// The main path on a real Kubernetes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts what is needed, shows the path and leaves it running.
    Up {
        #[command(flatten)]
        target: Target,
        /// Seconds that went by before, for the elapsed time.
        #[arg(long, default_value_t = 0)]
        elapsed: u64,
    },
    /// Removes every trace.
    Down {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
struct Target {
    /// Which Kubernetes.
    #[arg(long, value_enum, default_value_t = Which::Own)]
    cluster: Which,
    /// Where images are pushed, for the current cluster.
    #[arg(long, default_value = "")]
    registry: String,
    /// Directory of the own cluster.
    #[arg(long, env = "TRILBY_NODE_DIR")]
    state_dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// A one-node Kubernetes in namespaces of its own.
    Own,
    /// The one that kubectl points to.
    Current,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .context("starting the runtime")
        .and_then(|runtime| match command {
            Command::Up { target, elapsed } => runtime.block_on(up(&target, elapsed)),
            Command::Down { target } => runtime.block_on(down(&target)),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells how long it all has taken.
struct Clock {
    start: Instant,
    earlier: u64,
}

impl Clock {
    fn elapsed(&self) -> String {
        let seconds = self.earlier + self.start.elapsed().as_secs();
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }

    fn say(&self, what: &str) {
        println!("      {what} ({})", self.elapsed());
    }
}

async fn up(target: &Target, earlier: u64) -> Result<()> {
    let clock = Clock {
        start: Instant::now(),
        earlier,
    };
    let scene = match target.cluster {
        Which::Own => own(target, &clock).await?,
        Which::Current => current(target, &clock).await?,
    };
    for (number, step) in STEPS.iter().enumerate() {
        println!(
            "\n{} of {}  {} ({})",
            number + 1,
            STEPS.len(),
            step.title,
            clock.elapsed()
        );
        let evidence = step.show(&scene).await.with_context(|| {
            format!(
                "line {} of {} failed: {}",
                number + 1,
                STEPS.len(),
                step.title
            )
        });
        for line in evidence
            .inspect_err(|_| println!("{}", advice(target.cluster)))?
            .lines()
        {
            println!("      {line}");
        }
    }
    println!("\nAll {} lines hold ({}).", STEPS.len(), clock.elapsed());
    println!("{}", farewell(target.cluster));
    Ok(())
}

/// A fresh cluster, in place of one that an earlier demo left.
async fn own(target: &Target, clock: &Clock) -> Result<Scene> {
    node::check_requirements()?;
    let dir = node_dir(target)?;
    if dir.kube().is_ok() {
        clock.say("removing the cluster of an earlier demo");
    }
    node::down(&dir).context("removing the cluster of an earlier demo")?;
    std::fs::create_dir_all(dir.path()).with_context(|| dir.path().display().to_string())?;
    let images = images::all(DEFAULT_REGISTRY)?;
    let say = |what: &str| println!("      {what}");
    let node = Node::start(dir, Lifetime::UntilDown, &images, &say)
        .await
        .context("the cluster does not start (`make demo-down` removes what there is of it)")?;
    clock.say("the cluster is ready");
    Ok(Scene::new(
        node.kube().clone(),
        OWN_NAMESPACE,
        DEFAULT_REGISTRY,
    ))
}

/// The cluster of the current context, with the images in a registry that it can pull from.
async fn current(target: &Target, clock: &Clock) -> Result<Scene> {
    if target.registry.is_empty() {
        bail!(
            "CLUSTER=current needs REGISTRY=<where the images are to be pushed, and pulled by the cluster>"
        );
    }
    let kube = current_kube()?;
    let version = kube.try_kubectl(&["version"]).await;
    version.context("the cluster of the current context does not answer")?;
    refuse_if_in_use(&kube).await?;
    let images = images::all(&target.registry)?;
    registry::push(&images, &|what| clock.say(what)).await?;
    let (label, value) = MADE_BY.split_once('=').context("a label has a value")?;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": GUEST_NAMESPACE, "labels": {label: value}},
    });
    kube.try_apply(&namespace.to_string()).await?;
    Ok(Scene::new(kube, GUEST_NAMESPACE, &target.registry))
}

/// A control plane that somebody relies on is not replaced, and their resources not deleted in the end.
async fn refuse_if_in_use(kube: &Kube) -> Result<()> {
    let mut arguments = vec!["get", "crd", "--ignore-not-found", "-o", "name"];
    arguments.extend(CRDS);
    let found = kube.try_kubectl(&arguments).await?;
    if !found.trim().is_empty() && !made_by_demo(kube).await {
        bail!(
            "this cluster has Dapr's resource types, and the demo did not bring them: it would replace what serves \
             them. Use another cluster; or, if nobody needs them, `helm uninstall` that Dapr and `kubectl delete crd {}`",
            CRDS.join(" ")
        );
    }
    Ok(())
}

async fn down(target: &Target) -> Result<()> {
    match target.cluster {
        Which::Own => node::down(&node_dir(target)?)?,
        Which::Current => remove_from_current().await?,
    }
    println!("demo: nothing of it is left");
    Ok(())
}

/// What [`current`] and the path have made, if they have.
async fn remove_from_current() -> Result<()> {
    let kube = current_kube()?;
    if !made_by_demo(&kube).await {
        println!("demo: the namespace {GUEST_NAMESPACE} is not there, so there was no demo");
        return Ok(());
    }
    let uninstall = [
        "uninstall",
        "dapr",
        "-n",
        SYSTEM,
        "--ignore-not-found",
        "--wait",
    ];
    kube.try_helm(&uninstall).await?;
    let mut crds = vec!["delete", "crd", "--ignore-not-found"];
    crds.extend(CRDS);
    kube.try_kubectl(&crds).await?;
    // The mark goes last: what fails can be tried again.
    for namespace in [SYSTEM, GUEST_NAMESPACE] {
        let arguments = ["delete", "namespace", namespace, "--ignore-not-found"];
        kube.try_kubectl(&arguments).await?;
    }
    Ok(())
}

async fn made_by_demo(kube: &Kube) -> bool {
    let arguments = ["get", "namespaces", "-o", "name", "-l", MADE_BY];
    let found = kube.try_kubectl(&arguments).await;
    found.is_ok_and(|names| !names.trim().is_empty())
}

fn current_kube() -> Result<Kube> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.context("HOME is not set")?;
    let kubeconfig = std::env::var_os("KUBECONFIG").map(PathBuf::from);
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    Ok(Kube::new(
        kubeconfig.unwrap_or_else(|| home.join(".kube/config")),
        caches
            .unwrap_or_else(|| home.join(".cache"))
            .join("trilby/clients"),
        Network::Host,
    ))
}

fn node_dir(target: &Target) -> Result<NodeDir> {
    NodeDir::at(std::path::absolute(&target.state_dir)?)
}

fn advice(which: Which) -> String {
    let kubectl = kubectl(which);
    format!(
        "
It is left as it is, to look at:
  {kubectl} get pods -A
  {kubectl} logs -n {SYSTEM} deployment/dapr-operator      (or dapr-sentry, dapr-sidecar-injector)
  {kubectl} logs deployment/caller -c daprd
`make demo` starts again from the beginning, `make demo-down` removes it."
    )
}

fn farewell(which: Which) -> String {
    let kubectl = kubectl(which);
    let shell = match which {
        Which::Own => {
            "\n  e2e/demo.sh shell                                   a shell with kubectl, helm and the cluster's network"
        }
        Which::Current => "",
    };
    format!(
        "
It is left running. To try next:{shell}
  {kubectl} get pods,components,configurations
  {kubectl} exec deployment/redis -- redis-cli keys '*'
  {kubectl} logs deployment/caller -c daprd
  examples/README.md                                  a tutorial with these very apps
`make demo-down` removes every trace."
    )
}

fn kubectl(which: Which) -> String {
    match which {
        Which::Own => "e2e/demo.sh kubectl".to_owned(),
        Which::Current => format!("kubectl -n {GUEST_NAMESPACE}"),
    }
}
