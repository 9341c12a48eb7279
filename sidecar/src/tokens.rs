//! The tokens of which callers of the APIs must show one.
//!
//! `DAPR_API_TOKEN` holds one. `DAPR_API_TOKEN_FILE` names a file with any number more, one a line, which is read
//! again while the sidecar runs: a new token is added, clients move over, the old one is taken out, and nothing
//! restarts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use trilby_sidecar_args::env::API_TOKEN_FILE as FILE;

/// The time between two looks at the file.
const LOOK: Duration = Duration::from_secs(5);
/// The largest file of tokens in bytes; more is no list of tokens.
const LARGEST_FILE: u64 = 64 * 1024;

type Tokens = Box<[Box<[u8]>]>;

/// Tokens, or that none is needed. Cheap to clone; clones share what a file says.
#[derive(Clone)]
pub struct ApiToken(Arc<ArcSwap<Tokens>>);

/// A file of tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTokenFile {
    /// It cannot be read.
    #[error("{FILE} names {path}, which cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It holds no token, which would let everyone in.
    #[error("{FILE} names {path}, which holds no token")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A file of tokens and the one from the environment.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    given: Box<[u8]>,
    tokens: ApiToken,
}

// === impl ApiToken ===

impl ApiToken {
    /// One token; an empty one is none.
    pub fn new(token: &str) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(list(std::iter::once(
            token,
        )))))
    }

    /// Whether callers must show one.
    pub fn is_required(&self) -> bool {
        !self.0.load().is_empty()
    }

    /// Whether what a caller showed suffices. The time it takes says nothing about how close a wrong one was.
    pub fn accepts(&self, shown: Option<&HeaderValue>) -> bool {
        let tokens = self.0.load();
        let shown = shown.map(HeaderValue::as_bytes).unwrap_or_default();
        let equal = |token: &[u8]| verify_slices_are_equal(token, shown).is_ok();
        // Every token is compared, also after one that fits.
        tokens.is_empty() | tokens.iter().fold(false, |fits, token| fits | equal(token))
    }
}

fn list<'a>(tokens: impl Iterator<Item = &'a str>) -> Tokens {
    tokens
        .filter(|token| !token.is_empty())
        .map(|token| token.as_bytes().into())
        .collect()
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_required() {
            "ApiToken(required)"
        } else {
            "ApiToken(none)"
        })
    }
}

// === impl TokenFile ===

impl TokenFile {
    /// Reads `path` and adds its tokens to `tokens`.
    ///
    /// # Errors
    /// It cannot be read or holds no token.
    pub fn open(path: PathBuf, tokens: ApiToken) -> Result<Self, BadTokenFile> {
        let given = tokens.0.load().first().cloned().unwrap_or_default();
        let file = Self {
            path,
            given,
            tokens,
        };
        file.read()?;
        Ok(file)
    }

    /// Follows the file until `cancel`. One that becomes unusable leaves the tokens as they were.
    pub async fn follow(self, cancel: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = looks.tick() => match self.read() {
                    Ok(true) => tracing::info!(file = %self.path.display(), "API tokens changed"),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "API tokens stay as they were"),
                },
            }
        }
    }

    /// Takes over what the file says. Returns whether that is new.
    fn read(&self) -> Result<bool, BadTokenFile> {
        let text = read_bounded(&self.path).map_err(|error| BadTokenFile::Unreadable {
            path: self.path.clone(),
            error,
        })?;
        let written = list(text.lines().map(str::trim));
        if written.is_empty() {
            return Err(BadTokenFile::Empty {
                path: self.path.clone(),
            });
        }
        let given = std::iter::once(self.given.clone()).filter(|token| !token.is_empty());
        let all: Tokens = given.chain(written).collect();
        let changed = **self.tokens.0.load() != all;
        if changed {
            self.tokens.0.store(Arc::new(all));
        }
        Ok(changed)
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::time::advance;
    use tokio_util::sync::CancellationToken;

    use super::{ApiToken, LOOK, TokenFile};

    fn accepts(token: &ApiToken, shown: &str) -> bool {
        token.accepts(Some(&HeaderValue::from_str(shown).unwrap()))
    }

    #[test]
    fn only_the_token_itself_is_accepted() {
        let token = ApiToken::new("secret");
        assert!(accepts(&token, "secret"));
        for shown in ["", "secre", "secret2", "Secret"] {
            assert!(!accepts(&token, shown), "{shown}");
        }
        assert!(!token.accepts(None));
    }

    #[test]
    fn without_a_token_everyone_is_accepted() {
        assert!(ApiToken::new("").accepts(None));
        assert!(!format!("{:?}", ApiToken::new("secret")).contains("secret"));
    }

    #[test]
    fn file_adds_tokens_to_the_one_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "old\n\n  new  \n").unwrap();
        let token = ApiToken::new("given");
        TokenFile::open(path, token.clone()).unwrap();
        for shown in ["given", "old", "new"] {
            assert!(accepts(&token, shown), "{shown}");
        }
        assert!(!accepts(&token, "") && !accepts(&token, "other"));
    }

    #[test]
    fn file_without_a_token_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let open = || TokenFile::open(path.clone(), ApiToken::new("")).unwrap_err();
        assert!(open().to_string().contains("cannot be read"));
        std::fs::write(&path, "\n \n").unwrap();
        assert!(open().to_string().contains("holds no token"));
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(open().to_string().contains("cannot be read"));
    }

    #[tokio::test(start_paused = true)]
    async fn file_is_followed_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "old").unwrap();
        let token = ApiToken::new("");
        let file = TokenFile::open(path.clone(), token.clone()).unwrap();
        let cancel = CancellationToken::new();
        let following = tokio::spawn(file.follow(cancel.clone()));
        tokio::task::yield_now().await;
        let steps: [(&str, &str, &str); 3] = [
            ("old\nnew", "new", "other"),
            ("", "old", "other"),
            ("new", "new", "old"),
        ];
        for (written, accepted, refused) in steps {
            std::fs::write(&path, written).unwrap();
            advance(LOOK).await;
            tokio::task::yield_now().await;
            assert!(accepts(&token, accepted), "{written:?} {accepted}");
            assert!(!accepts(&token, refused), "{written:?} {refused}");
        }
        cancel.cancel();
        following.await.unwrap();
    }
}
