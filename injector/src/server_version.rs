//! Whether the cluster has native sidecars, by the version of its API server.
//!
//! Asked until it has them: clusters are upgraded while the injector runs. Whoever may ask anything may ask that.

use std::time::Duration;

use kube::Client;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use trilby_grpc::Backoff;
use trilby_webhook::Complaint;

/// The first version whose nodes have them without a feature gate.
const FIRST: (u32, u32) = (1, 29);
/// Bound of asking once.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between questions.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Asks for as long as there are none. Calls `known` after the first attempt, with whatever outcome.
pub(crate) async fn follow(
    client: Client,
    native_sidecars: watch::Sender<bool>,
    known: impl FnOnce() + Send,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let mut known = Some(known);
    let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
    let mut complaint = Complaint::default();
    loop {
        let has_them = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            answer = ask(&client) => answer,
        };
        match has_them {
            Ok(has_them) => {
                complaint.settle("know the version of the API server");
                native_sidecars.send_replace(has_them);
            }
            Err(reason) => complaint.raise("cannot ask for the version of the API server", &reason),
        }
        known.take().into_iter().for_each(|known| known());
        let pause = match *native_sidecars.borrow() {
            true => Duration::MAX,
            false => pauses.pause(),
        };
        if timeout(pause, cancel.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}

async fn ask(client: &Client) -> Result<bool, String> {
    let version = timeout(TIMEOUT, client.apiserver_version()).await;
    let version = version.map_err(|_elapsed| "no answer".to_owned())?;
    let version = version.map_err(|error| error.to_string())?;
    Ok(number(&version.major)
        .zip(number(&version.minor))
        .is_some_and(|version| version >= FIRST))
}

/// Clouds write `29+`.
fn number(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|end: char| !end.is_ascii_digit());
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{FIRST, number};

    #[test]
    fn clouds_versions_are_versions() {
        assert_eq!(number("29+"), Some(29));
        assert_eq!(number("30"), Some(30));
        assert_eq!(number("x"), None);
        assert!((1, 30) >= FIRST && (1, 28) < FIRST && (2, 0) >= FIRST);
    }
}
