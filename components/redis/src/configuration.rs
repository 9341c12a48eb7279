//! `configuration.redis`, in upstream's layout: strings at their keys, `value||version`.
//!
//! Values that have `||` in them are whole, unlike upstream's: only what stands behind the last one is the version.
//! Keys that are missing, empty or no strings are left out. All keys are found by `SCAN`, which lets others through, and
//! not by `KEYS`.

mod announcing;
mod following;
mod heard;
mod item;

use std::collections::BTreeSet;
use std::sync::Arc;

use ::redis::RedisResult;
use async_trait::async_trait;
use futures_util::stream;
use trilby_components::configuration::{
    Beginning, Changes, ConfigurationError, ConfigurationStore, Items, Selection,
};
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::StateError;

use crate::config::{Config, NoSettings};
use crate::connection::Connection;
use crate::link::{Link, Repeat};
use following::Following;
use item::item;

/// Keys that one command reads at most.
const MOST_READ: usize = 500;
/// Keys that the server looks at for one answer of `SCAN`, about.
const SCANNED: u32 = 1_000;

/// Configuration in one Redis server.
pub struct RedisConfiguration {
    link: Arc<Link>,
}

impl RedisConfiguration {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses the login, else what is wrong with the
    /// metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (config, rest) = Config::split(metadata)?;
        rest.decode::<NoSettings>()?;
        let link = Link::new(config);
        if link.is_cluster() {
            let reason = "redis store: configuration in a cluster (redisType: cluster): not there yet in this sidecar";
            return Err(InitError::Invalid(reason.to_owned()));
        }
        link.once(ping).await.map_err(|error| {
            let address = link.address();
            InitError::Unavailable(format!(
                "redis store: error connecting to redis at {address}: {error}"
            ))
        })?;
        Ok(Self {
            link: Arc::new(link),
        })
    }
}

/// A user who may not ask this is welcome as well: the store itself does not need it.
async fn ping(mut connection: Connection) -> RedisResult<()> {
    let pong: RedisResult<()> = ::redis::cmd("PING").query_async(&mut connection).await;
    match pong {
        Err(error) if announcing::is_forbidden(&error) => Ok(()),
        other => other,
    }
}

#[async_trait]
impl ConfigurationStore for RedisConfiguration {
    async fn get(&self, selection: &Selection) -> Result<Items, ConfigurationError> {
        if selection.keys.is_empty() {
            return read_all(&self.link).await;
        }
        let keys = selection.keys.iter().map(|key| key.as_bytes().to_vec());
        let keys: BTreeSet<Vec<u8>> = keys.collect();
        read(&self.link, &keys.into_iter().collect::<Vec<_>>()).await
    }

    async fn subscribe(
        &self,
        selection: &Selection,
        _: Beginning,
    ) -> Result<Changes, ConfigurationError> {
        let following = Following::begin(Arc::clone(&self.link), selection.clone()).await?;
        let changes = stream::unfold(following, async |mut following| {
            let change = following.next().await?;
            Some((change, following))
        });
        Ok(Box::pin(changes))
    }

    async fn close(&self) {
        self.link.close();
    }
}

/// Every item of the database. A key that comes or goes meanwhile may be in it or not.
async fn read_all(link: &Link) -> Result<Items, ConfigurationError> {
    let (mut items, mut cursor) = (Items::new(), 0_u64);
    loop {
        let (next, keys) = scan(link, cursor).await?;
        items.extend(read(link, &keys).await?);
        if next == 0 {
            return Ok(items);
        }
        cursor = next;
    }
}

async fn scan(link: &Link, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), ConfigurationError> {
    let command = |mut connection: Connection| async move {
        let mut scan = ::redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(SCANNED);
        scan.query_async(&mut connection).await
    };
    link.run(Repeat::Safe, command).await.map_err(failed)
}

/// The items at these keys, those that are there.
async fn read(link: &Link, keys: &[Vec<u8>]) -> Result<Items, ConfigurationError> {
    let mut items = Items::new();
    for keys in keys.chunks(MOST_READ) {
        let command = |mut connection: Connection| async move {
            let mut read = ::redis::cmd("MGET");
            read.arg(keys).query_async(&mut connection).await
        };
        let values: Vec<Option<Vec<u8>>> = link.run(Repeat::Safe, command).await.map_err(failed)?;
        let found = keys.iter().zip(values);
        items.extend(found.filter_map(|(key, value)| item(key, &value?)));
    }
    Ok(items)
}

fn failed(error: StateError) -> ConfigurationError {
    match error {
        StateError::Unavailable(reason) => ConfigurationError::Unavailable(reason),
        other => ConfigurationError::Store(other.to_string()),
    }
}
