//! What became of a pod: of its app, of its sidecar, and what the app told.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use trilby_testkit::{Cluster, eventually::within};

/// More than the pods' own time to end.
const LIMIT: Duration = Duration::from_mins(4);

/// A pod whose containers have ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) app: Life,
    pub(crate) sidecar: Life,
    /// Whether the sidecar was an init container.
    pub(crate) is_native: bool,
    pub(crate) told: Told,
}

/// When a container ran. Times are Kubernetes' texts in UTC, to the second, which sort as they follow each other.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) started: String,
    pub(crate) finished: String,
    /// 137 if it was killed.
    pub(crate) exit_code: i64,
    pub(crate) restarts: u64,
    message: String,
}

/// What the app saw: a status each, or the name of an error. See `app.py`.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) first: Value,
    pub(crate) open: Value,
    pub(crate) last: Vec<Value>,
}

/// Waits for the end of both containers of a pod that was deleted.
pub(crate) async fn ended(cluster: &Cluster, name: &str) -> Ended {
    let what = format!("pod/{name}");
    let ending = format!("{name} has ended");
    within(LIMIT, &ending, async || {
        let pod = cluster.try_get_json("default", &what).await;
        let ended = pod.and_then(|pod| read(&pod));
        ended.map_err(|error| format!("{error:#}"))
    })
    .await
}

fn read(pod: &Value) -> Result<Ended> {
    let statuses = &pod["status"];
    let beside = container(&statuses["containerStatuses"], "daprd");
    let before = container(&statuses["initContainerStatuses"], "daprd");
    let app = container(&statuses["containerStatuses"], "app");
    let app = life(app.context("there is no app")?)?;
    Ok(Ended {
        is_native: before.is_some(),
        sidecar: life(before.or(beside).context("there is no sidecar")?)?,
        told: serde_json::from_str(&app.message).with_context(|| app.message.clone())?,
        app,
    })
}

fn container<'a>(statuses: &'a Value, name: &str) -> Option<&'a Value> {
    let mut statuses = statuses.as_array().into_iter().flatten();
    statuses.find(|status| status["name"] == name)
}

fn life(status: &Value) -> Result<Life> {
    let end = &status["state"]["terminated"];
    let text = |key: &str| Some(end[key].as_str()?.to_owned());
    Ok(Life {
        started: text("startedAt").with_context(|| format!("it has not ended: {status}"))?,
        finished: text("finishedAt").context("no time of its end")?,
        exit_code: end["exitCode"].as_i64().context("no exit code")?,
        restarts: status["restartCount"].as_u64().context("no restarts")?,
        message: text("message").unwrap_or_default(),
    })
}
