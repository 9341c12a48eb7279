//! From what sidecars say to a resource's status. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use trilby_crds::{AppStatus, Condition, ConditionType, Reason, ResourceStatus, Truth};

use super::{
    Id,
    table::{Acceptance, Known, Outcome, Sidecar},
};
use crate::resource::Kind;

/// Apps that a status lists.
const MOST_APPS: usize = 100;
/// Bytes of an app's last error.
const LONGEST_ERROR: usize = 512;

/// What the resource's status is to say. Times are those of the status that it has, where a condition is as it was,
/// and the beginning of time elsewhere.
pub(super) fn status<'a>(
    (kind, key): &Id,
    resource: &Known,
    sidecars: impl Iterator<Item = &'a Sidecar>,
) -> ResourceStatus {
    let mut apps: BTreeMap<&str, AppStatus> = BTreeMap::new();
    for sidecar in sidecars {
        let standing = sidecar.standing(*kind, &key.name);
        let expected = match kind {
            // A sidecar has one at most, which it is told by name.
            Kind::Configuration => standing.is_some(),
            _ => resource.is_for(&sidecar.app_id),
        };
        if !expected {
            continue;
        }
        let app = apps.entry(&sidecar.app_id).or_default();
        app.expected += 1;
        let of_this_version = standing.filter(|standing| standing.version == resource.version);
        if let Some(standing) = of_this_version {
            count(app, &standing.outcome);
        }
    }
    summarise(resource, apps)
}

fn count(app: &mut AppStatus, outcome: &Outcome) {
    match outcome {
        Outcome::Pending => {}
        Outcome::Loaded => app.loaded += 1,
        Outcome::Failed(message) => {
            app.failed += 1;
            let shown = &message[..message.floor_char_boundary(LONGEST_ERROR)];
            // Of several the same one each time, so that nothing seems to change.
            if app.last_error.is_empty() || shown < app.last_error.as_str() {
                app.last_error = shown.to_owned();
            }
        }
    }
}

fn summarise(resource: &Known, apps: BTreeMap<&str, AppStatus>) -> ResourceStatus {
    let sum = |part: fn(&AppStatus) -> i32| apps.values().map(part).sum::<i32>();
    let (expected, loaded, failed) = (
        sum(|app| app.expected),
        sum(|app| app.loaded),
        sum(|app| app.failed),
    );
    let mut apps: Vec<AppStatus> = apps
        .into_iter()
        .map(|(app_id, app)| AppStatus {
            app_id: app_id.to_owned(),
            ..app
        })
        .collect();
    apps.sort_by_key(|app| app.failed == 0);
    apps.truncate(MOST_APPS);
    let mut status = ResourceStatus {
        observed_generation: resource.version.generation,
        conditions: Vec::new(),
        sidecars: format!("{loaded}/{expected}"),
        expected,
        loaded,
        failed,
        apps,
    };
    status.conditions = vec![
        condition(resource, ConditionType::Accepted, accepted(resource)),
        condition(resource, ConditionType::Loaded, in_force(&status)),
    ];
    status
}

type Verdict = (Truth, Reason, String);

fn accepted(resource: &Known) -> Verdict {
    match &resource.acceptance {
        Acceptance::Accepted => (Truth::True, Reason::Accepted, "it is served".to_owned()),
        Acceptance::Unknown => (
            Truth::Unknown,
            Reason::Pending,
            "its secrets are being read".to_owned(),
        ),
        Acceptance::Undecodable(why) => (Truth::False, Reason::Undecodable, why.clone()),
        Acceptance::SecretUnreadable(why) => (Truth::False, Reason::SecretUnreadable, why.clone()),
    }
}

fn in_force(status: &ResourceStatus) -> Verdict {
    let ResourceStatus {
        expected,
        loaded,
        failed,
        ..
    } = status;
    if *failed > 0 {
        let first = status.apps.first();
        let (app_id, error) = first.map_or(("", ""), |app| (&app.app_id, &app.last_error));
        let text = format!("{failed} of {expected} sidecars cannot load it; {app_id}: {error}");
        return (Truth::False, Reason::Failed, text);
    }
    if *expected == 0 {
        let text = "no sidecar that reports is to load it".to_owned();
        return (Truth::Unknown, Reason::NoSidecars, text);
    }
    let text = format!("{loaded} of {expected} sidecars have loaded it");
    match loaded == expected {
        true => (Truth::True, Reason::Loaded, text),
        false => (Truth::Unknown, Reason::Pending, text),
    }
}

fn condition(
    resource: &Known,
    type_: ConditionType,
    (status, reason, message): Verdict,
) -> Condition {
    let before = resource.status.as_ref();
    let before = before.and_then(|before| before.condition(type_));
    let unchanged = before.filter(|before| before.status == status);
    let since = unchanged.map_or(Timestamp::UNIX_EPOCH, |before| {
        before.last_transition_time.0
    });
    Condition {
        type_,
        status,
        reason,
        message,
        last_transition_time: Time(since),
        observed_generation: resource.version.generation,
    }
}
