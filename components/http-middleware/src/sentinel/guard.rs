//! All rules of one component, and what they count.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    breaker::Breaker,
    flow::{Flow, Flowing},
    rules::Rules,
    system::System,
};

/// The rules and their state. The lock is held for a look at a few numbers, never while waiting.
pub(super) struct Guard {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    system: System,
    flows: Vec<Flow>,
    resources: HashMap<String, Resource>,
}

/// One resource that a rule names.
#[derive(Default)]
struct Resource {
    /// Rules about its requests, in order; places in [`State::flows`].
    flows: Vec<usize>,
    /// Rules that count its requests.
    counted_by: Vec<usize>,
    breakers: Vec<Breaker>,
    /// Most requests at once.
    most: Option<u32>,
    running: u32,
}

/// A request under way; its end is its drop.
pub(super) struct Entry {
    guard: Arc<Guard>,
    resource: String,
    began: Instant,
}

impl Guard {
    pub(super) fn new(rules: Rules) -> Self {
        let mut resources: HashMap<String, Resource> = HashMap::new();
        let mut named = |name: &str, add: &dyn Fn(&mut Resource)| {
            add(resources.entry(name.to_owned()).or_default());
        };
        for (place, rule) in rules.flow.iter().enumerate() {
            named(&rule.resource, &|resource| resource.flows.push(place));
            named(rule.counted(), &|resource| resource.counted_by.push(place));
        }
        for rule in &rules.isolation {
            named(&rule.resource, &|resource| {
                let most = resource
                    .most
                    .map_or(rule.threshold, |most| most.min(rule.threshold));
                resource.most = Some(most);
            });
        }
        for rule in &rules.breakers {
            named(&rule.resource, &|resource| {
                resource.breakers.push(Breaker::new(rule.clone()));
            });
        }
        Self {
            began: Instant::now(),
            state: Mutex::new(State {
                system: System::new(rules.system),
                flows: rules.flow.into_iter().map(Flow::new).collect(),
                resources,
            }),
        }
    }

    /// Lets a request in, perhaps after a while; `None` when a rule refuses it.
    pub(super) async fn enter(self: &Arc<Self>, resource: &str) -> Option<Entry> {
        if !self.state.lock().system.admits(self.now()) {
            return None;
        }
        let flows = self.state.lock().flows_of(resource);
        for flow in flows {
            let flowing = self.state.lock().flows[flow].check(self.now());
            match flowing {
                Flowing::Pass => {}
                Flowing::Wait(time) => sleep(time).await,
                Flowing::Refuse => return None,
            }
        }
        let admitted = self.state.lock().admit(resource, self.now());
        admitted.then(|| Entry {
            guard: Arc::clone(self),
            resource: resource.to_owned(),
            began: Instant::now(),
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl State {
    fn flows_of(&self, resource: &str) -> Vec<usize> {
        let resource = self.resources.get(resource);
        resource
            .map(|resource| resource.flows.clone())
            .unwrap_or_default()
    }

    /// The last two questions, and the note that the request passed.
    fn admit(&mut self, resource: &str, now: Duration) -> bool {
        if let Some(resource) = self.resources.get_mut(resource) {
            if resource.most.is_some_and(|most| resource.running >= most) {
                return false;
            }
            let refuser = resource
                .breakers
                .iter_mut()
                .position(|breaker| !breaker.admits(now));
            if let Some(refuser) = refuser {
                for breaker in &mut resource.breakers[..refuser] {
                    breaker.take_back(now);
                }
                return false;
            }
            resource.running += 1;
            for flow in &resource.counted_by {
                self.flows[*flow].passed(now);
            }
        }
        self.system.passed(now);
        true
    }

    fn completed(&mut self, resource: &str, now: Duration, time: Duration) {
        self.system.completed(now, time);
        if let Some(resource) = self.resources.get_mut(resource) {
            resource.running = resource.running.saturating_sub(1);
            for breaker in &mut resource.breakers {
                breaker.completed(now, time);
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let (now, time) = (self.guard.now(), self.began.elapsed());
        let mut state = self.guard.state.lock();
        state.completed(&self.resource, now, time);
    }
}
