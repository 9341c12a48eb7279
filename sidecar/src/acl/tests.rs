use trilby_identity::SpiffeId;

use super::{AccessControl, Action, Attempt, OperationSpec, PolicySpec, Protocol, Scope, Spec};

fn caller(id: &str) -> SpiffeId {
    id.parse().unwrap()
}

fn operation(name: &str, verbs: &[&str], action: &str) -> OperationSpec {
    OperationSpec {
        name: name.into(),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        action: action.into(),
    }
}

fn policy(default_action: &str, operations: Vec<OperationSpec>) -> PolicySpec {
    PolicySpec {
        app_id: "a".into(),
        namespace: "ns".into(),
        trust_domain: "public".into(),
        default_action: default_action.into(),
        operations,
    }
}

fn http(default_action: &str, policies: Vec<PolicySpec>) -> AccessControl {
    AccessControl::compile(
        &Spec {
            default_action: Some(default_action.into()),
            policies,
        },
        Protocol::Http,
    )
    .unwrap()
}

fn check(control: &AccessControl, id: &str, operation: &str, verb: &str) -> Action {
    let caller = caller(id);
    control
        .decide(&Attempt {
            caller: Some(&caller),
            operation,
            verb: Some(verb),
        })
        .action
}

const A: &str = "spiffe://public/ns/ns/a";

#[test]
fn default_that_is_not_written_allows_also_beside_policies() {
    for policies in [vec![], vec![policy("deny", vec![])]] {
        let spec = Spec {
            default_action: None,
            policies,
        };
        let control = AccessControl::compile(&spec, Protocol::Http).unwrap();
        let other = "spiffe://public/ns/ns/b";
        assert_eq!(check(&control, other, "x", "GET"), Action::Allow);
    }
}

#[test]
fn default_that_is_empty_denies_everyone_else() {
    let control = http("", vec![policy("allow", vec![])]);
    assert_eq!(
        check(&control, "spiffe://public/ns/ns/b", "x", "GET"),
        Action::Deny
    );
    assert_eq!(check(&control, A, "x", "GET"), Action::Allow);
}

#[test]
fn caller_without_identity_gets_the_global_default() {
    let control = http("deny", vec![policy("allow", vec![])]);
    let decision = control.decide(&Attempt {
        caller: None,
        operation: "x",
        verb: Some("GET"),
    });
    assert_eq!(
        (decision.action, decision.scope),
        (Action::Deny, Scope::Global)
    );
}

#[test]
fn foreign_trust_domain_or_namespace_gets_the_global_default() {
    let control = http("deny", vec![policy("allow", vec![])]);
    assert_eq!(
        check(&control, "spiffe://other/ns/ns/a", "x", "GET"),
        Action::Deny
    );
    assert_eq!(
        check(&control, "spiffe://public/ns/ns2/a", "x", "GET"),
        Action::Deny
    );
}

#[test]
fn verbs_decide_and_unlisted_verbs_fall_to_the_default() {
    let control = http(
        "deny",
        vec![policy("deny", vec![operation("/op", &["GET"], "allow")])],
    );
    assert_eq!(check(&control, A, "op", "GET"), Action::Allow);
    assert_eq!(check(&control, A, "op", "POST"), Action::Deny);
    let every = http(
        "deny",
        vec![policy("deny", vec![operation("op", &["*"], "allow")])],
    );
    assert_eq!(check(&every, A, "op", "POST"), Action::Allow);
}

#[test]
fn http_paths_ignore_case() {
    let control = http(
        "deny",
        vec![policy("deny", vec![operation("/Op", &["*"], "allow")])],
    );
    assert_eq!(check(&control, A, "oP", "GET"), Action::Allow);
}

#[test]
fn wildcards_match_as_written() {
    let control = http(
        "deny",
        vec![policy(
            "deny",
            vec![
                operation("/one/*", &["*"], "allow"),
                operation("/all/**", &["*"], "allow"),
                operation("/pre*/x", &["*"], "allow"),
            ],
        )],
    );
    for (path, action) in [
        ("one/a", Action::Allow),
        ("one", Action::Allow),
        ("one/a/b", Action::Deny),
        ("all/a/b/c", Action::Allow),
        ("prefix/x", Action::Allow),
        ("other/x", Action::Deny),
    ] {
        assert_eq!(check(&control, A, path, "GET"), action, "{path}");
    }
}

#[test]
fn rule_covers_the_paths_below_it() {
    let control = http(
        "allow",
        vec![policy("allow", vec![operation("/admin", &["*"], "deny")])],
    );
    assert_eq!(check(&control, A, "admin/users/1", "GET"), Action::Deny);
}

#[test]
fn grpc_methods_keep_their_case_and_need_no_verb() {
    let spec = Spec {
        default_action: Some("deny".into()),
        policies: vec![policy(
            "deny",
            vec![operation("/pkg.Service/Call", &[], "allow")],
        )],
    };
    let control = AccessControl::compile(&spec, Protocol::Grpc).unwrap();
    let caller = caller(A);
    let decide = |operation| {
        control
            .decide(&Attempt {
                caller: Some(&caller),
                operation,
                verb: None,
            })
            .action
    };
    assert_eq!(decide("/pkg.Service/Call"), Action::Allow);
    assert_eq!(decide("/pkg.service/call"), Action::Deny);
}

#[test]
fn incomplete_policies_are_refused_by_name() {
    let spec = Spec {
        policies: vec![PolicySpec {
            app_id: "a".into(),
            ..PolicySpec::default()
        }],
        ..Spec::default()
    };
    let error = AccessControl::compile(&spec, Protocol::Http).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid access control spec. missing trustdomain for apps: [a], missing namespace for apps: [a], \
         missing app name on at least one of the app policies: false"
    );
}

#[test]
fn hostile_path_against_many_stars_ends_quickly() {
    let stars = format!("/{}b", "*a".repeat(40));
    let control = http(
        "allow",
        vec![policy("allow", vec![operation(&stars, &["*"], "deny")])],
    );
    assert_eq!(check(&control, A, &"a".repeat(2000), "GET"), Action::Allow);
}

#[test]
fn later_policy_for_a_caller_replaces_the_earlier_one() {
    let control = http(
        "deny",
        vec![policy("allow", vec![]), policy("deny", vec![])],
    );
    assert_eq!(check(&control, A, "x", "GET"), Action::Deny);
}

#[test]
fn case_of_a_letter_does_not_depend_on_what_follows_it() {
    let control = http(
        "deny",
        vec![policy(
            "deny",
            vec![operation("/\u{39f}\u{394}\u{39f}\u{3a3}*", &["*"], "allow")],
        )],
    );
    let path = "\u{39f}\u{394}\u{39f}\u{3a3}\u{391}";
    assert_eq!(check(&control, A, path, "GET"), Action::Allow);
}

#[test]
fn call_without_verb_to_an_http_app_falls_to_the_policys_default() {
    for (default, expected) in [
        ("allow", Action::Allow),
        ("deny", Action::Deny),
        ("", Action::Deny),
    ] {
        let control = http(
            "allow",
            vec![policy(default, vec![operation("/op", &["*"], "allow")])],
        );
        let caller = caller(A);
        let attempt = Attempt {
            caller: Some(&caller),
            operation: "op",
            verb: None,
        };
        assert_eq!(control.decide(&attempt).action, expected, "{default:?}");
    }
}
