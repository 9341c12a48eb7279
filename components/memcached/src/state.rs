//! `state.memcached`, in upstream's layout: a key's value, with flags 0, at the key itself.
//!
//! As upstream's, it keeps no etags and takes no notice of those that come, nor of first-write: the last writer wins.
//! Memcached tells nobody when a value expires, and may forget any value at any time; a restart forgets them all.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    BulkItem, DeleteRequest, Feature, GetRequest, Item, MAX_PARALLELISM, SetRequest, StateError,
    StateStore,
};

use crate::connection::Values;
use crate::pool::Pool;
use crate::protocol::{self, Command};
use crate::servers;
use crate::settings::Config;

/// State in one Memcached server, or several.
#[derive(Debug)]
pub struct MemcachedState {
    /// At least one, in the order of the configuration.
    servers: Vec<Pool>,
}

impl MemcachedState {
    /// Asks each server for its version, as upstream does.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when one of them is away, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let config = Config::new(metadata)?;
        let pool = |host| Pool::new(host, config.idle_connections, config.timeout);
        let servers: Vec<Pool> = config.hosts.into_iter().map(pool).collect();
        for greeted in join_all(servers.iter().map(|server| server.run(Command::Version))).await {
            greeted.map_err(|error| InitError::Unavailable(error.to_string()))?;
        }
        Ok(Self { servers })
    }

    fn server(&self, key: &str) -> &Pool {
        &self.servers[servers::place(key, self.servers.len())]
    }

    /// The keys that can be ones, by the place of their server, at most as many together as one command may have.
    fn shares<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Vec<(usize, Vec<String>)> {
        let mut of_servers = vec![Vec::new(); self.servers.len()];
        for key in keys.filter(|key| protocol::check_key(key).is_ok()) {
            of_servers[servers::place(key, self.servers.len())].push(key.clone());
        }
        let shares = of_servers.iter().enumerate();
        let shares = shares.flat_map(|(place, keys)| {
            let parts = keys.chunks(MAX_PARALLELISM);
            parts.map(move |part| (place, part.to_vec()))
        });
        shares.collect()
    }
}

fn item(values: &Values, key: &str) -> Option<Item> {
    values.get(key).map(|value| Item {
        value: value.clone(),
        etag: None,
        expires_at: None,
    })
}

#[async_trait]
impl StateStore for MemcachedState {
    fn features(&self) -> &[Feature] {
        &[Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let key = &request.key;
        protocol::check_key(key)?;
        let command = Command::Get(std::slice::from_ref(key));
        let values = self.server(key).run(command).await?;
        Ok(item(&values, key))
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        let key = request.key.as_str();
        protocol::check_key(key)?;
        let command = Command::Set {
            key,
            value: request.value.bytes(),
            expiry: protocol::expiry(request.ttl, Timestamp::now().as_second()),
        };
        self.server(key).run(command).await.map(drop)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        let key = request.key.as_str();
        protocol::check_key(key)?;
        self.server(key).run(Command::Delete(key)).await.map(drop)
    }

    /// A few commands a server, one for many keys.
    async fn bulk_get(&self, requests: Vec<GetRequest>, parallelism: usize) -> Vec<BulkItem> {
        let shares = self.shares(requests.iter().map(|request| &request.key));
        let asked = shares.into_iter().map(async |(place, keys)| {
            let outcome = self.servers[place].run(Command::Get(&keys)).await;
            (keys, outcome)
        });
        let mut asked = stream::iter(asked).buffer_unordered(parallelism.clamp(1, MAX_PARALLELISM));
        let mut found = HashMap::new();
        while let Some((keys, outcome)) = asked.next().await {
            for key in keys {
                let one = outcome.as_ref().map(|values| item(values, &key));
                found.insert(key, one.map_err(StateError::clone));
            }
        }
        let answer = |request: &GetRequest| BulkItem {
            key: request.key.clone(),
            result: match found.get(&request.key) {
                Some(result) => result.clone(),
                // Only those that cannot be keys were not asked for.
                None => protocol::check_key(&request.key).map(|()| None),
            },
        };
        requests.iter().map(answer).collect()
    }

    async fn close(&self) {
        for server in &self.servers {
            server.close();
        }
    }
}
