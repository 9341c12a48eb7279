use std::sync::Arc;

use super::{Change, Published, View, Views, changes};

fn resource(json: &'static str, scopes: &[&str]) -> Published {
    let scopes = scopes.iter().map(|scope| Box::from(*scope));
    Published::new(json.as_bytes(), scopes.collect())
}

fn view(resources: &[(&str, &'static str, &[&str])]) -> View {
    let resources = resources
        .iter()
        .map(|(name, json, scopes)| (Arc::from(*name), Arc::new(resource(json, scopes))));
    View {
        resources: resources.collect(),
        ..View::default()
    }
}

/// What the app `a` is told, as `+`, `~` or `-` and the text.
fn told(old: &View, new: &View) -> Vec<String> {
    changes(old, new, |_, resource| resource.in_scope_of("a"))
        .into_iter()
        .map(|(change, resource)| {
            let sign = match change {
                Change::Created => '+',
                Change::Updated => '~',
                Change::Deleted => '-',
            };
            format!(
                "{sign}{}",
                std::str::from_utf8(resource.encoded.json()).unwrap()
            )
        })
        .collect()
}

#[test]
fn each_transition_of_scope_is_told_as_the_app_sees_it() {
    let (inside, outside): (&[&str], &[&str]) = (&["a"], &["b"]);
    for (before, after, expected) in [
        (inside, inside, vec!["~new"]),
        (outside, inside, vec!["+new"]),
        (inside, outside, vec!["-old"]),
        (outside, outside, vec![]),
        (&[], inside, vec!["~new"]),
        (&[], outside, vec!["-old"]),
    ] {
        let (old, new) = (view(&[("x", "old", before)]), view(&[("x", "new", after)]));
        assert_eq!(told(&old, &new), expected, "{before:?} to {after:?}");
    }
}

#[test]
fn what_is_gone_is_told_before_what_is_new() {
    let old = view(&[("z", "z", &[]), ("hidden", "h", &["b"])]);
    let new = view(&[("a", "a", &[])]);
    assert_eq!(told(&old, &new), ["-z", "+a"]);
}

#[test]
fn changes_between_two_looks_are_told_once() {
    let old = view(&[("x", "1", &[]), ("y", "1", &[])]);
    let new = view(&[("x", "3", &[]), ("y", "1", &[])]);
    assert_eq!(told(&old, &new), ["~3"]);
}

#[test]
fn publishing_what_is_known_wakes_nobody() {
    let views = Views::default();
    let name = Arc::from("x");
    views.publish("shop", &name, Some(resource("1", &[])));
    let mut follower = views.subscribe("shop");
    views.publish("shop", &name, Some(resource("1", &[])));
    views.publish("shop", &Arc::from("never-there"), None);
    views.publish("other", &name, Some(resource("1", &[])));
    assert!(!follower.has_changed().unwrap());
    views.publish("shop", &name, None);
    assert!(follower.has_changed().unwrap());
    assert!(follower.borrow_and_update().is_empty());
}

#[test]
fn a_namespace_without_resources_and_followers_is_forgotten() {
    let views = Views::default();
    let name = Arc::from("x");
    views.publish("a", &name, Some(resource("1", &[])));
    views.publish("a", &name, None);
    drop(views.subscribe("b"));
    let _follower = views.subscribe("c");
    let known: Vec<_> = views.0.lock().keys().cloned().collect();
    assert_eq!(known, [Box::from("c")]);
}

#[test]
fn a_follower_of_an_empty_namespace_hears_of_its_first_resource() {
    let views = Views::default();
    let mut follower = views.subscribe("shop");
    views.publish("shop", &Arc::from("x"), Some(resource("1", &[])));
    assert!(follower.has_changed().unwrap());
    assert_eq!(follower.borrow_and_update().values().count(), 1);
}
