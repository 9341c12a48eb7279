//! What a process wrote, kept in a file so that it outlives every reader and costs no thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::eventually::{PATIENCE, try_within};

/// Standard output and standard error of a process, in the order written.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// A log in this file; a process that is started again goes on in it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }

    /// Everything written so far.
    pub fn text(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many bytes were written so far; for [`Log::wait_for_after`].
    pub fn position(&self) -> usize {
        self.text().len()
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Waits for a line that contains `fragment` and gives the first one.
    ///
    /// # Panics
    /// If none comes in time; the message has the log's tail.
    pub async fn wait_for(&self, fragment: &str) -> String {
        self.wait_for_after(0, fragment).await
    }

    /// Like [`Log::wait_for`], looking only at what was written after `position`.
    ///
    /// # Panics
    /// If none comes in time; the message has the log's tail.
    pub async fn wait_for_after(&self, position: usize, fragment: &str) -> String {
        let found = try_within(PATIENCE, async || {
            self.text()
                .get(position..)
                .and_then(|new| new.lines().find(|line| line.contains(fragment)))
                .map(str::to_owned)
                .ok_or("no such line")
        })
        .await;
        found.unwrap_or_else(|_| {
            panic!(
                "no line with {fragment:?} within {PATIENCE:?} in {}; its end:\n{}",
                self.path.display(),
                self.tail(30)
            )
        })
    }
}
