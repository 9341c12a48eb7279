//! `bindings.redis`: single keys, as the application names them.
//!
//! Unlike upstream's, a key that is to expire is written with its expiry in one step.

use std::time::Duration;

use ::redis::RedisResult;
use async_trait::async_trait;
use bytes::Bytes;
use trilby_components::{
    RequestMetadata,
    binding::{BindingError, Invocation, OutputBinding, Reply},
    metadata::Metadata,
    registry::InitError,
    state::StateError,
};
use trilby_go_syntax::parse_duration;

use crate::{
    config::{Config, NoSettings},
    connection::Connection,
    greeting::greet,
    link::{Link, Repeat},
    pubsub::FIRST_PAUSE,
};

/// Writes, reads, counts and removes keys.
pub struct RedisBinding {
    link: Link,
}

impl RedisBinding {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses the login, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (config, rest) = Config::split_with(metadata, FIRST_PAUSE)?;
        rest.decode::<NoSettings>()?;
        let link = Link::new(config);
        greet(&link).await?;
        Ok(Self { link })
    }

    async fn run<T, F, Fut>(&self, repeat: Repeat, command: F) -> Result<T, BindingError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        self.link.run(repeat, command).await.map_err(failed)
    }

    async fn create(
        &self,
        key: &str,
        data: &[u8],
        life: Option<Duration>,
    ) -> Result<Reply, BindingError> {
        let set = async |mut connection| {
            let mut set = ::redis::cmd("SET");
            set.arg(key).arg(data);
            if let Some(life) = life {
                set.arg("PX").arg(milliseconds(life));
            }
            set.query_async::<()>(&mut connection).await
        };
        self.run(Repeat::Safe, set).await?;
        Ok(Reply::default())
    }

    async fn increment(&self, key: &str, life: Option<Duration>) -> Result<Reply, BindingError> {
        let increment = async |mut connection| {
            let mut steps = ::redis::pipe();
            steps.atomic().cmd("INCR").arg(key);
            if let Some(life) = life {
                steps.cmd("PEXPIRE").arg(key).arg(milliseconds(life));
            }
            steps.query_async::<Vec<i64>>(&mut connection).await
        };
        self.run(Repeat::Unsafe, increment).await?;
        Ok(Reply::default())
    }

    async fn get(&self, key: &str, command: &str, repeat: Repeat) -> Result<Reply, BindingError> {
        let get = async |mut connection| {
            let mut get = ::redis::cmd(command);
            get.arg(key);
            get.query_async::<Option<Vec<u8>>>(&mut connection).await
        };
        let data = self.run(repeat, get).await?;
        Ok(Reply {
            data: data.map(Bytes::from),
            ..Reply::default()
        })
    }

    async fn delete(&self, key: &str) -> Result<Reply, BindingError> {
        let delete = async |mut connection| {
            let mut delete = ::redis::cmd("DEL");
            delete.arg(key).query_async::<()>(&mut connection).await
        };
        self.run(Repeat::Safe, delete).await?;
        Ok(Reply::default())
    }
}

#[async_trait]
impl OutputBinding for RedisBinding {
    fn operations(&self) -> Vec<String> {
        ["create", "delete", "get", "increment"]
            .map(str::to_owned)
            .into()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let metadata = &invocation.metadata;
        let Some(key) = metadata.get("key").filter(|key| !key.is_empty()) else {
            return Err(refused("missing key in request metadata"));
        };
        match invocation.operation.as_str() {
            "create" => self.create(key, &invocation.data, life(metadata)?).await,
            "increment" => self.increment(key, life(metadata)?).await,
            "delete" => self.delete(key).await,
            // What was read and removed cannot be read again.
            "get" if metadata.get("delete").is_some_and(|value| value == "true") => {
                self.get(key, "GETDEL", Repeat::Unsafe).await
            }
            "get" => self.get(key, "GET", Repeat::Safe).await,
            other => Err(refused(&format!("invalid operation type: {other}"))),
        }
    }

    async fn close(&self) {
        self.link.close();
    }
}

/// How long a key is to live: `ttl`, else `ttlInSeconds`, as a duration or in seconds. None for ever.
fn life(metadata: &RequestMetadata) -> Result<Option<Duration>, BindingError> {
    let said = |name: &str| {
        let mut all = metadata.iter();
        all.find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
    };
    let Some((name, text)) = said("ttl").or_else(|| said("ttlInSeconds")) else {
        return Ok(None);
    };
    let life = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let life = parse_duration(text);
            life.map_err(|error| refused(&format!("{name}: {error}")))?
        }
    };
    if milliseconds(life) == 0 {
        return Err(refused(&format!(
            "{name}: a time longer than zero is needed"
        )));
    }
    Ok(Some(life))
}

/// As much as the server can count.
fn milliseconds(life: Duration) -> i64 {
    i64::try_from(life.as_millis()).unwrap_or(i64::MAX)
}

fn refused(reason: &str) -> BindingError {
    BindingError::InvalidRequest(format!("redis binding: {reason}"))
}

fn failed(error: StateError) -> BindingError {
    match error {
        StateError::Unavailable(reason) => BindingError::Unavailable(reason),
        other => BindingError::Refused {
            error: other.to_string(),
            reply: Box::default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::RequestMetadata;

    use super::life;

    fn read<const N: usize>(pairs: [(&str, &str); N]) -> Result<Option<Duration>, String> {
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        life(&RequestMetadata::from(pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_life_is_a_duration_or_seconds() {
        let seconds = |seconds| Ok(Some(Duration::from_secs(seconds)));
        assert_eq!(read([("ttlInSeconds", "5")]), seconds(5));
        assert_eq!(read([("TTL", "1m")]), seconds(60));
        assert_eq!(read([("ttl", "2"), ("ttlInSeconds", "5")]), seconds(2));
        assert_eq!(read([("ttl", "")]), Ok(None));
    }

    #[test]
    fn no_life_at_all_is_refused_by_name() {
        for value in ["0", "-1", "0s", "soon", "1us"] {
            let refused = read([("ttlInSeconds", value)]).unwrap_err();
            assert!(refused.contains("ttlInSeconds"), "{refused}");
        }
    }
}
