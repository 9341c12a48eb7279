//! The `placement` binary.

fn main() {}
