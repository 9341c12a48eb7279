//! `configuration.postgresql`: a table that the application's owner keeps, and a channel that a trigger of his notifies.
//!
//! The columns of the table are, in this order and whatever their names: key, value, version, metadata (a JSON object). Of
//! several rows of a key the one with the highest numeric version counts. Unlike upstream, metadata of a request selects
//! rows by what is in them, a notification that makes no sense is logged and nothing else, and who listens does so on a
//! connection of his own, which is made again when it is lost.

mod following;
mod listening;
mod notification;
mod settings;
mod table;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use trilby_components::configuration::{
    Beginning, Changes, ConfigurationError, ConfigurationStore, Items, Selection,
};
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;

use crate::connection::{Properties, Target};
use crate::failure::Failure;
use crate::pool::{Pool, Repeat};
use following::Following;
use listening::Dial;
pub(crate) use settings::Settings;
use settings::{Channel, NOTIFY_CHANNEL};
use table::Table;

/// Configuration in one table.
pub struct PostgresConfiguration {
    pool: Arc<Pool>,
    dial: Arc<Dial>,
    table: Table,
    /// `None` leaves it to the requests.
    channel: Option<Channel>,
}

impl PostgresConfiguration {
    /// Connects, and looks for the table.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away, refuses the login or has no such table, else what is wrong
    /// with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let settings: Settings = rest.decode()?;
        let (table, channel) = (settings.table()?, settings.channel()?);
        let limit = settings.timeout()?;
        let mut target = Target::new(&properties)?;
        if let Some(idle) = settings.idle()
            && metadata.get("connectionMaxIdleTime").is_none()
        {
            target.idle = idle;
        }
        let dial = Arc::new(Dial::new(&target, limit));
        let pool = Arc::new(Pool::new(target, limit));
        let store = Self {
            pool,
            dial,
            table,
            channel,
        };
        store.look().await?;
        Ok(store)
    }

    async fn look(&self) -> Result<(), InitError> {
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let there = self.table.is_there(&loan).await;
            loan.settle(there)
        };
        let there = self.pool.run(Repeat::Safe, attempt).await;
        let reason = match there {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let table = &self.table;
                format!("postgreSQL configuration table '{table}' does not exist")
            }
            Err(failure) => failure.reason(),
        };
        let address = self.pool.address();
        Err(InitError::Unavailable(format!(
            "PostgreSQL at {address}: {reason}"
        )))
    }

    /// That of the component, else that of the request, as upstream has it.
    fn channel(&self, selection: &Selection) -> Result<Channel, ConfigurationError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let mut named = selection.metadata.iter();
        let named = named.find(|(name, _)| name.eq_ignore_ascii_case(NOTIFY_CHANNEL));
        match named {
            Some((_, name)) if !name.is_empty() => {
                Channel::new(name).map_err(ConfigurationError::InvalidRequest)
            }
            _ => Err(ConfigurationError::InvalidRequest(format!(
                "unable to subscribe to {:?}. notifyChannel must be set in component metadata or request metadata",
                self.table.to_string()
            ))),
        }
    }
}

#[async_trait]
impl ConfigurationStore for PostgresConfiguration {
    async fn get(&self, selection: &Selection) -> Result<Items, ConfigurationError> {
        check_keys(&selection.keys)?;
        let attempt = || async {
            let loan = self.pool.lend().await?;
            let rows = self.table.rows(&loan, &selection.keys).await;
            loan.settle(rows)
        };
        let rows = self.pool.run(Repeat::Safe, attempt).await;
        let rows = rows.map_err(Failure::into_configuration)?;
        Ok(table::items(rows, selection))
    }

    async fn subscribe(
        &self,
        selection: &Selection,
        _: Beginning,
    ) -> Result<Changes, ConfigurationError> {
        let channel = self.channel(selection)?;
        let listening = self.dial.listen(&channel).await;
        let following = Following::new(
            (Arc::clone(&self.dial), Arc::clone(&self.pool)),
            (channel, selection.clone()),
            listening.map_err(Failure::into_configuration)?,
        );
        let changes = stream::unfold(following, async |mut following| {
            let change = following.next().await?;
            Some((change, following))
        });
        Ok(Box::pin(changes))
    }

    async fn close(&self) {
        self.pool.close();
    }
}

/// Upstream takes no other keys.
fn check_keys(keys: &[String]) -> Result<(), ConfigurationError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"./_".contains(&byte);
    let wrong = keys.iter().find(|key| !key.bytes().all(allowed));
    wrong.map_or(Ok(()), |key| {
        Err(ConfigurationError::InvalidRequest(format!(
            "invalid key : '{key}'"
        )))
    })
}
