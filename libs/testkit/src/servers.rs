//! Real servers that components and sidecars talk to, on loopback.

pub mod collector;
pub mod consul;
pub mod etcd;
pub mod kafka;
pub mod mariadb;
pub mod memcached;
pub mod mongodb;
pub mod oidc;
pub mod postgres;
pub mod prometheus;
pub mod rabbitmq;
pub mod redis;
mod server;
pub mod vault;
pub mod zipkin;
