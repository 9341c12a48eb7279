//! Operations against a slow and obvious reading of upstream's rules.

use proptest::prelude::*;

use super::pattern::{Operations, glob};
use super::{OperationSpec, Protocol};

fn parts(name: &str) -> Vec<&str> {
    name.strip_prefix('/').unwrap_or(name).split('/').collect()
}

/// Which of `rules` decides about `operation`: level by level, the first pattern written at that level that fits is
/// followed, and the first rule that ends there decides.
fn oracle(rules: &[String], operation: &str) -> Option<usize> {
    let rules: Vec<Vec<&str>> = rules.iter().map(|rule| parts(rule)).collect();
    let asked = parts(operation);
    let mut followed: Vec<&str> = Vec::new();
    for (level, segment) in asked.iter().enumerate() {
        let last = level + 1 == asked.len();
        followed.push(follow(&rules, &followed, segment, last)?);
        if let Some(decides) = rules.iter().position(|rule| *rule == followed) {
            return Some(decides);
        }
    }
    // A rule for everything directly below also covers the path itself.
    followed.push(follow(&rules, &followed, "*", true)?);
    rules.iter().position(|rule| *rule == followed)
}

fn follow<'a>(
    rules: &[Vec<&'a str>],
    followed: &[&str],
    segment: &str,
    last: bool,
) -> Option<&'a str> {
    rules
        .iter()
        .filter(|rule| rule.starts_with(followed))
        .filter_map(|rule| rule.get(followed.len()).copied())
        .find(|pattern| match *pattern {
            same if same == segment => true,
            "*" => last,
            "**" => true,
            pattern => slow_glob(pattern, segment),
        })
}

/// By the definition: a star is nothing, or one more character.
fn slow_glob(pattern: &str, text: &str) -> bool {
    let mut pattern_letters = pattern.chars();
    match pattern_letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let mut rest = text.chars();
            slow_glob(pattern_letters.as_str(), text)
                || (rest.next().is_some() && slow_glob(pattern, rest.as_str()))
        }
        Some(letter) => {
            let mut rest = text.chars();
            rest.next() == Some(letter) && slow_glob(pattern_letters.as_str(), rest.as_str())
        }
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => "[ab]{1,2}",
        1 => Just("*".to_owned()),
        1 => Just("**".to_owned()),
        1 => "[ab*]{1,3}",
        1 => Just(String::new()),
    ];
    prop::collection::vec(segment, 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab*]{0,3}", 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #[test]
    fn tree_decides_as_the_rules_say(
        rules in prop::collection::vec(pattern(), 0..8),
        operation in path(),
    ) {
        let specs: Vec<OperationSpec> = rules
            .iter()
            .map(|name| OperationSpec { name: name.clone(), ..OperationSpec::default() })
            .collect();
        let operations = Operations::compile(&specs, Protocol::Grpc);
        let decided = operations.find(&operation).map(|rule| rule.position);
        prop_assert_eq!(decided, oracle(&rules, &operation));
    }

    #[test]
    fn stars_match_as_defined(pattern in "[ab*]{0,6}", text in "[ab*]{0,6}") {
        let fast = glob(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(fast, slow_glob(&pattern, &text));
    }
}
