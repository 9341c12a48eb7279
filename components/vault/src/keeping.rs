//! Keeps a token alive: asks what [`renewal`](crate::renewal) says, when it says so.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    reader::is_refused,
    renewal::{End, Lease, Outcome, Question, Renewal},
    server::{Ask, Server},
    token::{Source, Token},
};

/// How often a token's file is looked at between renewals.
const LOOK: Duration = Duration::from_secs(30);

/// Renews the token of `source` in time. Returns when there is nothing more to renew.
pub(crate) async fn keep(server: &Server, source: &Source) {
    let mut kept: Option<(Token, Renewal)> = None;
    loop {
        // A file that cannot be read leaves the token before in force; requests tell.
        if let Ok(token) = source.read().await
            && kept.as_ref().is_none_or(|(known, _)| *known != token)
        {
            kept = Some((token, Renewal::new(Instant::now())));
        }
        let next = match &mut kept {
            Some((token, renewal)) => ask_what_is_due(server, token, renewal).await,
            None => None,
        };
        let look = source.may_change().then(|| Instant::now() + LOOK);
        let Some(until) = next.into_iter().chain(look).min() else {
            return;
        };
        tokio::time::sleep_until(until).await;
    }
}

/// Gives when the next question is due.
async fn ask_what_is_due(server: &Server, token: &Token, renewal: &mut Renewal) -> Option<Instant> {
    if let Some(question) = renewal.due(Instant::now()) {
        let outcome = ask(server, question, token).await;
        let end = renewal.step(question, outcome, Instant::now(), rand::random());
        end.inspect(|end| tell(*end));
    }
    renewal.next_at()
}

async fn ask(server: &Server, question: Question, token: &Token) -> Outcome {
    let ask = match question {
        Question::LookUp => Ask::get("auth/token/lookup-self".to_owned()),
        Question::Renew => Ask::renew(),
    };
    let lease = match server.ask(&ask, token).await {
        Ok(body) => lease(question, &body),
        Err(failure) if is_refused(&failure) => return Outcome::Refused,
        Err(failure) => {
            debug!(%failure, "the token could not be looked after");
            None
        }
    };
    lease.map_or(Outcome::Away, Outcome::Known)
}

/// What Vault tells about a token: when it is looked up, or renewed.
#[derive(Deserialize)]
struct Told {
    data: Option<LookedUp>,
    auth: Option<Renewed>,
}

#[derive(Deserialize)]
struct LookedUp {
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct Renewed {
    lease_duration: u64,
    renewable: bool,
}

fn lease(question: Question, body: &Bytes) -> Option<Lease> {
    let told: Told = serde_json::from_slice(body).ok()?;
    let (seconds, renewable) = match question {
        Question::LookUp => told.data.map(|data| (data.ttl, data.renewable))?,
        Question::Renew => told
            .auth
            .map(|auth| (auth.lease_duration, auth.renewable))?,
    };
    let life = Duration::from_secs(seconds);
    Some(Lease { life, renewable })
}

fn tell(end: End) {
    match end {
        End::Lasting => debug!("the token never expires"),
        End::Unrenewable => info!("the token expires and cannot be renewed any more"),
        End::Refused(Question::LookUp) => {
            info!("the token may not look itself up: it is not renewed");
        }
        End::Refused(Question::Renew) => warn!("the server refused to renew the token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_in_two_ways() {
        let known = Some(Lease {
            life: Duration::from_secs(60),
            renewable: true,
        });
        let looked_up = br#"{"data": {"ttl": 60, "renewable": true, "id": "t"}, "auth": null}"#;
        let renewed = br#"{"data": null, "auth": {"lease_duration": 60, "renewable": true}}"#;
        assert_eq!(lease(Question::LookUp, &looked_up[..].into()), known);
        assert_eq!(lease(Question::Renew, &renewed[..].into()), known);
        assert_eq!(lease(Question::Renew, &looked_up[..].into()), None);
        assert_eq!(lease(Question::LookUp, &"no JSON".into()), None);
    }
}
