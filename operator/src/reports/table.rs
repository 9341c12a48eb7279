//! Resources and sidecars, and which resources something happened to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tracing::warn;
use trilby_crds::ResourceStatus;
use trilby_proto::trilby::operator::v1::{ResourceState, resource_state};

use super::{Id, count};
use crate::resource::{Key, Kind};

/// Resources that one sidecar may report about: far more than any has.
const MOST_STATES: usize = 4096;
/// Bytes of the name and the uid of an object; Kubernetes has none that are longer.
const LONGEST_NAME: usize = 253;
/// Bytes of a message that are kept.
const LONGEST_MESSAGE: usize = 1024;

/// Which version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub uid: Box<str>,
    pub generation: i64,
}

/// A resource, as far as its status goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub version: Version,
    /// App ids that it is for; empty: all.
    pub scopes: Box<[Box<str>]>,
    pub acceptance: Acceptance,
    /// What its status says; `None` if it has none that can be read.
    pub status: Option<ResourceStatus>,
}

/// Whether the operator can serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    Accepted,
    /// Its secrets are being read for the first time.
    Unknown,
    /// It is not a resource of its kind.
    Undecodable(String),
    /// A secret of it cannot be read.
    SecretUnreadable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SidecarId(u64);

/// One sidecar and what it said.
pub(super) struct Sidecar {
    pub(super) app_id: Arc<str>,
    states: HashMap<Kind, HashMap<Box<str>, Standing>>,
    count: usize,
}

/// Where one resource stands in one sidecar.
pub(super) struct Standing {
    pub(super) version: Version,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Pending,
    Loaded,
    Failed(Box<str>),
}

#[derive(Default)]
pub(super) struct Table {
    resources: HashMap<Id, Known>,
    namespaces: HashMap<Arc<str>, HashMap<SidecarId, Sidecar>>,
    /// Where each sidecar is.
    sidecars: HashMap<SidecarId, Arc<str>>,
    next: u64,
    changes: HashSet<Id>,
}

impl Table {
    pub(super) fn know(&mut self, id: &Id, resource: Known) {
        let old = self.resources.insert(id.clone(), resource);
        if old.as_ref() != self.resources.get(id) {
            self.changes.insert(id.clone());
        }
    }

    /// An object that is no resource stays one, whatever becomes of the secrets of the one before it.
    pub(super) fn accept(&mut self, id: &Id, acceptance: Acceptance) {
        let Some(resource) = self.resources.get_mut(id) else {
            return;
        };
        let broken = matches!(resource.acceptance, Acceptance::Undecodable(_));
        if !broken && resource.acceptance != acceptance {
            resource.acceptance = acceptance;
            self.changes.insert(id.clone());
        }
    }

    pub(super) fn retain(&mut self, kind: Kind, keys: &HashSet<Key>) {
        let stays = |(of, key): &Id| *of != kind || keys.contains(key);
        self.resources.retain(|id, _| stays(id));
        self.changes.retain(stays);
    }

    pub(super) fn forget(&mut self, id: &Id) {
        self.resources.remove(id);
        self.changes.remove(id);
    }

    pub(super) fn written(&mut self, id: &Id, status: ResourceStatus) {
        if let Some(resource) = self.resources.get_mut(id) {
            resource.status = Some(status);
        }
    }

    pub(super) fn connect(&mut self, namespace: &str, app_id: &str) -> SidecarId {
        let id = SidecarId(self.next);
        self.next += 1;
        let namespace: Arc<str> = namespace.into();
        self.sidecars.insert(id, Arc::clone(&namespace));
        let sidecar = Sidecar {
            app_id: app_id.into(),
            states: HashMap::new(),
            count: 0,
        };
        let sidecars = self.namespaces.entry(Arc::clone(&namespace)).or_default();
        sidecars.insert(id, sidecar);
        self.touch_those_of(&namespace, app_id);
        id
    }

    pub(super) fn disconnect(&mut self, id: SidecarId) {
        let Some(namespace) = self.sidecars.remove(&id) else {
            return;
        };
        let Some(sidecars) = self.namespaces.get_mut(&namespace) else {
            return;
        };
        let sidecar = sidecars.remove(&id);
        if sidecars.is_empty() {
            self.namespaces.remove(&namespace);
        }
        if let Some(sidecar) = sidecar {
            self.touch_those_of(&namespace, &sidecar.app_id);
        }
    }

    /// Every resource that counts the app's sidecars.
    fn touch_those_of(&mut self, namespace: &str, app_id: &str) {
        let touched = self
            .resources
            .iter()
            .filter(|((_, key), resource)| *key.namespace == *namespace && resource.is_for(app_id));
        self.changes.extend(touched.map(|(id, _)| id.clone()));
    }

    pub(super) fn touch_all(&mut self) {
        self.changes.extend(self.resources.keys().cloned());
    }

    pub(super) fn take(&mut self, id: SidecarId, state: ResourceState) {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == state.kind) else {
            // A newer sidecar knows more kinds.
            return;
        };
        if state.name.len().max(state.uid.len()) > LONGEST_NAME {
            return;
        }
        let Some(namespace) = self.sidecars.get(&id).cloned() else {
            return;
        };
        let sidecars = self.namespaces.get_mut(&namespace);
        let Some(sidecar) = sidecars.and_then(|sidecars| sidecars.get_mut(&id)) else {
            return;
        };
        let name: Arc<str> = state.name.as_str().into();
        sidecar.take(kind, state);
        let resource = (kind, Key { namespace, name });
        if self.resources.contains_key(&resource) {
            self.changes.insert(resource);
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn take_changes(&mut self) -> HashSet<Id> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn status(&self, id: &Id) -> Option<(Known, ResourceStatus)> {
        let resource = self.resources.get(id)?;
        let sidecars = self.namespaces.get(&id.1.namespace);
        let sidecars = sidecars.into_iter().flat_map(HashMap::values);
        Some((resource.clone(), count::status(id, resource, sidecars)))
    }
}

impl Known {
    pub(super) fn is_for(&self, app_id: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| **scope == *app_id)
    }
}

impl Sidecar {
    pub(super) fn standing(&self, kind: Kind, name: &str) -> Option<&Standing> {
        self.states.get(&kind)?.get(name)
    }

    fn take(&mut self, kind: Kind, state: ResourceState) {
        let states = self.states.entry(kind).or_default();
        let outcome = match state.outcome {
            Some(resource_state::Outcome::Pending(_)) => Outcome::Pending,
            Some(resource_state::Outcome::Loaded(_)) => Outcome::Loaded,
            Some(resource_state::Outcome::Failed(failed)) => {
                let end = failed.message.floor_char_boundary(LONGEST_MESSAGE);
                Outcome::Failed(failed.message[..end].into())
            }
            // An outcome that only a newer sidecar knows tells nothing.
            Some(resource_state::Outcome::Removed(_)) | None => {
                if states.remove(state.name.as_str()).is_some() {
                    self.count -= 1;
                }
                return;
            }
        };
        let standing = Standing {
            version: Version {
                uid: state.uid.into(),
                generation: state.generation,
            },
            outcome,
        };
        if let Some(known) = states.get_mut(state.name.as_str()) {
            *known = standing;
        } else if self.count < MOST_STATES {
            self.count += 1;
            states.insert(state.name.into(), standing);
        } else {
            warn!(
                app_id = %self.app_id,
                limit = MOST_STATES,
                "a sidecar reports about more resources than are counted"
            );
        }
    }
}
