use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use trilby_placement_protocol::server::Settings;

use super::*;
use crate::hub::outbox;

/// The terms of one replica under a source that the test plays.
struct Fixture {
    post: Post,
    roles: watch::Sender<Role>,
    resigned: CancellationToken,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Fixture {
    fn start() -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("fresh");
        let config = HubConfig {
            rounds: Settings {
                timeout: Duration::from_secs(8),
                straggler: Duration::from_secs(1),
                coalesce: Duration::ZERO,
                lease: Duration::from_secs(3),
            },
            replication: 100,
            settle: Duration::ZERO,
        };
        let terms = Terms::new("a", config, metrics.clone());
        let (roles, receiver) = watch::channel(Role::Follower { leader: None });
        let (post, stop, resigned) = (
            terms.post(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let source = Source {
            roles: receiver,
            resign: resigned.clone(),
        };
        tokio::spawn(terms.run(source, stop.clone()));
        Self {
            post,
            roles,
            resigned,
            stop,
            metrics,
        }
    }

    async fn lead(&self) -> Tenure {
        let lease = Duration::from_secs(3);
        let tenure = Tenure::lasting(Instant::now() + lease, lease);
        self.roles.send_replace(Role::Leader(tenure.clone()));
        self.settled(true).await;
        tenure
    }

    async fn settled(&self, leads: bool) {
        let mut state = self.post.state.clone();
        let wanted = |state: &State| matches!(state, State::Leading { .. }) == leads;
        assert!(state.wait_for(wanted).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn each_term_has_a_hub_of_its_own() {
    let it = Fixture::start();
    assert!(!it.post.leads());
    let tenure = it.lead().await;
    let first = it.post.admit().expect("it leads");
    tenure.end();
    assert!(!it.post.leads(), "at once, whoever knows already");
    it.settled(false).await;
    first.closed().await;
    it.lead().await;
    let second = it.post.admit().expect("it leads again");
    assert!(!second.same_channel(&first) && !second.is_closed());
}

#[tokio::test(start_paused = true)]
async fn end_of_the_tenure_ends_the_streams_with_upstreams_words() {
    let it = Fixture::start();
    let _tenure = it.lead().await;
    let notices = it.post.admit().expect("it leads");
    let (outbox, mut orders) = outbox();
    let joined = crate::hub::Notice::Joined {
        namespace: "n".into(),
        member: crate::wire::member(crate::wire::Report::default()),
        announced: crate::wire::Announced::read(&http::HeaderMap::new()),
        stream: trilby_placement_protocol::server::StreamId(1),
        outbox,
    };
    assert!(notices.send(joined).await.is_ok());
    // Nobody extends it.
    it.settled(false).await;
    let status = loop {
        if let Err(status) = orders.next().await {
            break status;
        }
    };
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::FailedPrecondition,
            "node id=a is not a leader. Only the leader can serve requests"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn leader_that_stops_resigns_once_its_streams_have_ended() {
    let it = Fixture::start();
    it.lead().await;
    let (roles, post) = (it.roles, it.post);
    it.stop.cancel();
    it.resigned.cancelled().await;
    assert_eq!(post.refusal().code(), Code::Unavailable);
    assert_eq!(it.metrics.leadership().status(), 0);
    drop(roles);
}

#[tokio::test(start_paused = true)]
async fn follower_says_who_leads() {
    let it = Fixture::start();
    let leader = Some("h:50005".to_owned());
    it.roles.send_replace(Role::Follower { leader });
    let mut state = it.post.state.clone();
    let named = |state: &State| matches!(state, State::Following { leader } if leader.is_some());
    assert!(state.wait_for(named).await.is_ok());
    let status = it.post.refusal();
    let told = status.metadata().get(super::super::LEADER_KEY);
    assert_eq!(told.expect("it is known"), "h:50005");
}
