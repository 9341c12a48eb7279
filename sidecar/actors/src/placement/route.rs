//! Which replica of placement to try next, and when.

use std::fmt;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use tonic::{Code, Status};
use trilby_grpc::{Backoff, Channel, Target};

/// Metadata with which a replica that does not lead says who does, as `host:port`.
const LEADER_KEY: &str = "trilby-placement-leader";

/// Pauses between attempts, with jitter; short, because calls wait for the first table.
const RECONNECT_FIRST: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// As these, while the replicas answer but have no leader: that is over within seconds.
const ELECTION_FIRST: Duration = Duration::from_millis(200);
const ELECTION_MAX: Duration = Duration::from_millis(800);

/// How long a replica that fell silent is passed over, whoever names it: to be cut off from a leader takes an attempt
/// longer to notice than the others take to choose a new one.
const PASSED_OVER_FOR: Duration = Duration::from_secs(10);

/// The way to placement: its replicas, and what was heard of their leader.
pub struct Route {
    replicas: Replicas,
    turn: usize,
    /// What the last attempt ended with.
    last: Last,
    /// The last attempt went to whom another replica named.
    followed: bool,
    /// Whom the last attempt went to.
    current: Option<Target>,
    /// Who gave no answer, and when that was noticed.
    silent: Option<(Target, Instant)>,
    unreachable: Backoff,
    leaderless: Backoff,
}

enum Replicas {
    /// Each by an address of its own.
    Listed(Vec<Channel>),
    /// All behind one name, which is resolved anew each time.
    Named(Channel),
}

#[derive(Debug, PartialEq)]
enum Last {
    /// Anything but what follows.
    Failed,
    /// It does not lead, and does not know who does.
    Leaderless,
    /// This one leads.
    Elsewhere(Target),
}

// === impl Route ===

impl Route {
    /// Replicas that are tried in turn.
    ///
    /// # Panics
    /// If there is none.
    pub fn listed(replicas: Vec<Channel>) -> Self {
        assert!(!replicas.is_empty(), "there is a placement to reach");
        Self::new(Replicas::Listed(replicas), 0)
    }

    /// Replicas behind one name: its addresses are tried in turn, from any of them on.
    pub fn named(service: Channel) -> Self {
        Self::new(Replicas::Named(service), rand::rng().random_range(0..1024))
    }

    fn new(replicas: Replicas, turn: usize) -> Self {
        Self {
            replicas,
            turn,
            last: Last::Failed,
            followed: false,
            current: None,
            silent: None,
            unreachable: Backoff::new(RECONNECT_FIRST, RECONNECT_MAX),
            leaderless: Backoff::new(ELECTION_FIRST, ELECTION_MAX),
        }
    }

    /// Whom to try now.
    ///
    /// # Errors
    /// The name has no address; the text says which and why.
    pub(crate) async fn next(&mut self) -> Result<Channel, String> {
        let last = std::mem::replace(&mut self.last, Last::Failed);
        self.followed = matches!(last, Last::Elsewhere(_));
        let channel = match last {
            Last::Elsewhere(leader) => self.towards(leader)?,
            Last::Failed | Last::Leaderless => self.whose_turn().await?,
        };
        self.current = Some(channel.target().clone());
        Ok(channel)
    }

    fn towards(&self, target: Target) -> Result<Channel, String> {
        let channel = self.any().towards(target);
        channel.map_err(|error| error.to_string())
    }

    async fn whose_turn(&mut self) -> Result<Channel, String> {
        let targets = match &self.replicas {
            Replicas::Listed(replicas) => replicas.iter().map(Channel::target).cloned().collect(),
            Replicas::Named(service) => resolve(service.target()).await?,
        };
        let place = self.take_turn(&targets);
        match &self.replicas {
            Replicas::Listed(replicas) => Ok(replicas[place].clone()),
            Replicas::Named(_) => self.towards(targets[place].clone()),
        }
    }

    /// A silent one is passed over if there is another.
    fn take_turn(&mut self, targets: &[Target]) -> usize {
        let mut place = self.turn % targets.len();
        if targets.len() > 1 && self.is_silent(&targets[place]) {
            self.turn = self.turn.wrapping_add(1);
            place = self.turn % targets.len();
        }
        self.turn = self.turn.wrapping_add(1);
        place
    }

    /// The last attempt ended because nothing was heard any more.
    pub(crate) fn fell_silent(&mut self) {
        self.silent = self.current.take().map(|target| (target, Instant::now()));
    }

    fn is_silent(&self, target: &Target) -> bool {
        let silent = self.silent.as_ref();
        silent.is_some_and(|(it, since)| it == target && since.elapsed() < PASSED_OVER_FOR)
    }

    /// A table came.
    pub(crate) fn succeeded(&mut self) {
        self.unreachable.reset();
        self.leaderless.reset();
    }

    /// Takes note of how the attempt ended.
    pub(crate) fn ended(&mut self, status: &Status) {
        if status.code() != Code::FailedPrecondition {
            return;
        }
        let leader = status.metadata().get(LEADER_KEY);
        let leader = leader
            .and_then(|address| address.to_str().ok())
            .and_then(|address| address.parse().ok());
        self.last = match leader {
            // One step at a time: in an election, two may name each other.
            Some(leader) if !self.followed && !self.is_silent(&leader) => Last::Elsewhere(leader),
            _ => Last::Leaderless,
        };
    }

