//! A connection that listens to a channel, and nothing else. It is driven by whoever waits for notifications, so that one
//! who is slow holds up the server, and not this process's memory.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Channel;
use crate::connection::Target;
use crate::failure::{Failure, Kind};

/// How often a silent connection is asked whether it is still there.
const CHECK: Duration = Duration::from_secs(15);
/// Notifications that may come while something is asked.
const MOST_HEARD: usize = 1_000;

type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How such connections are made.
pub(super) struct Dial {
    config: Config,
    tls: MakeRustlsConnect,
    address: String,
    /// Of making one, and of each question.
    limit: Duration,
}

/// A connection that listens.
pub(super) struct Listening {
    client: Client,
    wire: Wire,
    limit: Duration,
    /// Payloads that came while something was asked.
    heard: VecDeque<String>,
}

impl Dial {
    pub(super) fn new(target: &Target, limit: Duration) -> Self {
        Self {
            config: target.config.clone(),
            tls: target.tls.clone(),
            address: target.address.clone(),
            limit,
        }
    }

    /// `host:port`, for messages.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Connects; what is notified from then on is heard.
    ///
    /// # Errors
    /// Why it could not.
    pub(super) async fn listen(&self, channel: &Channel) -> Result<Listening, Failure> {
        let listening = async {
            let (client, wire) = self.config.connect(self.tls.clone()).await?;
            let mut listening = Listening {
                client,
                wire,
                limit: self.limit,
                heard: VecDeque::new(),
            };
            let statement = format!("LISTEN {}", channel.quoted());
            listening.ask(&statement).await?;
            Ok(listening)
        };
        let late = || Err(late(&self.address, self.limit));
        timeout(self.limit, listening)
            .await
            .unwrap_or_else(|_| late())
    }
}

impl Listening {
    /// The next payload.
    ///
    /// # Errors
    /// The connection is gone, or silent.
    pub(super) async fn next(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(payload) = self.heard.pop_front() {
                return Ok(payload);
            }
            match timeout(CHECK, message(&mut self.wire)).await {
                Ok(message) => self.hear(message?)?,
                Err(_) => {
                    let limit = self.limit;
                    let asked = timeout(limit, self.ask("SELECT 1")).await;
                    asked.unwrap_or_else(|_| Err(late("the server", limit)))?;
                }
            }
        }
    }

    /// Carries out a statement; nobody else drives the connection.
    async fn ask(&mut self, statement: &str) -> Result<(), Failure> {
        let Self {
            client,
            wire,
            heard,
            ..
        } = self;
        let mut asking = pin!(client.batch_execute(statement));
        loop {
            tokio::select! {
                done = &mut asking => return Ok(done?),
                message = message(wire) => keep(heard, message?)?,
            }
        }
    }

    fn hear(&mut self, message: AsyncMessage) -> Result<(), Failure> {
        keep(&mut self.heard, message)
    }
}

fn keep(heard: &mut VecDeque<String>, message: AsyncMessage) -> Result<(), Failure> {
    if let AsyncMessage::Notification(notification) = message {
        if heard.len() >= MOST_HEARD {
            let reason = "more is notified than can be heard".to_owned();
            return Err(Failure::server(Kind::Lost, reason));
        }
        heard.push_back(notification.payload().to_owned());
    }
    Ok(())
}

async fn message(wire: &mut Wire) -> Result<AsyncMessage, Failure> {
    match poll_fn(|context| wire.poll_message(context)).await {
        Some(message) => Ok(message?),
        None => {
            let reason = "the server closed the connection".to_owned();
            Err(Failure::server(Kind::Lost, reason))
        }
    }
}

fn late(who: &str, limit: Duration) -> Failure {
    Failure::server(Kind::Lost, format!("{who} did not answer within {limit:?}"))
}
