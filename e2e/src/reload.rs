//! Components change under running apps.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::caller::{Caller, REDIS_STORE};
use crate::evidence::Evidence;
use crate::redis;
use crate::scene::{Scene, eventually, example, expect};
use crate::state::MEMORY_STORE;

const APPS: &[&str] = &["caller", "greeter", "redis"];
const NEW_PASSWORD: &str = "another-horse-another-battery";

/// The Redis store with its password in another Secret.
const ROTATED: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: redis-rotated}
stringData: {password: another-horse-another-battery}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec:
  type: state.redis
  version: v1
  metadata:
  - {name: redisHost, value: "redis:6379"}
  - {name: redisPassword, secretKeyRef: {name: redis-rotated, key: password}}
  - {name: actorStateStore, value: "true"}
"#;

/// A store that comes and goes.
const ADDED: &str = r#"
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: added}
spec: {type: state.in-memory, version: v1, metadata: []}
scopes: [caller]
"#;

/// The store in memory, changed into a Redis that is nowhere.
const BROKEN: &str = r#"
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: scratch}
spec:
  type: state.redis
  version: v1
  metadata:
  - {name: redisHost, value: "nowhere:6379"}
scopes: [caller]
"#;

/// Changes a password, adds and deletes a store, breaks one and mends it, and shows that nothing restarted.
///
/// # Errors
/// If a change does not arrive, a broken component takes the working one along, or a pod restarted.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let mut evidence = Evidence::default();
    let before = scene.lives(APPS).await?;
    let caller = Caller::of(scene).await?;
    change_password(scene, &caller, &mut evidence).await?;
    restore_password(scene, &caller, &mut evidence).await?;
    add_and_delete(scene, &caller, &mut evidence).await?;
    break_and_mend(scene, &caller, &mut evidence).await?;
    let after = scene.lives(APPS).await?;
    expect(after == before, || {
        format!("pods were replaced or restarted: {before:?}, then {after:?}")
    })?;
    evidence.add("no pod was replaced, no container restarted");
    Ok(evidence)
}

async fn change_password(scene: &Scene, caller: &Caller, evidence: &mut Evidence) -> Result<()> {
    caller.save((REDIS_STORE, "kept"), "from before").await?;
    let change = ["CONFIG", "SET", "requirepass", NEW_PASSWORD];
    redis::command(scene, &change).await?;
    hang_up(scene, NEW_PASSWORD).await?;
    let refused = eventually("the old password is refused", async || {
        match caller.read(REDIS_STORE, "kept").await {
            Err(error) => Ok(format!("{error:#}")),
            Ok(value) => bail!("the store still gives {value}"),
        }
    })
    .await?;
    evidence.add(format!(
        "new password in Redis only: {}",
        one_line(&refused)
    ));

    scene.apply(ROTATED).await?;
    readable(caller).await?;
    evidence.add("Component with the new password applied: the note is read again");
    Ok(())
}

async fn restore_password(scene: &Scene, caller: &Caller, evidence: &mut Evidence) -> Result<()> {
    let template = "-o=go-template={{.data.password | base64decode}}";
    let password = scene.kubectl(&["get", "secret/redis", template]).await?;
    let change = ["CONFIG", "SET", "requirepass", &password];
    redis::command_as(scene, NEW_PASSWORD, &change).await?;
    scene.apply(&example("components.yaml")?).await?;
    hang_up(scene, &password).await?;
    readable(caller).await?;
    scene.kubectl(&["delete", "secret/redis-rotated"]).await?;
    evidence.add("both changed back: the note is read again");
    Ok(())
}

/// Ends the connections of others: they were let in with the password of their time.
async fn hang_up(scene: &Scene, password: &str) -> Result<()> {
    let kill = ["CLIENT", "KILL", "TYPE", "normal"];
    redis::command_as(scene, password, &kill).await?;
    Ok(())
}

async fn readable(caller: &Caller) -> Result<()> {
    eventually("the note is read again", async || {
        let note = caller.read(REDIS_STORE, "kept").await?;
        expect(note == "from before", || format!("it is {note}"))
    })
    .await
}

async fn add_and_delete(scene: &Scene, caller: &Caller, evidence: &mut Evidence) -> Result<()> {
    scene.apply(ADDED).await?;
    eventually("the new store takes a note", async || {
        caller.save(("added", "key"), "value").await
    })
    .await?;
    let read = caller.read("added", "key").await?;
    expect(read == "value", || format!("the new store gives {read}"))?;
    evidence.add(format!(
        "Component added applied: saved in it, and read back {read}"
    ));

    scene.kubectl(&["delete", "component/added"]).await?;
    let gone = eventually("the store is gone", async || {
        match caller.read("added", "key").await {
            Err(error) => Ok(format!("{error:#}")),
            Ok(value) => bail!("it still gives {value}"),
        }
    })
    .await?;
    expect(gone.contains("ERR_STATE_STORE_NOT_FOUND"), || {
        format!("a deleted store is {gone}")
    })?;
    evidence.add(format!("Component added deleted: {}", one_line(&gone)));
    Ok(())
}

async fn break_and_mend(scene: &Scene, caller: &Caller, evidence: &mut Evidence) -> Result<()> {
    let note = (MEMORY_STORE, "held");
    caller.save(note, "in memory").await?;
    scene.apply(BROKEN).await?;
    let reason = eventually("the sidecar says what is wrong", async || {
        let metadata = caller.metadata().await?;
        let error = complaint(&metadata).as_str();
        Ok(error.context("no complaint about scratch")?.to_owned())
    })
    .await?;
    evidence.add(format!(
        "Component scratch broken; metadata says: {}",
        one_line(&reason)
    ));
    evidence.add(format!("log of daprd: {}", logged(scene).await?));
    let held = caller.read(MEMORY_STORE, "held").await?;
    expect(held == json!("in memory"), || {
        format!("the old store gives {held}")
    })?;
    evidence.add(format!("the store that worked still does: {held}"));

    scene.apply(&example("components.yaml")?).await?;
    eventually("the complaint is gone", async || {
        let metadata = caller.metadata().await?;
        let complaint = complaint(&metadata);
        expect(complaint.is_null(), || format!("still {complaint}"))
    })
    .await?;
    evidence.add("mended: the complaint is gone");
    Ok(())
}

fn complaint(metadata: &Value) -> &Value {
    &metadata["extended"]["component.scratch.error"]
}

/// What the sidecar's log says about the broken component.
async fn logged(scene: &Scene) -> Result<String> {
    let pod = scene.pod("caller").await?.name;
    eventually("the log names the broken component", async || {
        let log = scene.kubectl(&["logs", &pod, "-c", "daprd"]).await?;
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains("scratch") && line.contains("nowhere"));
        Ok(one_line(line.context("no such line")?))
    })
    .await
}

fn one_line(text: &str) -> String {
    const MOST: usize = 240;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
