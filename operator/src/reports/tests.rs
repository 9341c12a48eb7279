use trilby_crds::{ConditionType, Reason, Truth};
use trilby_proto::trilby::operator::v1::{
    Failed, Loaded, Pending, Removed, resource_state::Outcome,
};

use super::*;

fn id(kind: Kind, name: &str) -> Id {
    let key = Key {
        namespace: "shop".into(),
        name: name.into(),
    };
    (kind, key)
}

fn store() -> Id {
    id(Kind::Component, "store")
}

fn known(generation: i64, scopes: &[&str]) -> Known {
    Known {
        version: Version {
            uid: "u".into(),
            generation,
        },
        scopes: scopes.iter().map(|scope| Box::from(*scope)).collect(),
        acceptance: Acceptance::Accepted,
        status: None,
    }
}

fn reports() -> Reports {
    Reports::new(Metrics::register(&prometheus::Registry::new()).unwrap())
}

fn loaded() -> Outcome {
    Outcome::Loaded(Loaded {})
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed(Failed {
        message: message.to_owned(),
        older_in_force: false,
    })
}

fn say(sidecar: &Sidecar, kind: &str, generation: i64, outcome: Outcome) {
    sidecar.take(vec![ResourceState {
        kind: kind.to_owned(),
        name: "store".to_owned(),
        uid: "u".to_owned(),
        generation,
        outcome: Some(outcome),
    }]);
}

fn status(reports: &Reports) -> ResourceStatus {
    reports.status(&store()).unwrap().1
}

/// The condition `Loaded` in short.
fn in_force(status: &ResourceStatus) -> (Truth, Reason, &str) {
    let condition = status.condition(ConditionType::Loaded).unwrap();
    (condition.status, condition.reason, &condition.message)
}

#[test]
fn sidecars_of_the_namespace_and_scope_count_with_what_they_say_of_this_version() {
    let reports = reports();
    reports.know(&store(), known(2, &["cart", "till"]));
    assert_eq!(in_force(&status(&reports)).1, Reason::NoSidecars);
    let cart = reports.connect("shop", "cart");
    let till = reports.connect("shop", "till");
    let _out_of_scope = reports.connect("shop", "other");
    let _elsewhere = reports.connect("bank", "cart");
    say(&cart, "Component", 1, loaded());
    assert_eq!(status(&reports).sidecars, "0/2", "that was another version");
    say(&cart, "Component", 2, loaded());
    say(&till, "Component", 2, Outcome::Pending(Pending {}));
    let now = status(&reports);
    assert_eq!((now.sidecars.as_str(), now.observed_generation), ("1/2", 2));
    assert_eq!(
        in_force(&now),
        (
            Truth::Unknown,
            Reason::Pending,
            "1 of 2 sidecars have loaded it"
        )
    );
    say(&till, "Component", 2, loaded());
    assert_eq!(in_force(&status(&reports)).0, Truth::True);
}

#[test]
fn a_failure_is_told_by_app_and_ends_when_it_is_mended() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    let (one, two) = (
        reports.connect("shop", "cart"),
        reports.connect("shop", "till"),
    );
    say(&one, "Component", 1, loaded());
    say(&two, "Component", 1, failed("no host"));
    let now = status(&reports);
    assert_eq!(
        in_force(&now),
        (
            Truth::False,
            Reason::Failed,
            "1 of 2 sidecars cannot load it; till: no host"
        )
    );
    let apps: Vec<_> = now
        .apps
        .iter()
        .map(|app| {
            (
                app.app_id.as_str(),
                app.loaded,
                app.failed,
                app.last_error.as_str(),
            )
        })
        .collect();
    assert_eq!(apps, [("till", 0, 1, "no host"), ("cart", 1, 0, "")]);
    say(&two, "Component", 1, loaded());
    assert_eq!(in_force(&status(&reports)).0, Truth::True);
}

