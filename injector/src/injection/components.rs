//! Pluggable components: containers of the pod that its author names, and containers that Components declare.
//!
//! A Component declares the container that serves it as JSON, in an annotation of its own. A pod that asks for such
//! containers gets those of all Components of its namespace that its app is in the scope of, one for each image.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use trilby_crds::scopes_include;
use trilby_sidecar_args::{annotation, mount};

use super::{Cluster, Live, Refusal, annotations::Annotations};

/// The containers that Components declare, as far as is known. Components that declare none are not in it. The default is
/// that none does, and that this is certain.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// Of one namespace, by name of the Component: the order in which the API server lists them.
    namespaces: BTreeMap<Box<str>, BTreeMap<Box<str>, Declaration>>,
    /// Why nothing is known.
    unknown: Option<String>,
}

/// What one Component declares.
#[derive(Debug, Clone)]
pub struct Declaration {
    scopes: Box<[Box<str>]>,
    /// Or why it is none.
    container: Result<Box<Container>, String>,
}

/// The components that run beside one sidecar.
pub(super) struct Components<'a> {
    /// Containers of the pod.
    pub(super) containers: Vec<&'a str>,
    /// Containers to add.
    pub(super) declared: Vec<Container>,
    /// Where they and the sidecar meet.
    pub(super) sockets_folder: &'a str,
}

// === impl Declarations ===

impl Declarations {
    /// Nothing is known, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            unknown: Some(reason.into()),
            ..Self::default()
        }
    }

    /// Takes note of a Component: of what it declares, or that it declares nothing or is gone.
    pub fn set(&mut self, (namespace, name): (&str, &str), declaration: Option<Declaration>) {
        if let Some(declaration) = declaration {
            let components = self.namespaces.entry(namespace.into()).or_default();
            components.insert(name.into(), declaration);
        } else if let Some(components) = self.namespaces.get_mut(namespace) {
            components.remove(name);
            if components.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    fn of(&self, namespace: &str) -> Result<impl Iterator<Item = (&str, &Declaration)>, Refusal> {
        if let Some(reason) = &self.unknown {
            return Err(Refusal::Components(reason.clone()));
        }
        let components = self.namespaces.get(namespace).into_iter().flatten();
        Ok(components.map(|(name, declaration)| (&**name, declaration)))
    }
}

// === impl Declaration ===

impl Declaration {
    /// Reads the annotation of a Component with these scopes.
    #[must_use]
    pub fn read(json: &str, scopes: Vec<String>) -> Self {
        let container = match serde_json::from_str::<Container>(json) {
            Ok(container) if container.image.as_deref().unwrap_or_default().is_empty() => {
                Err("it names no image".to_owned())
            }
            Ok(container) => Ok(Box::new(container)),
            Err(error) => Err(error.to_string()),
        };
        Self {
            scopes: scopes.into_iter().map(String::into_boxed_str).collect(),
            container,
        }
    }
}

/// The components that the pod asks for; none is nothing.
pub(super) fn read<'a>(
    annotations: &mut Annotations<'a>,
    (app_id, pod): (&str, &Pod),
    cluster: &'a Cluster,
    live: Live<'_>,
) -> Result<Option<Components<'a>>, Refusal> {
    let containers = named(annotations);
    let asks = annotations.flag(annotation::INJECT_PLUGGABLE_COMPONENTS) == Some(true);
    let declared = if asks {
        declared(annotations, (app_id, pod), live)?
    } else {
        Vec::new()
    };
    let folder = annotations.filled(annotation::PLUGGABLE_COMPONENTS_SOCKETS_FOLDER);
    let some = !containers.is_empty() || !declared.is_empty();
    Ok(some.then(|| Components {
        containers,
        declared,
        sockets_folder: folder.unwrap_or(&cluster.sidecar.component_sockets_folder),
    }))
}

/// Containers of the pod that its author says are components. Blanks belong to a name, as upstream has it, so that one too
/// many makes an unknown container, which is told.
fn named<'a>(annotations: &mut Annotations<'a>) -> Vec<&'a str> {
    let names = annotations.filled(annotation::PLUGGABLE_COMPONENTS);
    let (containers, missing): (Vec<_>, Vec<_>) = names
        .into_iter()
        .flat_map(|names| names.split(','))
        .partition(|name| annotations.has_container(name));
    for name in missing {
        let reason = format_args!("the pod has no container {name:?}; ignored");
        annotations.warn(annotation::PLUGGABLE_COMPONENTS, reason);
    }
    containers
}

/// Containers that Components declare, by the name that each gets. What cannot be added is told.
fn declared(
    annotations: &mut Annotations<'_>,
    (app_id, pod): (&str, &Pod),
    live: Live<'_>,
) -> Result<Vec<Container>, Refusal> {
    let mut containers: Vec<Container> = Vec::new();
    for (component, declaration) in live.components.of(live.namespace)? {
        if !scopes_include(&declaration.scopes, app_id) {
            continue;
        }
        let reason = match &declaration.container {
            Err(reason) => reason.clone(),
            Ok(container)
                if containers
                    .iter()
                    .any(|other| other.image == container.image) =>
            {
                continue;
            }
            Ok(container) => {
                let container = under_a_name(container, component);
                let same = |other: &Container| other.name == container.name;
                if !is_taken(pod, &container.name) && !containers.iter().any(same) {
                    containers.push(container);
                    continue;
                }
                format!("there is a container {:?} already", container.name)
            }
        };
        annotations.warn(
            annotation::INJECT_PLUGGABLE_COMPONENTS,
            format_args!("the container of Component {component} is not added: {reason}"),
        );
    }
    Ok(containers)
}

fn under_a_name(container: &Container, component: &str) -> Container {
    let mut container = container.clone();
    if container.name.is_empty() {
        component.clone_into(&mut container.name);
    }
    container
}

fn is_taken(pod: &Pod, name: &str) -> bool {
    name == mount::CONTAINER || super::containers(pod).any(|container| container.name == name)
}
