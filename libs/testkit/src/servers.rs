//! Real servers that components talk to, on loopback.

pub mod prometheus;
pub mod redis;
