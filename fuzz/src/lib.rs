//! Every decoder that bytes from a network or a user reach, as a function of those bytes.
//!
//! [`TARGETS`] names them. `cargo test -p trilby-fuzz` replays the corpus (`fuzz/corpus/<target>`) and what grows out of it
//! by a fixed number of small changes; `fuzz/libfuzzer` runs the same functions under libFuzzer for as long as one
//! likes. A target fails by panicking: each asserts what must hold of anything that was accepted.

mod authority;
mod bindings;
mod configuration;
mod crypto;
mod injection;
mod messages;
mod names;
mod protocol;

/// A decoder.
pub type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_control", configuration::access_control),
    ("app_config", configuration::app_config),
    ("authority", authority::authority),
    ("baggage", names::baggage),
    ("binding_request", bindings::binding_request),
    ("bulk_publication", messages::bulk_publication),
    ("cron", bindings::cron),
    ("crypto_document", crypto::crypto_document),
    ("crypto_key", crypto::crypto_key),
    ("csr", authority::csr),
    ("flags", configuration::flags),
    ("frames", protocol::frames),
    ("incoming_event", messages::incoming_event),
    ("injection", injection::injection),
    ("internal_request", protocol::internal_request),
    ("invocation_target", names::invocation_target),
    ("jwks", authority::jwks),
    ("jwt", authority::jwt),
    ("manifest", configuration::manifest),
    ("metrics", configuration::metrics),
    ("path", names::path),
    ("pem", authority::pem),
    ("placement_table", protocol::placement_table),
    ("review", configuration::review),
    ("route_rule", messages::route_rule),
    ("spiffe_id", names::spiffe_id),
    ("subscriptions", messages::subscriptions),
    ("trace_context", names::trace_context),
    ("trust_bundle", authority::trust_bundle),
    ("wire_headers", protocol::wire_headers),
];

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    let mut found = TARGETS.iter().filter(|(known, _)| *known == name);
    found.next().map(|(_, target)| *target)
}

/// Text, where bytes are some.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
