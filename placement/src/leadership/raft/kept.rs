//! The term, kept where a restart finds it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tracing::{error, warn};

/// The file's name in the directory that the flag names.
const NAME: &str = "term";

/// Where the greatest known term is kept. Losing it is harmless: it only keeps the numbers of elections growing.
#[derive(Debug, Clone)]
pub(crate) enum KeptTerm {
    /// Nowhere.
    Memory,
    /// In this directory.
    Directory(PathBuf),
}

// === impl KeptTerm ===

impl KeptTerm {
    /// What was kept; 0 if nothing was.
    pub(crate) async fn read(&self) -> u64 {
        let Self::Directory(directory) = self else {
            return 0;
        };
        let path = directory.join(NAME);
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                warn!(path = %path.display(), "this file has no term in it, and is ignored");
                0
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => {
                warn!(path = %path.display(), %error, "the kept term cannot be read");
                0
            }
        }
    }

    /// Keeps it; it is on disk when this returns.
    pub(crate) async fn write(&self, term: u64) {
        let Self::Directory(directory) = self.clone() else {
            return;
        };
        let path = directory.display().to_string();
        let written = tokio::task::spawn_blocking(move || replace(&directory, term)).await;
        if let Ok(Err(error)) = written {
            error!(path, %error, "the term cannot be kept");
        }
    }
}

fn replace(directory: &Path, term: u64) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let (fresh, path) = (directory.join("term.new"), directory.join(NAME));
    let mut file = File::create(&fresh)?;
    writeln!(file, "{term}")?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn term_is_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = KeptTerm::Directory(directory.path().join("raft"));
        assert_eq!(kept.read().await, 0);
        kept.write(7).await;
        kept.write(8).await;
        assert_eq!(kept.read().await, 8);
        std::fs::write(directory.path().join("raft/term"), "nonsense").expect("writable");
        assert_eq!(kept.read().await, 0);
    }
}
