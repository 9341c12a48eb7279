//! The variables that every client of Consul's heeds, for what the configuration leaves open.

/// Looks up a variable; empty is unset.
pub(crate) type Variable = fn(&str) -> Option<String>;

/// The agent's address.
pub(crate) const ADDRESS: &str = "CONSUL_HTTP_ADDR";
/// The ACL token.
pub(crate) const TOKEN: &str = "CONSUL_HTTP_TOKEN";
/// A file with the ACL token.
pub(crate) const TOKEN_FILE: &str = "CONSUL_HTTP_TOKEN_FILE";
/// `user:password` of HTTP's basic authentication.
pub(crate) const AUTH: &str = "CONSUL_HTTP_AUTH";
/// Whether the agent is asked over TLS.
pub(crate) const SSL: &str = "CONSUL_HTTP_SSL";
/// Whether the agent's certificate is verified.
pub(crate) const SSL_VERIFY: &str = "CONSUL_HTTP_SSL_VERIFY";
/// The name in the agent's certificate.
pub(crate) const SERVER_NAME: &str = "CONSUL_TLS_SERVER_NAME";
/// A file of authorities' certificates.
pub(crate) const CA_FILE: &str = "CONSUL_CACERT";
/// A folder of such files.
pub(crate) const CA_PATH: &str = "CONSUL_CAPATH";
/// The client's certificate.
pub(crate) const CERT_FILE: &str = "CONSUL_CLIENT_CERT";
/// Its key.
pub(crate) const KEY_FILE: &str = "CONSUL_CLIENT_KEY";
/// The namespace of questions.
pub(crate) const NAMESPACE: &str = "CONSUL_NAMESPACE";
/// The partition of questions.
pub(crate) const PARTITION: &str = "CONSUL_PARTITION";

/// A variable of this process.
pub(crate) fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
