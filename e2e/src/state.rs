//! State is kept in Redis, in upstream's layout.

use anyhow::Result;
use serde_json::json;

use crate::caller::{Caller, REDIS_STORE};
use crate::evidence::Evidence;
use crate::redis;
use crate::scene::{Scene, expect};

/// The second store of the examples: in the sidecar's memory.
pub const MEMORY_STORE: &str = "scratch";

/// Saves and reads a note in each store, and looks for both in Redis.
///
/// # Errors
/// If a note is not what was saved, or Redis has another layout.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let caller = Caller::of(scene).await?;
    let mut evidence = Evidence::default();
    evidence.add(kept(&caller, (REDIS_STORE, "today"), "buy milk").await?);

    let key = "caller||today";
    let kind = redis::command(scene, &["TYPE", key]).await?;
    let hash = redis::hash(scene, key).await?;
    let data = hash.get("data").map(String::as_str);
    let versioned = hash
        .get("version")
        .is_some_and(|version| version.parse::<u64>().is_ok());
    expect(
        kind == "hash" && data == Some("\"buy milk\"") && versioned,
        || format!("in Redis, {key} is a {kind} of {hash:?}"),
    )?;
    evidence.add(format!("redis-cli HGETALL '{key}': {hash:?}"));

    evidence.add(kept(&caller, (MEMORY_STORE, "tomorrow"), "gone with the sidecar").await?);
    let found = redis::command(scene, &["EXISTS", "caller||tomorrow"]).await?;
    expect(found == "0", || {
        "Redis has the other store's note".to_owned()
    })?;
    evidence.add("redis-cli EXISTS 'caller||tomorrow': 0");
    Ok(evidence)
}

async fn kept(caller: &Caller, (store, key): (&str, &str), text: &str) -> Result<String> {
    caller.save((store, key), text).await?;
    let read = caller.read(store, key).await?;
    expect(read == json!(text), || {
        format!("{store} was given {text:?} and gives {read}")
    })?;
    Ok(format!(
        "/v1.0/state/{store}/{key}: saved, and read back {read}"
    ))
}
