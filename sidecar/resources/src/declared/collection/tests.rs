use serde_json::json;
use trilby_crds::{HttpEndpointSpec, ResiliencySpec};

use super::*;

fn collection() -> Collection<HttpEndpointSpec> {
    Collection::new("cart".to_owned(), Some("shop".to_owned()))
}

fn endpoint(name: &str, url: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"baseUrl": url}})
}

fn bytes(json: &serde_json::Value) -> Bytes {
    json.to_string().into()
}

fn all(resources: &[serde_json::Value]) -> Told {
    Told::Snapshot {
        all: resources.iter().map(bytes).collect(),
        newer: HashSet::new(),
    }
}

fn changed(resource: &serde_json::Value) -> Told {
    Told::Changed(bytes(resource))
}

/// Tries everything; secret stores of these names serve, and every attempt succeeds.
fn settle(collection: &mut Collection<HttpEndpointSpec>, stores: &[&str]) {
    for job in collection.jobs(false, |store| stores.contains(&store)) {
        collection.settle(&job.name, Ok(job.object.spec));
    }
}

fn urls(collection: &Collection<HttpEndpointSpec>) -> Vec<String> {
    let published = collection.published().into_iter();
    published
        .map(|one| format!("{}={}", one.name, one.spec.base_url))
        .collect()
}

#[test]
fn what_is_told_is_published_in_the_order_of_names() {
    let mut collection = collection();
    assert!(!collection.is_told());
    collection.fold(all(&[endpoint("b", "http://b"), endpoint("a", "http://a")]));
    settle(&mut collection, &[]);
    assert!(collection.is_told());
    assert_eq!(urls(&collection), ["a=http://a", "b=http://b"]);
    collection.fold(changed(&endpoint("b", "http://c")));
    collection.fold(Told::Gone("a".to_owned()));
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["b=http://c"]);
    collection.fold(all(&[]));
    assert!(urls(&collection).is_empty());
}

#[test]
fn others_apps_and_namespaces_are_not_ours() {
    let mut collection = collection();
    let mut scoped = endpoint("a", "http://a");
    scoped["scopes"] = json!(["other"]);
    let mut elsewhere = endpoint("b", "http://b");
    elsewhere["metadata"]["namespace"] = json!("bank");
    collection.fold(all(&[scoped.clone(), elsewhere, endpoint("c", "http://c")]));
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["c=http://c"]);
    scoped["scopes"] = json!(["other", "cart"]);
    collection.fold(changed(&scoped));
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["a=http://a", "c=http://c"]);
    scoped["scopes"] = json!(["other"]);
    collection.fold(changed(&scoped));
    assert_eq!(urls(&collection), ["c=http://c"]);
}

#[test]
fn a_bad_update_leaves_the_old_one_and_says_why() {
    let mut collection = collection();
    collection.fold(all(&[endpoint("a", "http://a")]));
    settle(&mut collection, &[]);
    let mut bad = endpoint("a", "http://b");
    bad["spec"]["headers"] = json!("none");
    collection.fold(changed(&bad));
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["a=http://a"]);
    let problems = collection.problems();
    assert_eq!(
        (problems[0].kind, &*problems[0].name),
        ("HTTPEndpoint", "a")
    );
    assert!(
        problems[0].reason.starts_with("it is not a HTTPEndpoint: "),
        "{problems:?}"
    );
    assert_eq!(collection.take_failures(), 1);
    collection.fold(changed(&endpoint("a", "")));
    settle(&mut collection, &[]);
    assert_eq!(collection.problems()[0].reason, "spec.baseUrl is empty");
    collection.fold(changed(&endpoint("a", "http://b")));
    settle(&mut collection, &[]);
    assert_eq!(collection.problems(), []);
    assert_eq!(urls(&collection), ["a=http://b"]);
}

#[test]
fn the_same_again_is_not_tried_again() {
    let mut collection = collection();
    collection.fold(all(&[endpoint("a", "http://a")]));
    settle(&mut collection, &[]);
    let mut again = endpoint("a", "http://a");
    again["metadata"]["resourceVersion"] = json!("2");
    collection.fold(changed(&again));
    assert!(collection.jobs(false, |_| true).is_empty());
}

#[test]
fn an_older_state_of_the_same_object_is_ignored() {
    let mut collection = collection();
    let state = |generation: i64, url: &str| {
        let mut state = endpoint("a", url);
        state["metadata"]["generation"] = json!(generation);
        state["metadata"]["uid"] = json!("u");
        state
    };
    collection.fold(changed(&state(2, "http://new")));
    collection.fold(changed(&state(1, "http://old")));
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["a=http://new"]);
}

#[test]
fn a_resource_waits_visibly_for_its_secret_store() {
    let mut collection = collection();
    let mut secret = endpoint("a", "http://a");
    secret["spec"]["headers"] = json!([{"name": "h", "secretKeyRef": {"name": "s", "key": "k"}}]);
    secret["auth"] = json!({"secretStore": "vault"});
    collection.fold(all(&[secret]));
    settle(&mut collection, &[]);
    assert!(urls(&collection).is_empty());
    assert_eq!(
        collection.problems()[0].reason,
        "it waits for the secret store \"vault\", which does not serve"
    );
    collection.stores_changed();
    settle(&mut collection, &["vault"]);
    assert_eq!(urls(&collection), ["a=http://a"]);
    assert_eq!(collection.problems(), []);
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let mut collection = collection();
    collection.fold(all(&[endpoint("a", "http://a"), endpoint("b", "")]));
    let jobs = collection.jobs(false, |_| true);
    assert_eq!(jobs.len(), 1);
    collection.settle("a", Err(Failure::passing("away")));
    let mut backoff = Backoff::default();
    assert!(collection.pause(&mut backoff).is_some());
    assert!(collection.jobs(false, |_| true).is_empty());
    collection.try_again();
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["a=http://a"]);
    assert_eq!(collection.pause(&mut backoff), None);
}

#[test]
fn a_list_leaves_newer_ones_alone() {
    let mut collection = collection();
    collection.fold(changed(&endpoint("a", "http://new")));
    collection.fold(Told::Snapshot {
        all: vec![bytes(&endpoint("b", "http://b"))],
        newer: HashSet::from(["a".to_owned()]),
    });
    settle(&mut collection, &[]);
    assert_eq!(urls(&collection), ["a=http://new", "b=http://b"]);
}

#[test]
fn a_name_that_cannot_stand_in_a_path_is_refused() {
    let mut collection = Collection::<ResiliencySpec>::new("cart".to_owned(), None);
    collection.fold(changed(&json!({"metadata": {"name": "a/b"}})));
    assert!(collection.jobs(false, |_| true).is_empty());
    assert!(
        collection.problems()[0].reason.contains("'/'"),
        "{:?}",
        collection.problems()
    );
}
