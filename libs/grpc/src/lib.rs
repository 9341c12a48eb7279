//! gRPC over mutual TLS with SPIFFE identities.
