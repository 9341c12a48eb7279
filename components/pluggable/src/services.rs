//! Which services make which building block.

use std::collections::BTreeSet;

use trilby_components::registry::Block;

/// A service of the component API that is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// Makes a state store.
    StateStore,
    /// Transactions of a state store.
    Transactions,
    /// Queries of a state store.
    Queries,
    /// The size of its transactions.
    TransactionSize,
    /// Makes a secret store.
    SecretStore,
}

/// What a process serves.
pub(crate) type Services = BTreeSet<Service>;

/// What all their names start with.
const PACKAGE: &str = "dapr.proto.components.v1.";

/// Their names in that package.
const NAMES: &[(&str, Service)] = &[
    ("StateStore", Service::StateStore),
    ("TransactionalStateStore", Service::Transactions),
    ("QueriableStateStore", Service::Queries),
    ("TransactionalStoreMultiMaxSize", Service::TransactionSize),
    ("SecretStore", Service::SecretStore),
];

/// The service that makes a component of a block.
const BLOCKS: &[(Block, Service)] = &[
    (Block::State, Service::StateStore),
    (Block::SecretStore, Service::SecretStore),
];

/// Those services that are used here, and the names of the others of the component API.
pub(crate) fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> (Services, Vec<&'a str>) {
    let (mut services, mut others) = (Services::new(), Vec::new());
    let of_components = names
        .into_iter()
        .filter_map(|name| name.strip_prefix(PACKAGE));
    for name in of_components {
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, service)) => drop(services.insert(*service)),
            None => others.push(name),
        }
    }
    (services, others)
}

/// Whether such a process is a component of the block.
pub(crate) fn serve(services: &Services, block: Block) -> bool {
    let makes = BLOCKS.iter().find(|(made, _)| *made == block);
    makes.is_some_and(|(_, service)| services.contains(service))
}

/// The blocks of which components can be made.
pub(crate) fn blocks() -> impl Iterator<Item = Block> {
    BLOCKS.iter().map(|(block, _)| *block)
}

#[cfg(test)]
mod tests {
    use trilby_components::registry::Block;

    use super::{Service, Services, known, serve};

    #[test]
    fn services_of_other_packages_are_nobodys_business() {
        let names = [
            "grpc.reflection.v1.ServerReflection",
            "dapr.proto.components.v1.StateStore",
            "dapr.proto.components.v1.PubSub",
            "StateStore",
        ];
        let (services, others) = known(names);
        assert_eq!(services, Services::from([Service::StateStore]));
        assert_eq!(others, ["PubSub"]);
    }

    #[test]
    fn a_block_is_made_by_its_own_service() {
        let queries = Services::from([Service::Queries, Service::SecretStore]);
        assert!(!serve(&queries, Block::State));
        assert!(serve(&queries, Block::SecretStore));
        assert!(!serve(&queries, Block::PubSub));
    }
}
