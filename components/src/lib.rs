//! Building-block traits, metadata decoding, registry and in-memory backends.
