//! Where trust anchors come from: given once, or kept in a file by somebody else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{BundleError, Publisher, TrustBundle};

/// How long to wait between two looks at a file that is not there yet.
const ABSENT_POLL: Duration = Duration::from_secs(1);

/// How long to wait between two looks at a file that is. The kubelet refreshes a mounted object
/// about once a minute, so this adds little to the time that a change takes.
const PRESENT_POLL: Duration = Duration::from_secs(5);

/// The source of a process' trust anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchors {
    /// A snapshot. What the authority sends with a certificate replaces it.
    Pem(String),
    /// A file that is kept current, such as a mounted ConfigMap; it always has the last word.
    File(PathBuf),
}

/// Keeps a bundle equal to a file's content.
#[derive(Debug)]
pub struct AnchorsFile {
    path: PathBuf,
    last: Option<Vec<u8>>,
    /// What was logged last.
    complaint: String,
}

/// What one look at the file found.
#[derive(Debug)]
enum Look {
    Absent,
    Unchanged,
    Changed(TrustBundle),
    Unusable(UnusableFile),
}

#[derive(Debug, thiserror::Error)]
enum UnusableFile {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is unusable, the anchors in force stay: {0}")]
    Content(#[from] BundleError),
}

impl AnchorsFile {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last: None,
            complaint: String::new(),
        }
    }

    /// The file that is followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes what the file holds, now and whenever that changes. A file that is missing or
    /// unusable is logged once and looked at again; the last good bundle stays.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub async fn follow(mut self, publisher: Publisher) {
        loop {
            match self.look() {
                Look::Absent => self.complain("not found, waiting..."),
                Look::Unusable(error) => self.complain(&error.to_string()),
                Look::Unchanged => {}
                Look::Changed(bundle) => {
                    self.complaint.clear();
                    let anchors = bundle.len();
                    if publisher.publish_bundle(bundle) {
                        tracing::info!(path = %self.path.display(), anchors, "trust anchors loaded");
                    }
                }
            }
            let known = !publisher.bundle().borrow().is_empty();
            tokio::time::sleep(if known { PRESENT_POLL } else { ABSENT_POLL }).await;
        }
    }

    /// Logs what is wrong, once for as long as it stays the same.
    fn complain(&mut self, complaint: &str) {
        if self.complaint != complaint {
            complaint.clone_into(&mut self.complaint);
            let path = self.path.display();
            tracing::warn!("Trust anchors file '{path}' {complaint}");
        }
    }

    /// Reads a few kilobytes in the calling thread: cheaper than keeping a thread for it.
    fn look(&mut self) -> Look {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Absent,
            Err(error) => return Look::Unusable(error.into()),
        };
        if self.last.as_deref() == Some(&content) {
            return Look::Unchanged;
        }
        let look = match TrustBundle::from_pem(&content) {
            Ok(bundle) => Look::Changed(bundle),
            Err(error) => Look::Unusable(error.into()),
        };
        self.last = Some(content);
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channel, testing::Authority};

    #[tokio::test(start_paused = true)]
    async fn the_file_is_awaited_followed_and_kept_when_it_breaks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let (publisher, identity) = channel(TrustBundle::empty());
        let (one, two) = (Authority::new("one"), Authority::new("two"));
        let steps = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(identity.current_bundle().is_empty());

            fs::write(&path, one.pem()).unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(*identity.current_bundle(), one.bundle());

            fs::write(&path, "damaged").unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(*identity.current_bundle(), one.bundle());

            fs::write(&path, one.pem() + &two.pem()).unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(identity.current_bundle().len(), 2);
        };
        tokio::select! {
            () = AnchorsFile::new(&path).follow(publisher.clone()) => unreachable!("follows for ever"),
            () = steps => {}
        }
    }
}
