//! The Dapr sidecar: application-facing APIs over building blocks.
