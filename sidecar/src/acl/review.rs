//! What a policy set says without effect: rules that another one always decides before.
//!
//! The order of evaluation is upstream's and stays; who wrote the policies is told where it bites.

use super::pattern::{Operations, name};
use super::{Action, PolicySpec, Protocol, Spec};

/// Warns of everything in `spec` that cannot mean what it says.
pub(super) fn review(spec: &Spec, protocol: Protocol) {
    match (&spec.default_action, spec.policies.as_slice()) {
        (None, [_, ..]) => tracing::warn!(
            "access control: no defaultAction is given, so calls that no policy covers are allowed"
        ),
        (Some(empty), _) if empty.is_empty() => tracing::warn!(
            "access control: defaultAction is empty, so calls that no policy covers are denied"
        ),
        _ => {}
    }
    for (app_id, what) in findings(spec, protocol) {
        tracing::warn!(app_id, "access control: {what}");
    }
}

/// What has no effect, with the app id of its policy.
fn findings(spec: &Spec, protocol: Protocol) -> Vec<(&str, String)> {
    let policies = spec.policies.iter().enumerate();
    policies
        .flat_map(|(position, policy)| {
            let later = &spec.policies[position + 1..];
            let replaced = later
                .iter()
                .any(|other| other.app_id == policy.app_id && other.namespace == policy.namespace);
            let replaced = replaced.then(|| {
                let namespace = &policy.namespace;
                format!("a later policy for this app in namespace {namespace:?} replaces this one")
            });
            let words = actions(policy);
            let shadows = shadows(policy, protocol);
            let all = replaced.into_iter().chain(words).chain(shadows);
            all.map(|what| (policy.app_id.as_str(), what))
        })
        .collect()
}

/// Words that are neither `allow` nor `deny`, and therefore deny.
fn actions(policy: &PolicySpec) -> Vec<String> {
    let own = (!policy.default_action.is_empty()).then_some(&policy.default_action);
    let of_operations = policy.operations.iter().map(|operation| &operation.action);
    own.into_iter()
        .chain(of_operations)
        .filter(|word| Action::parse(word) == Action::Deny && !word.eq_ignore_ascii_case("deny"))
        .map(|word| format!("the action {word:?} is neither allow nor deny, and denies"))
        .collect()
}

/// Operations that another one decides before.
fn shadows(policy: &PolicySpec, protocol: Protocol) -> Vec<String> {
    let operations = Operations::compile(&policy.operations, protocol);
    let numbered = policy.operations.iter().enumerate();
    numbered
        .filter_map(|(position, operation)| {
            let decided_by = operations.find(&name(operation, protocol))?.position;
            let other = &policy.operations[decided_by].name;
            (decided_by != position).then(|| {
                format!(
                    "operation {:?} never decides, since {other:?} decides before it",
                    operation.name
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{OperationSpec, PolicySpec, Protocol, Spec};
    use super::findings;

    fn policy(operations: &[&str]) -> PolicySpec {
        PolicySpec {
            app_id: "a".into(),
            namespace: "ns".into(),
            trust_domain: "public".into(),
            default_action: "deny".into(),
            operations: operations
                .iter()
                .map(|name| OperationSpec {
                    name: (*name).into(),
                    verbs: vec!["*".into()],
                    action: "allow".into(),
                })
                .collect(),
        }
    }

    fn check(policies: Vec<PolicySpec>, expected: &[&str]) {
        let spec = Spec {
            default_action: Some("deny".into()),
            policies,
        };
        let found = findings(&spec, Protocol::Http);
        let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn operation_that_another_one_decides_before_is_named() {
        check(vec![policy(&["/a", "/b/*", "/c/**"])], &[]);
        check(
            vec![policy(&["/a*", "/ab"])],
            &["operation \"/ab\" never decides, since \"/a*\" decides before it"],
        );
        // Also one that was written first: a rule covers the paths below its own.
        check(
            vec![policy(&["/a/b", "/a"])],
            &["operation \"/a/b\" never decides, since \"/a\" decides before it"],
        );
        check(
            vec![policy(&["/A", "a"])],
            &["operation \"a\" never decides, since \"/A\" decides before it"],
        );
    }

    #[test]
    fn policy_that_is_replaced_and_word_that_is_no_action_are_named() {
        let mut misspelt = policy(&[]);
        misspelt.default_action = "alow".into();
        check(
            vec![policy(&[]), misspelt],
            &[
                "a later policy for this app in namespace \"ns\" replaces this one",
                "the action \"alow\" is neither allow nor deny, and denies",
            ],
        );
    }
}