    /// Whether the attempt ended as is usual during an election, and while looking for the leader.
    pub(crate) fn is_looking(&self) -> bool {
        self.last != Last::Failed
    }

    /// How long to wait before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        match self.last {
            Last::Elsewhere(_) => Duration::ZERO,
            Last::Leaderless => self.leaderless.pause(),
            Last::Failed => self.unreachable.pause(),
        }
    }

    fn any(&self) -> &Channel {
        match &self.replicas {
            Replicas::Listed(replicas) => &replicas[0],
            Replicas::Named(service) => service,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({})", self.any().target())
    }
}

/// The addresses of a name, always in the same order; at least one.
async fn resolve(name: &Target) -> Result<Vec<Target>, String> {
    let found = tokio::net::lookup_host((name.host.as_str(), name.port)).await;
    let found = found.map_err(|error| format!("{name} cannot be resolved: {error}"))?;
    let mut addresses: Vec<_> = found.collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(format!("{name} has no address"));
    }
    let target = |address: std::net::SocketAddr| Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    Ok(addresses.into_iter().map(target).collect())
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;
    use trilby_grpc::ChannelConfig;

    use super::*;

    fn channel(target: &str) -> Channel {
        let target = target.parse().expect("a target");
        trilby_grpc::channel(target, None, ChannelConfig::default()).expect("usable")
    }

    async fn next(route: &mut Route) -> String {
        let channel = route.next().await.expect("there is somebody");
        channel.target().to_string()
    }

    fn refusal(leader: Option<&'static str>) -> Status {
        let mut metadata = MetadataMap::new();
        if let Some(leader) = leader {
            metadata.insert(LEADER_KEY, leader.parse().expect("ASCII"));
        }
        Status::with_metadata(Code::FailedPrecondition, "node is not a leader", metadata)
    }

    #[tokio::test]
    async fn listed_replicas_are_tried_in_turn() {
        let mut route = Route::listed(vec![channel("a:1"), channel("b:2")]);
        for expected in ["a:1", "b:2", "a:1"] {
            assert_eq!(next(&mut route).await, expected);
            assert!(route.pause() >= RECONNECT_FIRST / 2);
        }
    }

    #[tokio::test]
    async fn leader_that_a_follower_names_is_tried_at_once_and_once() {
        let mut route = Route::listed(vec![channel("a:1"), channel("b:2")]);
        next(&mut route).await;
        route.ended(&refusal(Some("c:3")));
        assert!(route.is_looking());
        assert_eq!(route.pause(), Duration::ZERO);
        assert_eq!(next(&mut route).await, "c:3");
        // It does not lead either, and sends us on: that may go on for as long as the election does.
        route.ended(&refusal(Some("a:1")));
        assert!(route.pause() >= ELECTION_FIRST / 2);
        assert_eq!(next(&mut route).await, "b:2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_replica_is_passed_over_for_a_while_even_if_it_is_named() {
        let mut route = Route::listed(vec![channel("a:1"), channel("b:2"), channel("c:3")]);
        assert_eq!(next(&mut route).await, "a:1");
        route.fell_silent();
        assert!(!route.is_looking());
        for expected in ["b:2", "c:3", "b:2", "c:3"] {
            assert_eq!(next(&mut route).await, expected);
            route.ended(&refusal(Some("a:1")));
            assert!(route.pause() > Duration::ZERO, "it is not followed");
        }
        tokio::time::advance(PASSED_OVER_FOR).await;
        route.ended(&refusal(Some("a:1")));
        assert_eq!(next(&mut route).await, "a:1");
    }

    #[tokio::test]
    async fn the_only_replica_is_tried_again_though_it_fell_silent() {
        let mut route = Route::listed(vec![channel("a:1")]);
        for _ in 0..2 {
            assert_eq!(next(&mut route).await, "a:1");
            route.fell_silent();
        }
    }

    #[tokio::test]
    async fn without_a_leader_the_next_is_tried_after_a_short_pause() {
        let mut route = Route::listed(vec![channel("a:1"), channel("b:2")]);
        for expected in ["a:1", "b:2", "a:1", "b:2", "a:1"] {
            assert_eq!(next(&mut route).await, expected);
            route.ended(&refusal(None));
            let pause = route.pause();
            assert!(pause > Duration::ZERO && pause <= ELECTION_MAX, "{pause:?}");
        }
    }

    #[tokio::test]
    async fn other_failures_say_nothing_about_the_leader() {
        let mut route = Route::listed(vec![channel("a:1")]);
        next(&mut route).await;
        route.ended(&Status::unavailable("gone"));
        assert!(!route.is_looking());
    }

    #[tokio::test]
    async fn addresses_of_a_name_are_tried_in_turn() {
        let mut route = Route::named(channel("127.0.0.1:5"));
        assert_eq!(next(&mut route).await, "127.0.0.1:5");
        let mut nowhere = Route::named(channel("nowhere.invalid:5"));
        let error = nowhere.next().await.expect_err("there is no such name");
        assert!(error.starts_with("nowhere.invalid:5 "), "{error}");
    }
}
