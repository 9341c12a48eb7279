//! Ports of the sidecar.

/// HTTP API.
pub const HTTP: u16 = 3500;
/// Health and metadata, reachable from outside the pod.
pub const PUBLIC: u16 = 3501;
/// gRPC API.
pub const GRPC: u16 = 50001;
/// Sidecar to sidecar, as the injector sets it.
pub const INTERNAL_GRPC: u16 = 50002;
/// Metrics.
pub const METRICS: u16 = 9090;
/// Profiling.
pub const PROFILE: u16 = 7777;
/// Debugger.
pub const DEBUG: u16 = 40000;

/// Why a text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port {0:?}: expected a number from 0 to 65535")]
pub struct PortError(String);

/// Reads a port; nothing is 0, which means "none" or "choose one", as the flag says.
///
/// # Errors
/// [`PortError`] for anything but a number up to 65535.
pub fn parse(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| PortError(text.to_owned()))
}

/// Reads the port of the profiling endpoint; -1, which `dapr run` says where nobody chose one, is the default.
///
/// # Errors
/// [`PortError`] for anything but that or a number up to 65535.
pub fn parse_profile(text: &str) -> Result<u16, PortError> {
    if text == "-1" {
        return Ok(PROFILE);
    }
    parse(text)
}
