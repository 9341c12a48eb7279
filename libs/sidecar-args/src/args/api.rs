//! Flags about the sidecar's own APIs.

use clap::ArgAction;
use trilby_go_syntax::parse_bool;

use crate::{CommaList, Quantity, QuantityError, Written, port};

/// Upstream's largest request body: 4 MiB.
const DEFAULT_BODY_SIZE: usize = 4 << 20;
/// Upstream's largest request head: 4 KiB.
const DEFAULT_READ_BUFFER: usize = 4 << 10;

/// The sidecar's own APIs.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ApiArgs {
    /// HTTP API port.
    #[arg(long, default_value = "3500", value_parser = port::parse)]
    pub dapr_http_port: u16,
    /// gRPC API port.
    #[arg(long, default_value = "50001", value_parser = port::parse)]
    pub dapr_grpc_port: u16,
    /// Sidecar-to-sidecar port; 0 chooses a stable one.
    #[arg(long, default_value = "", value_parser = port::parse)]
    pub dapr_internal_grpc_port: u16,
    /// Address of the sidecar-to-sidecar port; empty is every interface.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub dapr_internal_grpc_listen_address: String,
    /// Addresses of the HTTP and gRPC APIs; empty is every interface.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub dapr_listen_addresses: CommaList,
    /// Port of a listener with only health and metadata; 0 is none.
    #[arg(long, default_value = "", value_parser = port::parse)]
    pub dapr_public_port: u16,
    /// Address of that listener.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub dapr_public_listen_address: String,
    /// Folder of unix sockets that replace the TCP ports of both APIs.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub unix_domain_socket: String,
    /// Origins that browsers may call from; `*` is any, empty turns CORS off.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub allowed_origins: CommaList,
    /// Largest request body; wins over `--dapr-http-max-request-size`. -1 is the default.
    #[arg(long, allow_hyphen_values = true)]
    pub max_body_size: Option<Written<Quantity>>,
    /// Deprecated: largest request body in MB. -1 is the default.
    #[arg(long, allow_negative_numbers = true)]
    pub dapr_http_max_request_size: Option<i64>,
    /// Largest request head; wins over `--dapr-http-read-buffer-size`. -1 is the default.
    #[arg(long, allow_hyphen_values = true)]
    pub read_buffer_size: Option<Written<Quantity>>,
    /// Deprecated: largest request head in KB. -1 is the default.
    #[arg(long, allow_negative_numbers = true)]
    pub dapr_http_read_buffer_size: Option<i64>,
    /// Logs each API call; unset leaves it to the Configuration.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_parser = parse_bool)]
    pub enable_api_logging: Option<bool>,
}

// === impl ApiArgs ===

impl Default for ApiArgs {
    fn default() -> Self {
        Self {
            dapr_http_port: port::HTTP,
            dapr_grpc_port: port::GRPC,
            dapr_internal_grpc_port: 0,
            dapr_internal_grpc_listen_address: String::new(),
            dapr_listen_addresses: CommaList::default(),
            dapr_public_port: 0,
            dapr_public_listen_address: String::new(),
            unix_domain_socket: String::new(),
            allowed_origins: CommaList::default(),
            max_body_size: None,
            dapr_http_max_request_size: None,
            read_buffer_size: None,
            dapr_http_read_buffer_size: None,
            enable_api_logging: None,
        }
    }
}

impl ApiArgs {
    /// Largest request body in bytes.
    ///
    /// # Errors
    /// For a text that is no quantity, which the command line refuses.
    pub fn body_limit(&self) -> Result<usize, QuantityError> {
        let legacy = (self.dapr_http_max_request_size, 1 << 20);
        limit(self.max_body_size.as_ref(), legacy, DEFAULT_BODY_SIZE)
    }

    /// Largest request head in bytes.
    ///
    /// # Errors
    /// For a text that is no quantity, which the command line refuses.
    pub fn read_buffer(&self) -> Result<usize, QuantityError> {
        let legacy = (self.dapr_http_read_buffer_size, 1 << 10);
        limit(self.read_buffer_size.as_ref(), legacy, DEFAULT_READ_BUFFER)
    }
}

/// The quantity if given, else the deprecated count of units, else the default; what is below 0 is the default.
fn limit(
    quantity: Option<&Written<Quantity>>,
    (count, unit): (Option<i64>, i64),
    default: usize,
) -> Result<usize, QuantityError> {
    let bytes = match quantity {
        Some(written) => written.get()?.value(),
        None => count.unwrap_or(-1).saturating_mul(unit),
    };
    Ok(usize::try_from(bytes).unwrap_or(default))
}
