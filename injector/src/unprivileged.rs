//! The control plane has no need of root.

use std::{fs, os::unix::fs::MetadataExt};

use trilby_go_syntax::truthy;

/// Allows root after all.
const SKIP: &str = "DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK";

/// Refuses to go on as root, unless the environment says otherwise.
///
/// # Errors
/// As root.
pub fn refuse_root(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    anyhow::ensure!(
        !root || variable(SKIP).is_some_and(|value| truthy(&value)),
        "refusing to run as root (set {SKIP}=true to allow it)"
    );
    Ok(())
}
