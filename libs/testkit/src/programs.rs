//! Where the programs are that the tests start. A missing one is an error that says how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// A directory with our own programs; without it, the directory of the running build is used.
const PRODUCT_DIR: &str = "TRILBY_BIN_DIR";
/// A directory with the programs of Kubernetes; without it, the cache of `e2e/tools.sh` is used.
const KUBERNETES_DIR: &str = "TRILBY_K8S_BIN";
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/tools.sh");
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/peers.sh");
/// Where Debian keeps the programs of PostgreSQL, in a directory a version.
const POSTGRESQL_DIR: &str = "/usr/lib/postgresql";
const CONSUL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/consul/build.sh");
/// Where Debian keeps what an ordinary user's PATH may lack.
const SYSTEM_DIRS: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/// One of our services: `sentry`, `operator`, `injector`, `placement`, `daprd`.
///
/// # Errors
/// If it is not built.
pub fn product(name: &str) -> Result<PathBuf> {
    let named = std::env::var_os(PRODUCT_DIR).map(PathBuf::from);
    built(name, named.map_or_else(build_dir, Ok)?).with_context(|| {
        format!("{name} is to be tested (its directory may be named in {PRODUCT_DIR})")
    })
}

/// The harness's own program that runs nodes: always of the running build.
///
/// # Errors
/// If it is not built.
pub fn node() -> Result<PathBuf> {
    built("testkit-node", build_dir()?)
}

fn built(name: &str, dir: PathBuf) -> Result<PathBuf> {
    existing(dir.join(name)).with_context(|| {
        let profile = dir.file_name().map(|name| name.to_string_lossy());
        let profile = match profile.as_deref() {
            Some("release") => " --release".to_owned(),
            Some("ci") => " --profile ci".to_owned(),
            _ => String::new(),
        };
        format!(
            "the program {name} is not in {}: run `cargo build{profile} --bin {name}`",
            dir.display()
        )
    })
}

/// The directory of this build's programs: tests live in `deps/` below it, programs in it.
fn build_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let dir = own.parent().context("a program is in a directory")?;
    Ok(if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir).to_owned()
    } else {
        dir.to_owned()
    })
}

/// One that `e2e/tools.sh` builds: `kube-apiserver`, `kubectl`, `etcd`, `helm`, `coredns` and so on.
///
/// # Errors
/// If they are not built.
pub fn kubernetes(name: &str) -> Result<PathBuf> {
    let dir = kubernetes_dir()?;
    existing(dir.join(name)).with_context(|| {
        format!(
            "Kubernetes' {name} is not in {}: run `e2e/tools.sh`",
            dir.display()
        )
    })
}

/// The directory of [`kubernetes`]' programs.
///
/// # Errors
/// If it cannot be computed, for instance without the Go toolchain.
pub fn kubernetes_dir() -> Result<&'static Path> {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    if let Some(dir) = DIR.get() {
        return Ok(dir);
    }
    let dir = match std::env::var_os(KUBERNETES_DIR) {
        Some(dir) => PathBuf::from(dir),
        None => ask_tools()?,
    };
    Ok(DIR.get_or_init(|| dir))
}

fn ask_tools() -> Result<PathBuf> {
    ask(TOOLS, &["--print-dir"])
}

/// The start script of a client or a server that `e2e/peers.sh` installs: `sdk/python`, `servers/collector` and so on.
///
/// # Errors
/// If it is not installed.
pub fn peer(name: &str) -> Result<PathBuf> {
    let dir = ask(PEERS, &["--print-dir", name])?;
    // The script is there before what it starts; this file is there last.
    existing(dir.join("complete"))
        .with_context(|| format!("{name} is not installed: run `e2e/peers.sh`"))?;
    existing(dir.join("run.sh"))
}

/// Consul's agent, which `e2e/consul/build.sh` builds.
///
/// # Errors
/// If it is not built.
pub fn consul() -> Result<PathBuf> {
    let dir = ask(CONSUL, &["--print-dir"])?;
    existing(dir.join("consul")).context("consul is not built: run `e2e/consul/build.sh`")
}

/// The directory that a script prints.
fn ask(script: &str, arguments: &[&str]) -> Result<PathBuf> {
    let output = Command::new(script).args(arguments).output();
    let output = output.with_context(|| format!("running {script}"))?;
    if !output.status.success() {
        bail!(
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// One that Debian installs.
///
/// # Errors
/// If it is not installed.
pub fn system(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRS.iter().map(PathBuf::from))
        .find_map(|dir| existing(dir.join(name)).ok())
        .with_context(|| {
            format!("the program {name} is not installed: run `e2e/packages.sh` as root")
        })
}

/// One of PostgreSQL's, of its newest version.
///
/// # Errors
/// If it is not installed.
pub fn postgresql(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir(POSTGRESQL_DIR).into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, dir)| dir.join("bin").join(name).is_file())
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, dir)) => existing(dir.join("bin").join(name)),
        None => system(name),
    }
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} does not exist", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_product_names_the_command_that_makes_it() {
        let error = format!("{:#}", product("no-such-service").unwrap_err());
        assert!(
            error.contains("run `cargo build --bin no-such-service`"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_system_program_names_the_script_that_installs_it() {
        let error = format!("{:#}", system("no-such-program").unwrap_err());
        assert!(error.contains("run `e2e/packages.sh`"), "{error}");
    }

    #[test]
    fn a_peer_that_does_not_exist_is_named() {
        let error = format!("{:#}", peer("sdk/cobol").unwrap_err());
        assert!(error.contains("there is no peer 'sdk/cobol'"), "{error}");
    }

    #[test]
    fn a_system_program_is_found() {
        assert!(system("sh").unwrap().is_absolute());
    }
}
