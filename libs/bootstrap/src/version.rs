//! What this build calls itself.

/// The version that Kubernetes, the CLI and the SDKs read: a Dapr version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Our own name, shown beside the version where there is room for one.
pub const PRODUCT: &str = "Trilby";

/// The text of `--build-info` in upstream's three lines, without a final newline. The commit is what the build set
/// as `TRILBY_GIT_COMMIT`.
#[must_use]
pub fn build_info() -> String {
    let commit = option_env!("TRILBY_GIT_COMMIT").unwrap_or("unknown");
    format!("Version: {VERSION}\nGit Commit: {commit}\nGit Version: {PRODUCT} {VERSION}")
}
