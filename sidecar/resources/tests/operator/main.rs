//! Resources from an operator that speaks real gRPC.

mod changes;
mod configuration;
mod first_load;
mod kinds;
mod reports;
mod support;

use std::time::Duration;

/// How long anything may take to happen.
const SOON: Duration = Duration::from_secs(20);
