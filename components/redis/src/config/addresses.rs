//! Where servers are, out of `redisHost` and `redisPort`.

use trilby_components::metadata::MetadataError;

use super::{DEFAULT_PORT, Properties};

/// Host and port.
pub(super) type Address = (String, u16);

/// Every address of the comma-separated `redisHost`.
pub(super) fn all(properties: &Properties) -> Result<Vec<Address>, MetadataError> {
    let hosts = properties.redis_host.split(',');
    hosts
        .map(|host| one(host.trim(), properties.redis_port))
        .collect()
}

/// For messages.
pub(super) fn written(addresses: &[Address]) -> String {
    let each = addresses
        .iter()
        .map(|(host, port)| format!("{host}:{port}"));
    each.collect::<Vec<_>>().join(", ")
}

fn one(text: &str, default: Option<u16>) -> Result<Address, MetadataError> {
    let invalid = |reason: &str| MetadataError::invalid("redisHost", reason);
    let (host, port) =
        split_port(text).map_err(|()| invalid("its port is not a number from 1 to 65535"))?;
    if host.is_empty() {
        return Err(invalid("it names no host"));
    }
    match (port, default) {
        (Some(port), Some(other)) if port != other => Err(invalid(&format!(
            "its port {port} is not redisPort, which is {other}"
        ))),
        (port, other) => Ok((host.to_owned(), port.or(other).unwrap_or(DEFAULT_PORT))),
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<u16>), ()> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => return Ok((host, None)),
        Some((host, tail)) => (host, tail.strip_prefix(':').ok_or(())?),
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => return Ok((text, None)),
            Some(split) => split,
            None => return Ok((text, None)),
        },
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(()),
    }
}
