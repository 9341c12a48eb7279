//! Textual forms that Dapr's users write for its Go programs, read the way Go reads them: durations
//! (`1h2m3.5s`), permissive booleans and the quantities of Kubernetes (`4Mi`). A leaf: no I/O, no dependency on anything of ours.

mod boolean;
mod duration;
mod quantity;

pub use boolean::{BoolError, parse_bool, truthy};
pub use duration::{DurationError, GoDuration, parse_duration};
pub use quantity::{Quantity, QuantityError};