#[test]
fn a_sidecar_that_leaves_counts_no_more_and_that_is_a_change() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    let cart = reports.connect("shop", "cart");
    say(&cart, "Component", 1, failed("no host"));
    reports.take_changes();
    drop(cart);
    assert_eq!(reports.take_changes(), [store()].into());
    assert_eq!(in_force(&status(&reports)).1, Reason::NoSidecars);
}

#[test]
fn what_a_sidecar_says_of_unknown_things_is_no_change() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    let cart = reports.connect("shop", "cart");
    reports.take_changes();
    say(&cart, "Gadget", 1, loaded());
    say(&cart, "Resiliency", 1, loaded());
    assert!(reports.take_changes().is_empty());
    say(&cart, "Component", 1, loaded());
    assert_eq!(reports.take_changes(), [store()].into());
    say(&cart, "Component", 1, Outcome::Removed(Removed {}));
    assert_eq!(status(&reports).sidecars, "0/1");
}

#[test]
fn a_configuration_counts_the_sidecars_that_were_told_its_name() {
    let reports = reports();
    let configuration = id(Kind::Configuration, "store");
    reports.know(&configuration, known(1, &[]));
    let cart = reports.connect("shop", "cart");
    let _other = reports.connect("shop", "other");
    say(&cart, "Configuration", 1, loaded());
    let now = reports.status(&configuration).unwrap().1;
    assert_eq!(now.sidecars, "1/1");
}

#[test]
fn what_the_operator_cannot_serve_is_not_accepted() {
    let reports = reports();
    let verdict = || {
        let now = status(&reports);
        let condition = now.condition(ConditionType::Accepted).unwrap();
        (condition.status, condition.reason)
    };
    reports.know(&store(), known(1, &[]));
    assert_eq!(verdict(), (Truth::True, Reason::Accepted));
    reports.accept(&store(), Acceptance::SecretUnreadable("absent".to_owned()));
    assert_eq!(verdict(), (Truth::False, Reason::SecretUnreadable));
    let broken = Known {
        acceptance: Acceptance::Undecodable("no list".to_owned()),
        ..known(2, &[])
    };
    reports.know(&store(), broken);
    reports.accept(&store(), Acceptance::Accepted);
    assert_eq!(verdict(), (Truth::False, Reason::Undecodable));
}

#[test]
fn a_status_that_says_it_already_is_equal_and_keeps_its_times() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    let cart = reports.connect("shop", "cart");
    say(&cart, "Component", 1, loaded());
    let mut written = status(&reports);
    for condition in &mut written.conditions {
        condition.last_transition_time.0 = "2026-01-02T03:04:05Z".parse().unwrap();
    }
    reports.written(&store(), written.clone());
    assert_eq!(status(&reports), written);
    say(&cart, "Component", 1, failed("no host"));
    let now = status(&reports);
    let times = |type_| {
        let [now, before] =
            [&now, &written].map(|status| status.condition(type_).unwrap().last_transition_time.0);
        (now, before)
    };
    let (now, before) = times(ConditionType::Accepted);
    assert_eq!(now, before);
    let (now, before) = times(ConditionType::Loaded);
    assert_ne!(now, before);
}

#[test]
fn apps_and_messages_are_bounded() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    let sidecars: Vec<_> = (0..150)
        .map(|number| reports.connect("shop", &format!("app-{number}")))
        .collect();
    say(&sidecars[149], "Component", 1, failed(&"ü".repeat(10_000)));
    let now = status(&reports);
    assert_eq!((now.expected, now.apps.len()), (150, 100));
    assert_eq!(now.apps[0].app_id, "app-149", "failures come first");
    assert_eq!(now.apps[0].last_error.len(), 512);
}

#[test]
fn resources_that_a_relist_does_not_bring_are_forgotten() {
    let reports = reports();
    reports.know(&store(), known(1, &[]));
    reports.know(&id(Kind::Resiliency, "r"), known(1, &[]));
    reports.retain(Kind::Component, &HashSet::new());
    assert!(reports.status(&store()).is_none());
    assert_eq!(reports.take_changes(), [id(Kind::Resiliency, "r")].into());
}
