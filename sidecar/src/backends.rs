//! Which technologies serve the building blocks of this build.

use trilby_components::definition::Definition;
use trilby_components::registry::Registry;

/// Every component type of this build. One that a feature leaves out is still known by name and says so.
pub fn registry() -> Registry {
    let registry = Registry::in_memory().with_resolvers(crate::resolver::backends());
    let registry = registry.with(trilby_components_crypto::backends());
    #[cfg(feature = "cron")]
    let registry = registry.with(trilby_components_cron::backends());
    #[cfg(feature = "redis")]
    let registry = registry.with(trilby_components_redis::backends());
    #[cfg(feature = "mysql")]
    let registry = registry.with(trilby_components_mysql::backends());
    #[cfg(feature = "postgresql")]
    let registry = registry.with(trilby_components_postgresql::backends());
    #[cfg(feature = "kubernetes")]
    let registry = registry.with(trilby_components_kubernetes::backends());
    #[cfg(feature = "kubernetes")]
    let registry = registry.with(vec![trilby_components_crypto::backend_over(
        "dapr.kubernetes.secrets",
        trilby_components_kubernetes::KubernetesKeys::new,
    )]);
    #[cfg(feature = "local")]
    let registry = registry.with(trilby_components_local::backends());
    #[cfg(feature = "http-binding")]
    let registry = registry.with(trilby_components_http_binding::backends());
    #[cfg(feature = "http-middleware")]
    let registry = registry.with(trilby_components_http_middleware::backends());
    #[cfg(feature = "consul")]
    let registry = registry.with_resolvers(trilby_components_consul::resolvers());
    #[cfg(feature = "etcd")]
    let registry = registry.with(trilby_components_etcd::backends());
    #[cfg(feature = "kafka")]
    let registry = registry.with(trilby_components_kafka::backends());
    #[cfg(feature = "memcached")]
    let registry = registry.with(trilby_components_memcached::backends());
    #[cfg(feature = "rabbitmq")]
    let registry = registry.with(trilby_components_rabbitmq::backends());
    #[cfg(feature = "mongodb")]
    let registry = registry.with(trilby_components_mongodb::backends());
    #[cfg(feature = "mdns")]
    let registry = registry.with_resolvers(trilby_components_mdns::resolvers());
    #[cfg(feature = "sqlite")]
    let registry = registry
        .with(trilby_components_sqlite::backends())
        .with_resolvers(trilby_components_sqlite::resolvers());
    #[cfg(feature = "oauth2")]
    let registry = registry.with(trilby_components_oauth2::backends());
    #[cfg(feature = "opa")]
    let registry = registry.with(trilby_components_opa::backends());
    #[cfg(feature = "vault")]
    let registry = registry.with(trilby_components_vault::backends());
    #[cfg(feature = "wasm")]
    let registry = registry.with(trilby_components_wasm::backends());
    registry
}

/// What the component types of this build take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let parts = [
        trilby_components::in_memory::definitions(),
        trilby_components_crypto::definitions(),
        #[cfg(feature = "cron")]
        trilby_components_cron::definitions(),
        #[cfg(feature = "redis")]
        trilby_components_redis::definitions(),
        #[cfg(feature = "mysql")]
        trilby_components_mysql::definitions(),
        #[cfg(feature = "postgresql")]
        trilby_components_postgresql::definitions(),
        #[cfg(feature = "kubernetes")]
        trilby_components_kubernetes::definitions(),
        #[cfg(feature = "local")]
        trilby_components_local::definitions(),
        #[cfg(feature = "http-binding")]
        trilby_components_http_binding::definitions(),
        #[cfg(feature = "http-middleware")]
        trilby_components_http_middleware::definitions(),
        #[cfg(feature = "etcd")]
        trilby_components_etcd::definitions(),
        #[cfg(feature = "kafka")]
        trilby_components_kafka::definitions(),
        #[cfg(feature = "memcached")]
        trilby_components_memcached::definitions(),
        #[cfg(feature = "rabbitmq")]
        trilby_components_rabbitmq::definitions(),
        #[cfg(feature = "mongodb")]
        trilby_components_mongodb::definitions(),
        #[cfg(feature = "sqlite")]
        trilby_components_sqlite::definitions(),
        #[cfg(feature = "oauth2")]
        trilby_components_oauth2::definitions(),
        #[cfg(feature = "opa")]
        trilby_components_opa::definitions(),
        #[cfg(feature = "vault")]
        trilby_components_vault::definitions(),
        #[cfg(feature = "wasm")]
        trilby_components_wasm::definitions(),
    ];
    parts.into_iter().flatten().collect()
}
