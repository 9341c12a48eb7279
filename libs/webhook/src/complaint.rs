//! One line in the log for as long as something stays broken in the same way.

use std::fmt::Display;

use tracing::{debug, info, warn};

/// The last thing that was complained about.
#[derive(Debug, Default)]
pub struct Complaint(Option<String>);

impl Complaint {
    /// Warns, unless the last complaint was the same.
    pub fn raise(&mut self, what: &'static str, reason: &dyn Display) {
        let reason = reason.to_string();
        if self.0.as_ref() == Some(&reason) {
            debug!(reason, "{what}");
        } else {
            warn!(reason, "{what}");
            self.0 = Some(reason);
        }
    }

    /// Says that it is well again.
    pub fn settle(&mut self, what: &'static str) {
        if self.0.take().is_some() {
            info!("{what}");
        }
    }
}
