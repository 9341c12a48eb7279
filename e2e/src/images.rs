//! The images that the path runs, made from programs of this machine without a registry or a daemon.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use trilby_testkit::images::{self, Image};

/// The chart's default registry: a name that nobody serves. The cluster is given the images directly.
pub const DEFAULT_REGISTRY: &str = "trilby.local";

/// The five programs.
const SERVICES: &[&str] = &["operator", "injector", "sentry", "placement", "daprd"];
/// Overrides where the programs are.
const PROGRAM_DIR: &str = "TRILBY_BIN_DIR";

/// Every image of the path, named for `registry`.
///
/// # Errors
/// If a program is missing; the text says how to get it.
pub fn all(registry: &str) -> Result<Vec<Image>> {
    let programs = program_dir()?;
    let mut all = SERVICES
        .iter()
        .map(|name| service(&programs, name, registry))
        .collect::<Result<Vec<_>>>()?;
    all.push(images::redis()?.renamed(&format!("{registry}/redis:7")));
    all.push(images::python()?.renamed(&format!("{registry}/python:3")));
    Ok(all)
}

fn service(programs: &Path, name: &str, registry: &str) -> Result<Image> {
    let program = programs.join(name);
    if !program.is_file() {
        bail!("{} does not exist: run `make build`", program.display());
    }
    let tag = env!("CARGO_PKG_VERSION");
    images::service(&program, &format!("{registry}/{name}:{tag}"))
}

/// Images hold the optimised build, whatever the build of this program is: a cluster on two cores has better things to
/// do than to run unoptimised services.
fn program_dir() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM_DIR) {
        return Ok(named.into());
    }
    let own = std::env::current_exe().context("where this program is")?;
    // <target>/<profile>/demo, or <target>/<profile>/deps/<test>
    let profile = own.ancestors().skip(1).find(|dir| !dir.ends_with("deps"));
    let target = profile
        .and_then(Path::parent)
        .context("a program is in a directory")?;
    Ok(target.join("ci"))
}
