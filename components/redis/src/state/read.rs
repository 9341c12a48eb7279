//! Reading one key.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::{ErrorKind, RedisError, RedisResult, Script};
use bytes::Bytes;
use jiff::Timestamp;
use trilby_components::state::Item;

use super::layout::{Documents, Layout};
use crate::connection::Connection;

static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));

/// What there is at a key.
struct Found {
    value: Option<Bytes>,
    version: Option<String>,
    /// In milliseconds; negative for none.
    ttl: i64,
}

/// Value and version of a hash, and its expiry.
type Members = ((Option<Bytes>, Option<String>), i64);

/// Whatever its layout is; `wanted` is tried first.
pub(super) async fn read(
    key: &str,
    wanted: Layout,
    documents: Documents,
    connection: Connection,
) -> RedisResult<Option<Item>> {
    match wanted {
        Layout::Hash => read_hash(key, documents, connection).await,
        Layout::Document => read_any(key, connection).await,
    }
}

/// One exchange. The two commands are not atomic: a write in between can only make the expiry newer than
/// the value.
async fn read_hash(
    key: &str,
    documents: Documents,
    mut connection: Connection,
) -> RedisResult<Option<Item>> {
    let mut pipe = ::redis::pipe();
    pipe.cmd("HMGET").arg(key).arg("data").arg("version");
    pipe.cmd("PTTL").arg(key);
    let answer: RedisResult<Members> = pipe.query_async(&mut connection).await;
    match answer {
        Err(error) if is_wrong_type(&error) => match documents {
            Documents::Never => read_string(key, connection).await,
            Documents::WhereAsked | Documents::Always => read_any(key, connection).await,
        },
        Err(error) => Err(error),
        Ok(((None, None), _)) => Ok(None),
        Ok(((value, version), ttl)) => hash(
            key,
            Found {
                value,
                version,
                ttl,
            },
        ),
    }
}

/// A value that was written without Dapr, or by a very old one.
async fn read_string(key: &str, mut connection: Connection) -> RedisResult<Option<Item>> {
    let mut pipe = ::redis::pipe();
    pipe.cmd("GET").arg(key).cmd("PTTL").arg(key);
    let (value, ttl): (Option<Bytes>, i64) = pipe.query_async(&mut connection).await?;
    Ok(value.map(|value| item(value, None, ttl)))
}

/// In any layout, as one script.
async fn read_any(key: &str, mut connection: Connection) -> RedisResult<Option<Item>> {
    type Answer = Option<(String, Option<Bytes>, Option<String>, i64)>;
    let answer: Answer = READ.key(key).invoke_async(&mut connection).await?;
    let Some((layout, value, version, ttl)) = answer else {
        return Ok(None);
    };
    let found = Found {
        value,
        version,
        ttl,
    };
    match layout.as_str() {
        "hash" => hash(key, found),
        "document" => document(key, found),
        _ => Ok(found.value.map(|value| item(value, None, ttl))),
    }
}

fn hash(key: &str, found: Found) -> RedisResult<Option<Item>> {
    match (found.value, found.version) {
        (Some(value), Some(version)) => Ok(Some(item(value, Some(version), found.ttl))),
        _ => Err(unreadable(format!(
            "the hash at {key:?} lacks one of the fields data and version"
        ))),
    }
}

/// As upstream, one without version is a value without etag.
fn document(key: &str, found: Found) -> RedisResult<Option<Item>> {
    let Some(value) = found.value else {
        let reason = format!("the JSON document at {key:?} lacks the member data");
        return Err(unreadable(reason));
    };
    Ok(Some(item(value, found.version, found.ttl)))
}

fn unreadable(reason: String) -> RedisError {
    let kind = ErrorKind::UnexpectedReturnType;
    (kind, "not a value of this store", reason).into()
}

fn is_wrong_type(error: &RedisError) -> bool {
    let errors = error.clone().into_server_errors();
    errors.is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "WRONGTYPE"))
}

/// `ttl` is in milliseconds; negative for none.
fn item(value: Bytes, etag: Option<String>, ttl: i64) -> Item {
    let left = u64::try_from(ttl).map(Duration::from_millis);
    Item {
        value,
        etag,
        expires_at: left
            .ok()
            .and_then(|left| Timestamp::now().checked_add(left).ok()),
    }
}
