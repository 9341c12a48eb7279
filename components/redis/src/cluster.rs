//! A cluster: keys are spread over slots, and slots over servers.
//!
//! The driver keeps the map of slots, the connections to all servers, and repairs both. It is told never to repeat a command,
//! for it would also repeat one of which nobody knows whether it was carried out; that is for [`crate::link`] to decide. What
//! is left to do here is to follow a server that says where a slot has gone, for then it did nothing.

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
    aio::ConnectionLike,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr},
    from_redis_value,
};

/// How often a command follows a slot: once to where it is going, once more if it went on meanwhile, and some to spare.
const REDIRECTIONS: usize = 5;

/// Connections to the servers of a cluster.
#[derive(Clone)]
pub(crate) struct ClusterLink(ClusterConnection);

/// Where a server says that a slot is.
struct Redirection {
    to: SingleNodeRoutingInfo,
    /// The slot is on its way: the other server has to be told that one knows.
    asking: bool,
}

impl ClusterLink {
    pub(crate) fn new(connection: ClusterConnection) -> Self {
        Self(connection)
    }

    /// Runs `command` at the primary of `slot`.
    pub(crate) async fn run_at<T: FromRedisValue>(
        &mut self,
        slot: Slot,
        command: &Cmd,
    ) -> RedisResult<T> {
        let route = Route::with_slot(slot, SlotAddr::Master);
        let to = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
        let answer = self.0.route_command(command.clone(), to).await?;
        // What the server refuses is an answer to the driver.
        Ok(from_redis_value(answer.extract_error()?)?)
    }

    /// One slot of each primary that has any.
    pub(crate) async fn slot_of_each_primary(&mut self) -> RedisResult<Vec<Slot>> {
        let mut command = ::redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let ranges: Vec<Vec<Value>> = command.query_async(&mut self.0).await?;
        let mut known: Vec<Value> = Vec::new();
        let mut slots = Vec::new();
        // Each range is: first slot, last slot, its primary, its replicas.
        for mut range in ranges {
            if range.len() < 3 {
                continue;
            }
            let primary = range.swap_remove(2);
            let first: u16 = from_redis_value(range.swap_remove(0))?;
            if let Some(slot) = Slot::new(first)
                && !known.contains(&primary)
            {
                known.push(primary);
                slots.push(slot);
            }
        }
        Ok(slots)
    }

    async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let mut answer = self.0.req_packed_command(command).await;
        for _ in 0..REDIRECTIONS {
            let Some(redirection) = answer.as_ref().err().and_then(redirection) else {
                break;
            };
            answer = if redirection.asking {
                let mut pipe = ::redis::pipe();
                pipe.cmd("ASKING").ignore().add_command(command.clone());
                let answers = self.0.route_pipeline(pipe, 0, 2, redirection.to).await;
                answers.and_then(|mut answers| answers.pop().ok_or_else(unanswered))
            } else {
                let to = RoutingInfo::SingleNode(redirection.to);
                self.0.route_command(command.clone(), to).await
            };
        }
        answer
    }

    /// All of its keys are of one slot.
    async fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut answer = self.0.req_packed_commands(pipeline, offset, count).await;
        for _ in 0..REDIRECTIONS {
            let Some(redirection) = answer.as_ref().err().and_then(redirection) else {
                break;
            };
            answer = if redirection.asking {
                let mut pipe = ::redis::pipe();
                for command in pipeline.cmd_iter() {
                    pipe.cmd("ASKING").add_command(command.clone());
                }
                let all = 2 * pipeline.cmd_iter().count();
                let answers = self.0.route_pipeline(pipe, 0, all, redirection.to).await;
                answers.map(|answers| answers.into_iter().skip(1).step_by(2).collect())
            } else {
                let pipe = pipeline.clone();
                self.0
                    .route_pipeline(pipe, offset, count, redirection.to)
                    .await
            };
        }
        answer
    }
}

fn redirection(error: &RedisError) -> Option<Redirection> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some(Redirection {
        to: SingleNodeRoutingInfo::ByAddress {
            host: host.to_owned(),
            port: port.parse().ok()?,
        },
        asking: error.kind() == ErrorKind::Server(ServerErrorKind::Ask),
    })
}

fn unanswered() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "there is no answer").into()
}

impl ConnectionLike for ClusterLink {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.command(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.pipeline(cmd, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
