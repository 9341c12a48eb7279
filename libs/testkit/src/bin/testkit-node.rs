//! A one-node Kubernetes from the command line: what the cluster tests use, left running for a person.
#![allow(clippy::print_stdout, reason = "this is a command-line program")]

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use trilby_testkit::images::{self, Image};
use trilby_testkit::network::Network;
use trilby_testkit::node::{self, Lifetime, Node, NodeDir};
use trilby_testkit::programs;

/// A real one-node Kubernetes in namespaces of its own, for tests and for trying things out.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the node and leaves it running.
    Up {
        #[command(flatten)]
        state: State,
        /// If it does not start, keep what there is of it, to look at the logs.
        #[arg(long, conflicts_with = "attached")]
        keep: bool,
        /// Stay until interrupted; the node ends with this program, however that ends.
        #[arg(long)]
        attached: bool,
    },
    /// Ends the node and removes every trace of it.
    Down(State),
    /// Says whether the node runs and how to use it; fails if it does not.
    Status(State),
    /// Says whether a node can run on this machine.
    Check,
    /// Runs a program in the node's network, with KUBECONFIG set.
    Exec(Program),
    /// Runs kubectl against the node.
    Kubectl(Program),
    /// Runs helm against the node.
    Helm(Program),
    /// Makes images known to the node.
    #[command(subcommand)]
    Image(ImageCommand),
    /// The process that owns a node (used by `up`).
    #[command(hide = true)]
    Supervise {
        dir: PathBuf,
        #[arg(long)]
        until_eof: bool,
    },
    /// Joins a node's cgroups and makes its namespaces (used by `supervise`).
    #[command(hide = true)]
    Enter { dir: PathBuf },
    /// Process 1 of a node (used by `enter`).
    #[command(hide = true)]
    Init { dir: PathBuf },
}

