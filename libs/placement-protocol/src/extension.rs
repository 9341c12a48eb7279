//! The words of what goes beyond upstream's protocol.
//!
//! Everything here happens only on a stream whose sidecar announced [`DIALECT`], towards a placement
//! that answered with [`LEASE`]: upstream's sidecars and placement never see any of it.

/// Metadata with which a sidecar opens its stream: it takes orders [`DELTA`] and [`RELEASE`], and sends
/// beats if placement answers with [`LEASE`]. Its value is the [`VERSION`] of these rules.
pub const DIALECT: &str = "trilby-placement-dialect";

/// The value of [`DIALECT`]. In the tables of such a stream a host has its `name`, `id` and `port` alone.
pub const VERSION: &str = "1";

/// Metadata with which a sidecar opens its stream, of any value: it had a table before, so others may
/// serve actors by it as well.
pub const RETURNING: &str = "trilby-placement-returning";

/// Metadata with which placement answers: how many milliseconds an answered beat lasts.
pub const LEASE: &str = "trilby-placement-lease-ms";

/// An order that brings a table as changes. `tables.version` is the version that they apply to; of each
/// type in `tables.entries`, `load_map` has the hosts that are new or differ, and the values of `hosts` name
/// those that are gone.
pub const DELTA: &str = "delta";

/// An order that frees the types in `tables.entries` ahead of `unlock`.
pub const RELEASE: &str = "release";

/// An order that answers a beat, whose number is its version. A beat is a message without an operation
/// whose version is its number; one without a version says goodbye: the sidecar serves nothing any
/// more, and placement ends the stream.
pub const ALIVE: &str = "alive";
