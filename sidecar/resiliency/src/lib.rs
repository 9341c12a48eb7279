//! Resiliency: what is tried again, how long an attempt may take, and when a target is left alone for a while.
//!
//! ```text
//! Resiliency resources ─decode─▶ Definition (one resource, validated whole) ─merge─▶ Policies (immutable, swapped)
//!                                                                                        │ app(..) component(..) actor(..)
//!                                                                                        ▼
//!                          retry( circuit breaker( timeout( attempt ) ) ) ◀──run──── Policy, for one operation
//! ```
//!
//! Rules that hold throughout:
//! - [`Backoff`] and [`Machine`] are state machines without a clock; time is passed in.
//! - A resource that is not valid is refused whole, by resource, field and value; the version that served stays.
//! - A breaker outlives a reload as long as the policy that made it is the same.
//! - A target without policy costs one look at an empty map: no lock, no allocation.
//! - What grows with names that clients choose (breakers per method, per actor, per app) is a cache with a bound.
//!
//! Deliberately absent: HTTP, gRPC and metrics. Call sites say what a failure was ([`Failure`]); who counts
//! implements [`Observer`].

mod backoff;
mod breaker;
mod breakers;
mod codes;
mod decode;
mod defaults;
mod definition;
mod duration;
mod failure;
mod lru;
mod machine;
mod observer;
mod ongoing;
mod policies;
mod policy;
mod resiliency;
mod retry;
mod run;
mod trip;

pub use backoff::Backoff;
pub use breaker::{Breaker, Permit};
pub use codes::Codes;
pub use decode::{Checked, InvalidResource, Problem, check};
pub use definition::{ActorScope, Definition, Names};
pub use failure::{Failure, Stopped, Verdict};
pub use machine::{Counts, Machine, Outcome, Refused, Settings, State};
pub use observer::{Applied, Observer, Silent, Subject};
pub use ongoing::Ongoing;
pub use policies::{Builtin, ComponentKind, Direction, Policies};
pub use policy::Policy;
pub use resiliency::{Manifest, Resiliency};
pub use retry::{Exponential, Retry, Schedule};
pub use run::{Guard, Open, open, run};
pub use trip::{InvalidTrip, Trip};
