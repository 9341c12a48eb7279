//! Several resources become one set of policies: what a later one defines replaces what an earlier one
//! defined under the same name. References are resolved after that, across resources.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Actor, Builtin, Component, ComponentKind, Keyed, Policies, Resolved};
use crate::breakers::Breakers;
use crate::defaults::{self, Defined};
use crate::definition::{ActorTarget, AppTarget, ComponentTarget};
use crate::machine::Settings;
use crate::observer::Subject;
use crate::retry::Retry;
use crate::{Definition, Direction, Names};

/// A resource in force.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) definition: Arc<Definition>,
}

/// A reference to a policy that no resource defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dangling {
    pub(crate) target: String,
    pub(crate) kind: &'static str,
    pub(crate) policy: String,
}

/// What came from where.
struct From<'a, T> {
    value: &'a T,
    resource: &'a Named,
}

impl<T> Clone for From<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for From<'_, T> {}

type Table<'a, T> = HashMap<&'a str, From<'a, T>>;

/// Everything defined, by name.
struct Merged<'a> {
    timeouts: Table<'a, Duration>,
    retries: Table<'a, Arc<Retry>>,
    breakers: Table<'a, Arc<Settings>>,
    apps: Table<'a, AppTarget>,
    actors: Table<'a, ActorTarget>,
    components: Table<'a, ComponentTarget>,
    builtin: HashMap<&'static str, Arc<Retry>>,
    dangling: BTreeSet<Dangling>,
}

impl Policies {
    /// The policies of these resources, with the breakers of a former generation where they still apply, and
    /// the references that lead nowhere.
    pub(crate) fn merge(resources: &[Named], former: &Self) -> (Self, BTreeSet<Dangling>) {
        let mut merged = Merged::new(resources);
        let apps = merged.apps.clone();
        let apps = apps.into_iter().map(|(id, target)| {
            let former = former.apps.get(id).map(|former| &former.breakers);
            let keyed = merged.app(id, target, former);
            (id.to_owned(), Arc::new(keyed))
        });
        let apps = apps.collect();
        let actors = merged.actors.clone();
        let actors = actors.into_iter().map(|(kind, target)| {
            let former = former.actors.get(kind);
            let former = former.filter(|former| former.scope == target.value.scope);
            let actor = merged.actor(kind, target, former.map(|former| &former.keyed.breakers));
            (kind.to_owned(), Arc::new(actor))
        });
        let actors = actors.collect();
        let components = merged.components.clone();
        let components = components.into_iter().map(|(name, target)| {
            let component = merged.component(name, target);
            (name.to_owned(), component)
        });
        let components = components.collect();
        let policies = Self {
            apps,
            actors,
            components,
            default_app: merged.default(defaults::APP),
            default_actor: merged.default(defaults::ACTOR),
            default_components: merged.default_components(),
            builtin: Builtin::ALL.map(|builtin| merged.builtin(builtin)),
            live: Arc::clone(&former.live),
        };
        (policies, merged.dangling)
    }
}

impl<'a> Merged<'a> {
    fn new(resources: &'a [Named]) -> Self {
        Self {
            timeouts: table(resources, |definition| &definition.timeouts),
            retries: table(resources, |definition| &definition.retries),
            breakers: table(resources, |definition| &definition.breakers),
            apps: table(resources, |definition| &definition.apps),
            actors: table(resources, |definition| &definition.actors),
            components: table(resources, |definition| &definition.components),
            builtin: Builtin::ALL
                .into_iter()
                .map(|builtin| (builtin.name(), Arc::new(builtin.retry())))
                .collect(),
            dangling: BTreeSet::new(),
        }
    }

    fn app(
        &mut self,
        id: &str,
        target: From<'_, AppTarget>,
        former: Option<&Arc<Breakers>>,
    ) -> Keyed {
        let policy = self.resolve(&format!("apps.{id}"), &target.value.names, target.resource);
        let subject = policy.subject(Direction::Outbound, format!("app_{id}"));
        keyed(
            policy,
            subject,
            Breakers::kept(former, target.value.cache_size),
        )
    }

