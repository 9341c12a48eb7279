//! SPIFFE identities, SVIDs, trust bundles and the TLS made from them.
