//! Policies that apply to targets which no resource names, found by their own names.
//!
//! `Default<level><part>Policy`, where part is `Retry`, `Timeout` or `CircuitBreaker`, and the levels of a
//! target are tried from the narrowest to the widest, which is empty.

use crate::definition::Names;
use crate::policies::{ComponentKind, Direction};

/// The levels of apps.
pub(crate) const APP: &[&str] = &["App", ""];
/// The levels of actors.
pub(crate) const ACTOR: &[&str] = &["Actor", ""];

/// The levels of a component.
pub(crate) fn component(kind: ComponentKind, direction: Direction) -> [String; 4] {
    let way = match direction {
        Direction::Inbound => "Inbound",
        Direction::Outbound => "Outbound",
    };
    [
        format!("{}Component{way}", kind.name()),
        format!("Component{way}"),
        "Component".to_owned(),
        String::new(),
    ]
}

/// The first policy of each part that is defined, from the narrowest level to the widest.
pub(crate) fn names<L: AsRef<str>>(levels: &[L], defined: &impl Defined) -> Names {
    let first = |part: &str, is_defined: &dyn Fn(&str) -> bool| {
        let names = levels
            .iter()
            .map(|level| format!("Default{}{part}Policy", level.as_ref()));
        names
            .into_iter()
            .find(|name| is_defined(name))
            .unwrap_or_default()
    };
    Names {
        timeout: first("Timeout", &|name| defined.timeout(name)),
        retry: first("Retry", &|name| defined.retry(name)),
        breaker: first("CircuitBreaker", &|name| defined.breaker(name)),
    }
}

/// Which policies there are.
pub(crate) trait Defined {
    /// A timeout of that name.
    fn timeout(&self, name: &str) -> bool;
    /// Retries of that name.
    fn retry(&self, name: &str) -> bool;
    /// A circuit breaker of that name.
    fn breaker(&self, name: &str) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Set(&'static [&'static str]);

    impl Defined for Set {
        fn timeout(&self, name: &str) -> bool {
            self.0.contains(&name)
        }

        fn retry(&self, name: &str) -> bool {
            self.0.contains(&name)
        }

        fn breaker(&self, name: &str) -> bool {
            self.0.contains(&name)
        }
    }

    #[test]
    fn narrowest_level_wins_part_by_part() {
        let defined = Set(&[
            "DefaultRetryPolicy",
            "DefaultComponentRetryPolicy",
            "DefaultStatestoreComponentOutboundRetryPolicy",
            "DefaultComponentOutboundTimeoutPolicy",
            "DefaultCircuitBreakerPolicy",
        ]);
        let levels = component(ComponentKind::StateStore, Direction::Outbound);
        let names = names(&levels, &defined);
        assert_eq!(names.retry, "DefaultStatestoreComponentOutboundRetryPolicy");
        assert_eq!(names.timeout, "DefaultComponentOutboundTimeoutPolicy");
        assert_eq!(names.breaker, "DefaultCircuitBreakerPolicy");
    }

    #[test]
    fn other_kinds_and_ways_do_not_apply() {
        let defined = Set(&[
            "DefaultPubsubComponentOutboundRetryPolicy",
            "DefaultComponentInboundTimeoutPolicy",
        ]);
        let levels = component(ComponentKind::StateStore, Direction::Outbound);
        assert_eq!(names(&levels, &defined), Names::default());
    }

    #[test]
    fn apps_and_actors_have_levels_of_their_own() {
        let defined = Set(&[
            "DefaultAppRetryPolicy",
            "DefaultActorTimeoutPolicy",
            "DefaultTimeoutPolicy",
        ]);
        let app = names(APP, &defined);
        assert_eq!(
            (app.retry.as_str(), app.timeout.as_str()),
            ("DefaultAppRetryPolicy", "DefaultTimeoutPolicy")
        );
        let actor = names(ACTOR, &defined);
        assert_eq!(
            (actor.retry.as_str(), actor.timeout.as_str()),
            ("", "DefaultActorTimeoutPolicy")
        );
    }
}