    fn actor(
        &mut self,
        kind: &str,
        target: From<'_, ActorTarget>,
        former: Option<&Arc<Breakers>>,
    ) -> Actor {
        let policy = self.resolve(
            &format!("actors.{kind}"),
            &target.value.names,
            target.resource,
        );
        let subject = policy.subject(Direction::Outbound, format!("actor_{kind}"));
        Actor {
            keyed: keyed(
                policy,
                subject,
                Breakers::kept(former, target.value.cache_size),
            ),
            scope: target.value.scope,
        }
    }

    fn component(&mut self, name: &str, target: From<'_, ComponentTarget>) -> Component {
        let ComponentTarget { inbound, outbound } = target.value;
        Component {
            inbound: self.resolve(
                &format!("components.{name}.inbound"),
                inbound,
                target.resource,
            ),
            outbound: self.resolve(
                &format!("components.{name}.outbound"),
                outbound,
                target.resource,
            ),
        }
    }

    fn builtin(&self, builtin: Builtin) -> Arc<Retry> {
        self.retry(builtin.name())
            .expect("built-in policies are defined")
    }

    fn retry(&self, name: &str) -> Option<Arc<Retry>> {
        let defined = self.retries.get(name).map(|retry| Arc::clone(retry.value));
        defined.or_else(|| self.builtin.get(name).cloned())
    }

    fn resolve(&mut self, target: &str, names: &Names, resource: &Named) -> Resolved {
        let timeout = self
            .timeouts
            .get(names.timeout.as_str())
            .map(|found| *found.value);
        let retry = self.retry(&names.retry);
        let breaker = self.breakers.get(names.breaker.as_str());
        let breaker = breaker.map(|found| Arc::clone(found.value));
        for (kind, name, is_found) in [
            ("timeout", &names.timeout, timeout.is_some()),
            ("retry", &names.retry, retry.is_some()),
            ("circuit breaker", &names.breaker, breaker.is_some()),
        ] {
            if !name.is_empty() && !is_found {
                self.dangling.insert(Dangling {
                    target: target.to_owned(),
                    kind,
                    policy: name.clone(),
                });
            }
        }
        Resolved {
            resource: Arc::clone(&resource.name),
            namespace: Arc::clone(&resource.namespace),
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            retry,
            breaker,
        }
    }

    fn default_components(&mut self) -> HashMap<(ComponentKind, Direction), Resolved> {
        let mut found = HashMap::new();
        for kind in ComponentKind::ALL {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let policy = self.default(&defaults::component(kind, direction));
                found.extend(policy.map(|policy| ((kind, direction), policy)));
            }
        }
        found
    }

    /// The default policy of a target's levels, named after the resource that defined a part of it.
    fn default<L: AsRef<str>>(&mut self, levels: &[L]) -> Option<Resolved> {
        let names = defaults::names(levels, self);
        let timeout = self
            .timeouts
            .get(names.timeout.as_str())
            .map(|found| found.resource);
        let retry = self
            .retries
            .get(names.retry.as_str())
            .map(|found| found.resource);
        let breaker = self
            .breakers
            .get(names.breaker.as_str())
            .map(|found| found.resource);
        let resource = timeout.or(retry).or(breaker)?;
        Some(self.resolve("default", &names, resource)).filter(|policy| !policy.is_empty())
    }
}

impl Defined for Merged<'_> {
    fn timeout(&self, name: &str) -> bool {
        self.timeouts.contains_key(name)
    }

    fn retry(&self, name: &str) -> bool {
        self.retries.contains_key(name)
    }

    fn breaker(&self, name: &str) -> bool {
        self.breakers.contains_key(name)
    }
}

fn keyed(policy: Resolved, subject: Subject, breakers: Arc<Breakers>) -> Keyed {
    Keyed {
        policy,
        subject: Arc::new(subject),
        breakers,
    }
}

fn table<'a, T>(
    resources: &'a [Named],
    part: impl Fn(&'a Definition) -> &'a HashMap<String, T>,
) -> Table<'a, T> {
    let mut table = Table::new();
    for resource in resources {
        for (name, value) in part(&resource.definition) {
            table.insert(name, From { value, resource });
        }
    }
    table
}
