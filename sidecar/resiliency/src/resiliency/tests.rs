use std::collections::BTreeMap;

use trilby_crds::{AppTargetSpec, CircuitBreakerSpec};

use super::*;
use crate::machine::State;
use crate::observer::{Applied, Subject};

#[derive(Debug, Default)]
struct Loads(Mutex<Vec<String>>);

impl Observer for Loads {
    fn loaded(&self, resource: &str, namespace: &str) {
        self.0.lock().push(format!("{namespace}/{resource}"));
    }

    fn applied(&self, _: &Subject, _: Applied) {}

    fn activated(&self, _: &Subject, _: Applied) {}
}

/// Breakers of the app `a` that open with the first failure; `timeout` is that of the app's policy.
fn guarded(trip: &str, timeout: &str) -> ResiliencySpec {
    let mut spec = ResiliencySpec::default();
    let breaker = CircuitBreakerSpec {
        trip: Some(trip.to_owned()),
        ..CircuitBreakerSpec::default()
    };
    spec.policies.circuit_breakers = BTreeMap::from([("cb".to_owned(), breaker)]);
    spec.policies.timeouts = BTreeMap::from([("t".to_owned(), timeout.to_owned())]);
    let app = AppTargetSpec {
        timeout: Some("t".to_owned()),
        circuit_breaker: Some("cb".to_owned()),
        ..AppTargetSpec::default()
    };
    spec.targets.apps = BTreeMap::from([("a".to_owned(), app)]);
    spec
}

struct Test {
    resiliency: Resiliency,
    loads: Arc<Loads>,
}

impl Test {
    fn new() -> Self {
        let loads = Arc::new(Loads::default());
        Self {
            resiliency: Resiliency::new(Arc::clone(&loads) as Arc<dyn Observer>),
            loads,
        }
    }

    fn replace(&self, spec: &ResiliencySpec) -> usize {
        let manifest = Manifest {
            name: "r",
            namespace: "ns",
            spec,
        };
        self.resiliency.replace(&[manifest]).len()
    }

    fn fail(&self) {
        let policy = self.resiliency.policies().app("a", "m").unwrap();
        drop(policy.breaker.unwrap().admit());
    }

    fn state(&self) -> State {
        let policy = self.resiliency.policies().app("a", "m").unwrap();
        policy.breaker.unwrap().state()
    }

    fn timeout(&self) -> Option<u128> {
        let policy = self.resiliency.policies().app("a", "m")?;
        policy.timeout.map(|timeout| timeout.as_millis())
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_policy_is_the_same_keeps_its_state() {
    let test = Test::new();
    test.replace(&guarded("totalFailures > 0", "1s"));
    test.fail();
    assert_eq!(test.state(), State::Open);
    test.replace(&guarded("totalFailures > 0", "2s"));
    assert_eq!((test.state(), test.timeout()), (State::Open, Some(2000)));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_policy_changed_starts_closed() {
    let test = Test::new();
    test.replace(&guarded("totalFailures > 0", "1s"));
    test.fail();
    test.replace(&guarded("totalFailures > 1", "1s"));
    assert_eq!(test.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_version_leaves_the_former_one_in_force() {
    let test = Test::new();
    test.replace(&guarded("totalFailures > 0", "1s"));
    test.fail();
    assert_eq!(test.replace(&guarded("totalFailures > 0", "soon")), 1);
    assert_eq!((test.state(), test.timeout()), (State::Open, Some(1000)));
    // Also when the same invalid version is seen again.
    assert_eq!(test.replace(&guarded("totalFailures > 0", "soon")), 1);
    assert_eq!(test.timeout(), Some(1000));
    assert_eq!(test.replace(&guarded("totalFailures > 0", "3s")), 0);
    assert_eq!(test.timeout(), Some(3000));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_resource_does_not_touch_others() {
    let test = Test::new();
    let (good, bad) = (guarded("requests > 1", "1s"), guarded("requests >", "1s"));
    let manifest = |name, spec| Manifest {
        name,
        namespace: "",
        spec,
    };
    let refused = test
        .resiliency
        .replace(&[manifest("good", &good), manifest("bad", &bad)]);
    assert_eq!(refused[0].resource, "bad");
    assert_eq!(test.timeout(), Some(1000));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_gone_has_no_effect() {
    let test = Test::new();
    test.replace(&guarded("requests > 1", "1s"));
    assert_eq!(test.resiliency.replace(&[]), []);
    assert_eq!(test.timeout(), None);
    // Nor has its former version once it was deleted.
    assert_eq!(test.replace(&guarded("requests > 1", "soon")), 1);
    assert_eq!(test.timeout(), None);
}

#[tokio::test(start_paused = true)]
async fn each_version_in_force_is_counted_once() {
    let test = Test::new();
    test.replace(&guarded("requests > 1", "1s"));
    test.replace(&guarded("requests > 1", "1s"));
    test.replace(&guarded("requests > 1", "soon"));
    test.replace(&guarded("requests > 1", "2s"));
    assert_eq!(*test.loads.0.lock(), ["ns/r", "ns/r"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_under_way_keeps_its_policy() {
    let test = Test::new();
    test.replace(&guarded("requests > 1", "1s"));
    let policy = test.resiliency.policies().app("a", "m").unwrap();
    test.resiliency.replace(&[]);
    assert_eq!(policy.timeout.map(|timeout| timeout.as_secs()), Some(1));
}
