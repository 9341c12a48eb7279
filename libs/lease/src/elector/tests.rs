use std::{convert::Infallible, future::pending};

use http::{Request, Response};
use kube::client::Body;
use tower::service_fn;

use super::*;

fn elector(client: Client) -> Elector {
    Elector::new(client, "system", "lease", "a".to_owned())
}

#[test]
fn a_pause_is_two_seconds_and_up_to_as_much_again_and_a_fifth() {
    assert_eq!(pause(0.0), Duration::from_secs(2));
    assert_eq!(pause(0.5), Duration::from_millis(3200));
    assert_eq!(pause(1.0), Duration::from_millis(4400));
}

#[test]
fn two_attempts_to_renew_fit_before_the_lease_is_given_up() {
    assert!(pause(1.0) * 2 < RENEW_DEADLINE && RENEW_DEADLINE < DURATION);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_gets_no_answer_gives_up_before_its_lease_ends() {
    let silent = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    let mut elector = elector(Client::new(silent, "system"));
    let renewed = Instant::now();
    elector.hold().await;
    assert_eq!(renewed.elapsed(), RENEW_DEADLINE);
}
