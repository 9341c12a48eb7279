//! The providers of this crate on real files and a real web server, held to the suite that every provider passes; and
//! documents that upstream made.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod golden;
mod keys;
mod places;
