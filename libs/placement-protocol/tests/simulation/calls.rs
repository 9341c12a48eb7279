//! Calls of actors, and what must hold of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    sidecar::{Call, Model, Sidecar},
    world::{What, World},
};

pub(crate) const IDS: [&str; 6] = ["1", "2", "actor-2", "user", "x", "longer-id"];

impl World {
    pub(crate) fn call(&mut self) {
        let entity = Arc::clone(&self.types[self.random.below(self.types.len())]);
        let id = self.random.below(IDS.len());
        let time = self.time;
        let awake = self.sidecars.iter_mut().enumerate();
        let serving: Vec<usize> = awake
            .filter(|(_, sidecar)| !sidecar.frozen(time))
            .filter_map(|(index, sidecar)| sidecar.serves(&entity, id, time).then_some(index))
            .collect();
        self.trace(|| format!("  {entity}/{} is served by {serving:?}", IDS[id]));
        for index in serving {
            let ends = self.time + self.random.millis(1, 800);
            self.calls += 1;
            let call = Call {
                entity: Arc::clone(&entity),
                id,
                ends,
            };
            self.sidecars[index].calls.insert(self.calls, call);
            self.outcome.calls += 1;
            let incarnation = self.sidecars[index].incarnation;
            self.at(ends, What::CallEnds(index, incarnation, self.calls));
        }
        self.check_single(&entity, id);
        let next = self.random.millis(1, self.plan.between_calls);
        self.later(next, What::Call);
    }

    pub(crate) fn end_call(&mut self, index: usize, incarnation: u64, call: u64) {
        if self.sidecars[index].incarnation == incarnation {
            self.sidecars[index].calls.remove(&call);
        }
    }

    /// No two sidecars serve one actor at the same time. A frozen one cannot cut short what was under way
    /// when its lease ends: this is counted.
    fn check_single(&mut self, entity: &Arc<str>, id: usize) {
        let time = self.time;
        let running =
            |call: &Call| call.id == id && call.ends > time && Arc::ptr_eq(&call.entity, entity);
        let serving: Vec<&Sidecar> = self
            .sidecars
            .iter()
            .filter(|sidecar| sidecar.calls.values().any(running))
            .collect();
        if serving.len() < 2 {
            return;
        }
        let ours = serving.iter().filter(|it| it.model == Model::Trilby);
        let awake = ours
            .clone()
            .filter(|it| !it.frozen(time) || it.is_leased(time));
        assert!(
            awake.count() < 2,
            "{entity}/{} is served by {:?} at {time:?}",
            IDS[id],
            serving.iter().map(|it| &it.name).collect::<Vec<_>>()
        );
        match ours.count() == serving.len() {
            true => self.outcome.frozen_overlaps += 1,
            false => self.outcome.overlaps += 1,
        }
    }

    pub(crate) fn check_agreement(&self) {
        assert_eq!(self.server.namespace.phase(), None, "no round is stuck");
        let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for sidecar in &self.sidecars {
            for entity in &sidecar.hosting {
                expected.entry(entity).or_default().insert(&sidecar.name);
            }
        }
        for (index, sidecar) in self.sidecars.iter().enumerate() {
            assert!(sidecar.link.is_some(), "{index} is connected");
            assert!(!sidecar.holds_back(), "no type stays held at {index}");
            let routing = sidecar.client.routing();
            let version = self.server.namespace.version();
            assert_eq!(routing.version(), Some(version), "at {index}");
            let known: BTreeMap<&str, BTreeSet<&str>> = routing
                .types()
                .map(|(entity, route)| {
                    let names = route.hosts().iter().map(|host| &*host.address);
                    (&**entity, names.collect())
                })
                .collect();
            assert_eq!(known, expected, "at {index}");
        }
        assert!(self.outcome.calls > 0, "something was called");
    }
}
