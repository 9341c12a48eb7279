//! What was read back from the running system.

/// Lines of text that show that something holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(Vec<String>);

impl Evidence {
    /// Adds a line.
    pub fn add(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }

    /// The lines, in the order in which they were found.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}
