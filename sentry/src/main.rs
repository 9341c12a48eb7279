//! The `sentry` binary.

fn main() {}