#[derive(Subcommand)]
enum ImageCommand {
    /// Loads archives: OCI, or what `docker save` writes.
    Load {
        #[command(flatten)]
        state: State,
        /// The archives.
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Packs and loads images of programs of this machine: `redis`, `python`, or `<program of ours>=<image name>`.
    Pack {
        #[command(flatten)]
        state: State,
        /// What to pack.
        #[arg(required = true)]
        images: Vec<String>,
    },
}

#[derive(Args)]
struct State {
    /// Directory of the node.
    #[arg(long, value_name = "DIR", env = "TRILBY_NODE_DIR", default_value_os_t = default_dir())]
    state_dir: PathBuf,
}

#[derive(Args)]
struct Program {
    #[command(flatten)]
    state: State,
    /// The program's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl State {
    fn dir(&self) -> Result<NodeDir> {
        NodeDir::at(std::path::absolute(&self.state_dir)?)
    }
}

fn default_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    base.or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("trilby/node")
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testkit-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Init { dir } => node::init(&NodeDir::at(dir)?),
        Command::Enter { dir } => match node::enter(&NodeDir::at(dir)?)? {},
        Command::Supervise { dir, until_eof } => supervise(dir, until_eof),
        Command::Up {
            state,
            attached: true,
            ..
        } => block_on(up_attached(state.dir()?)),
        Command::Up { state, keep, .. } => block_on(up(state.dir()?, keep)),
        Command::Down(state) => node::down(&state.dir()?),
        Command::Status(state) => block_on(status(&state.dir()?)),
        Command::Check => node::check_requirements(),
        Command::Exec(program) => exec(&program),
        Command::Kubectl(program) => client("kubectl", &program),
        Command::Helm(program) => client("helm", &program),
        Command::Image(ImageCommand::Load { state, archives }) => {
            block_on(load(&state.dir()?, &archives))
        }
        Command::Image(ImageCommand::Pack { state, images }) => {
            block_on(pack(&state.dir()?, &images))
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn supervise(dir: PathBuf, until_eof: bool) -> Result<()> {
    let lifetime = if until_eof {
        Lifetime::OfStarter
    } else {
        Lifetime::UntilDown
    };
    block_on(node::supervise(NodeDir::at(dir)?, lifetime))
}

async fn up(dir: NodeDir, keep: bool) -> Result<()> {
    if let Ok(kube) = dir.kube() {
        kube.try_kubectl(&["get", "--raw=/readyz"]).await?;
        eprintln!("node: already running in {}", dir.path().display());
        return Ok(());
    }
    match start(&dir, Lifetime::UntilDown).await {
        Ok(_) => Ok(()),
        Err(error) if keep => {
            eprintln!("node: kept in {}; `down` removes it", dir.path().display());
            Err(error)
        }
        Err(error) => {
            node::down(&dir).context("removing what was started")?;
            Err(error)
        }
    }
}

async fn up_attached(dir: NodeDir) -> Result<()> {
    match start(&dir, Lifetime::OfStarter).await {
        Ok(node) => {
            interrupted().await?;
            eprintln!("node: ending");
            drop(node);
            Ok(())
        }
        Err(error) => {
            node::down(&dir).context("removing what was started")?;
            Err(error)
        }
    }
}

/// Starts a node, saying how far it is, unless interrupted.
async fn start(dir: &NodeDir, lifetime: Lifetime) -> Result<Node> {
    node::check_requirements()?;
    node::down(dir).context("removing an earlier node")?;
    std::fs::create_dir_all(dir.path()).with_context(|| dir.path().display().to_string())?;
    let started = Instant::now();
    let say = |step: &str| eprintln!("node: {step} ({:.1} s)", started.elapsed().as_secs_f32());
    tokio::select! {
        outcome = Node::start(dir.clone(), lifetime, &[], &say) => {
            let node = outcome?;
            say("ready");
            Ok(node)
        }
        outcome = interrupted() => {
            outcome?;
            bail!("interrupted")
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => Ok(outcome?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn status(dir: &NodeDir) -> Result<()> {
    let kube = dir.kube()?;
    println!("state directory  {}", dir.path().display());
    println!("kubeconfig       {}", dir.kubeconfig().display());
    if let Network::OfProcess(init) = kube.network() {
        println!("network          nsenter -t {init} -n");
    }
    print!("{}", kube.try_kubectl(&["get", "nodes,pods", "-A"]).await?);
    Ok(())
}

/// Becomes the program, inside the node's network.
fn exec(program: &Program) -> Result<()> {
    let dir = program.state.dir()?;
    let Network::OfProcess(init) = dir.kube()?.network() else {
        bail!("a node has a network of its own");
    };
    let error = std::process::Command::new(programs::system("nsenter")?)
        .args(["-t", &init.to_string(), "--net", "--"])
        .args(&program.arguments)
        .env("KUBECONFIG", dir.kubeconfig())
        .exec();
    bail!("nsenter: {error}");
}

fn client(name: &str, program: &Program) -> Result<()> {
    let kube = program.state.dir()?.kube()?;
    let mut command = kube.command(name)?;
    command.args(&program.arguments);
    let error = command.as_std_mut().exec();
    bail!("{name}: {error}");
}

async fn load(dir: &NodeDir, archives: &[PathBuf]) -> Result<()> {
    for archive in archives {
        dir.import(archive).await?;
        eprintln!("node: loaded {}", archive.display());
    }
    Ok(())
}

async fn pack(dir: &NodeDir, names: &[String]) -> Result<()> {
    for name in names {
        let image = image(name)?;
        let started = Instant::now();
        dir.load(&image).await?;
        let took = started.elapsed().max(Duration::from_millis(1));
        eprintln!(
            "node: loaded {} ({:.1} s)",
            image.name(),
            took.as_secs_f32()
        );
    }
    Ok(())
}

fn image(name: &str) -> Result<Image> {
    match name {
        "redis" => images::redis(),
        "python" => images::python(),
        other => match other.split_once('=') {
            Some((program, image)) => images::product(program, image),
            None => bail!("{other}: expected redis, python or <program>=<image name>"),
        },
    }
}
