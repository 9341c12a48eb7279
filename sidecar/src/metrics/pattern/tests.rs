use super::{Patterns, normalize};

fn patterns(given: &[&str]) -> Patterns {
    let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
    Patterns::new(&given).unwrap()
}

fn refused(given: &[&str]) -> String {
    let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
    Patterns::new(&given).unwrap_err().to_string()
}

#[test]
fn the_more_specific_pattern_wins() {
    let patterns = patterns(&[
        "/orders/{id}",
        "/orders/1234",
        "/orders",
        "/{any}/1234/x",
        "/orders/{rest...}",
    ]);
    for (path, expected) in [
        ("/orders/17", Some("/orders/{id}")),
        ("/orders/1234", Some("/orders/1234")),
        ("/orders", Some("/orders")),
        // Go refuses such a pair; here the literal that stands first decides.
        ("/orders/1234/x", Some("/orders/{rest...}")),
        ("/baskets/1234/x", Some("/{any}/1234/x")),
        ("/orders/1234/y", Some("/orders/{rest...}")),
        ("/orders/17/", Some("/orders/{rest...}")),
        ("/basket", None),
        ("/", None),
    ] {
        assert_eq!(patterns.find(path), expected, "{path}");
    }
}

#[test]
fn a_path_of_the_application_is_also_known_behind_the_invocation_api() {
    let known = patterns(&["/orders/{id}"]);
    assert_eq!(
        known.find("/v1.0/invoke/shop/method/orders/17"),
        Some("/v1.0/invoke/{app_id}/method/orders/{id}")
    );
    let known = patterns(&["/v1.0/invoke/shop/method/orders/{id}"]);
    assert_eq!(
        known.find("/v1.0/invoke/shop/method/orders/17"),
        Some("/v1.0/invoke/shop/method/orders/{id}")
    );
    assert_eq!(known.find("/orders/17"), None);
}

#[test]
fn a_slash_at_the_end_is_the_whole_tree_and_its_root() {
    let patterns = patterns(&["/tree/", "/leaf/{$}"]);
    for (path, expected) in [
        ("/tree/", Some("/tree/")),
        ("/tree/a/b", Some("/tree/")),
        ("/tree", Some("/tree/")),
        ("/leaf/", Some("/leaf/{$}")),
        ("/leaf", Some("/leaf/{$}")),
        ("/leaf/a", None),
    ] {
        assert_eq!(patterns.find(path), expected, "{path}");
    }
}

#[test]
fn the_root_is_everything() {
    let patterns = patterns(&["/", "/a"]);
    for (path, expected) in [("/", "/"), ("/a", "/a"), ("/a/b", "/"), ("/b", "/")] {
        assert_eq!(patterns.find(path), Some(expected), "{path}");
    }
}

#[test]
fn a_wildcard_is_no_empty_segment() {
    assert_eq!(patterns(&["/a/{b}"]).find("/a/"), None);
}

#[test]
fn what_go_refuses_is_refused_by_name() {
    for (pattern, word) in [
        ("/a/x{b}", "whole segment"),
        ("/a/{b", "whole segment"),
        ("/a/{}", "name"),
        ("/a/{1b}", "name"),
        ("/a/{b...}/c", "end"),
        ("/a/{$}/c", "end"),
        ("/a/{b}/{b}", "same name"),
    ] {
        let text = refused(&[pattern]);
        assert!(text.contains(pattern) && text.contains(word), "{text}");
    }
    assert!(refused(&["/a/{b}", "/a/{c}"]).contains("same paths"));
}

#[test]
fn slashes_are_made_one() {
    for (path, expected) in [
        ("", "/"),
        ("a//b", "/a/b"),
        ("///a/", "/a/"),
        ("/a//", "/a/"),
    ] {
        let mut out = String::new();
        normalize(path, &mut out);
        assert_eq!(out, expected);
    }
}
