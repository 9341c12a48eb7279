//! Routes of upstream's whose block is not there yet. Each has the name and the path that rules and metrics know.

use http::Method;

use super::group::Group;
use super::route::Version;

/// The API that a request asks for, if it is one of them.
pub(super) fn absent(
    (version, api): (Version, &str),
    method: &Method,
    rest: &[&str],
) -> Option<Group> {
    let reads = method == Method::GET;
    let posts = method == Method::POST;
    match api {
        "jobs" if posts || reads || method == Method::DELETE => jobs(version, rest),
        "workflows" if reads => workflow(version, rest),
        "workflows" if posts => workflow_command(version, rest),
        "conversation" if posts => conversation(version, rest),
        _ => None,
    }
}

const fn group(name: &'static str, template: &'static str) -> Option<Group> {
    Some(Group { name, template })
}

fn jobs(version: Version, rest: &[&str]) -> Option<Group> {
    match (version, rest) {
        (Version::V1, [_]) => group("v1/jobs", "/v1.0/jobs/{name}"),
        (Version::Alpha1, [_]) => group("v1alpha1/jobs", "/v1.0-alpha1/jobs/{name}"),
        _ => None,
    }
}

/// A workflow path in one of its three versions.
macro_rules! workflows {
    ($version:expr, $tail:literal) => {
        match $version {
            Version::V1 => group(
                "v1/workflows",
                concat!("/v1.0/workflows/{workflowComponent}/", $tail),
            ),
            Version::Beta1 => group(
                "v1beta1/workflows",
                concat!("/v1.0-beta1/workflows/{workflowComponent}/", $tail),
            ),
            Version::Alpha1 => group(
                "v1alpha1/workflows",
                concat!("/v1.0-alpha1/workflows/{workflowComponent}/", $tail),
            ),
            Version::Alpha2 => None,
        }
    };
}

fn workflow(version: Version, rest: &[&str]) -> Option<Group> {
    match rest {
        [_, _] => workflows!(version, "{instanceID}"),
        _ => None,
    }
}

fn workflow_command(version: Version, rest: &[&str]) -> Option<Group> {
    match rest {
        [_, _, "start"] => workflows!(version, "{workflowName}/start"),
        [_, _, "pause"] => workflows!(version, "{instanceID}/pause"),
        [_, _, "resume"] => workflows!(version, "{instanceID}/resume"),
        [_, _, "terminate"] => workflows!(version, "{instanceID}/terminate"),
        [_, _, "purge"] => workflows!(version, "{instanceID}/purge"),
        [_, _, "raiseEvent", _] => workflows!(version, "{instanceID}/raiseEvent/{eventName}"),
        _ => None,
    }
}

fn conversation(version: Version, rest: &[&str]) -> Option<Group> {
    match (version, rest) {
        (Version::Alpha1, [_, "converse"]) => group(
            "v1alpha1/conversation",
            "/v1.0-alpha1/conversation/{name}/converse",
        ),
        (Version::Alpha2, [_, "converse"]) => group(
            "v1alpha2/conversation",
            "/v1.0-alpha2/conversation/{name}/converse",
        ),
        _ => None,
    }
}
