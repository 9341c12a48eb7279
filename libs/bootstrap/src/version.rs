//! What this build calls itself.

/// The version that Kubernetes, the CLI and the SDKs read: a Dapr version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Our own name, shown beside the version where there is room for one.
pub const PRODUCT: &str = "Trilby";

/// The text of `--build-info`, without a final newline.
#[must_use]
pub fn build_info() -> String {
    format!(
        "Version: {VERSION}\nProduct: {PRODUCT}\nTarget: {}-{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
