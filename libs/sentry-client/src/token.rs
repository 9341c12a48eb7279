//! What proves to sentry who asks: a token in a file, read anew for every request.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use trilby_proto::sentry::v1::sign_certificate_request::TokenValidator;

/// The token that the injector has projected for sentry.
const PROJECTED: &str = "/var/run/secrets/dapr.io/sentrytoken/token";

/// The pod's ordinary token, for pods injected long ago.
const LEGACY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In a pod.
    Kubernetes,
    /// Anywhere else.
    Standalone,
}

/// Where the token comes from, and which of sentry's validators shall judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// No token: sentry applies its default.
    Absent,
    /// One file, which must hold a token.
    File {
        /// Its path.
        path: PathBuf,
        /// Where the process runs decides who judges.
        mode: Mode,
    },
    /// The tokens that Kubernetes mounts; without any, as [`TokenSource::Absent`].
    Mounted {
        /// The token for sentry.
        projected: PathBuf,
        /// The one used when that does not exist.
        legacy: PathBuf,
    },
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// `DAPR_SENTRY_TOKEN_FILE` is set to nothing.
    #[error("DAPR_SENTRY_TOKEN_FILE is set but empty")]
    EmptyVariable,
    /// The file cannot be read.
    #[error("token file {path:?} cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds nothing.
    #[error("token file {0:?} is empty")]
    Empty(PathBuf),
}

/// One token, for one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) validator: TokenValidator,
}

impl TokenSource {
    /// Chooses by the environment: `DAPR_SENTRY_TOKEN_FILE` first, then what Kubernetes mounts.
    ///
    /// # Errors
    /// When the variable is set to nothing.
    pub fn discover(mode: Mode, env: impl Fn(&str) -> Option<String>) -> Result<Self, TokenError> {
        match (env("DAPR_SENTRY_TOKEN_FILE"), mode) {
            (Some(path), _) if path.is_empty() => Err(TokenError::EmptyVariable),
            (Some(path), mode) => Ok(Self::File {
                path: path.into(),
                mode,
            }),
            (None, Mode::Kubernetes) => Ok(Self::Mounted {
                projected: PROJECTED.into(),
                legacy: LEGACY.into(),
            }),
            (None, Mode::Standalone) => Ok(Self::Absent),
        }
    }

    /// Reads the token as it is now; white space around it is no part of it.
    pub(crate) fn read(&self) -> Result<Token, TokenError> {
        match self {
            Self::Absent => Ok(Token::none()),
            Self::File { path, mode } => {
                let text = read(path)?;
                if text.is_empty() {
                    return Err(TokenError::Empty(path.clone()));
                }
                let validator = match mode {
                    Mode::Kubernetes => TokenValidator::Kubernetes,
                    Mode::Standalone => TokenValidator::Jwks,
                };
                Ok(Token { text, validator })
            }
            Self::Mounted { projected, legacy } => {
                let text = match read(projected) {
                    Err(error) if error.is_absent() => read_legacy(legacy)?,
                    text => text?,
                };
                if text.is_empty() {
                    return Ok(Token::none());
                }
                let validator = TokenValidator::Kubernetes;
                Ok(Token { text, validator })
            }
        }
    }
}

impl Token {
    fn none() -> Self {
        Self {
            text: String::new(),
            validator: TokenValidator::Unknown,
        }
    }
}

impl TokenError {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn read(path: &Path) -> Result<String, TokenError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(TokenError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read_legacy(path: &Path) -> Result<String, TokenError> {
    match read(path) {
        Err(error) if error.is_absent() => Ok(String::new()),
        Err(error) => Err(error),
        Ok(text) => {
            tracing::warn!(
                path = %path.display(),
                "token projected for sentry not found, using the service account's own"
            );
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_must_name_something() {
        let found = |value: Option<&str>, mode| {
            TokenSource::discover(mode, |name| {
                assert_eq!(name, "DAPR_SENTRY_TOKEN_FILE");
                value.map(str::to_owned)
            })
        };
        assert!(matches!(
            found(Some(""), Mode::Kubernetes),
            Err(TokenError::EmptyVariable)
        ));
        assert!(matches!(
            found(Some("/t"), Mode::Kubernetes),
            Ok(TokenSource::File { .. })
        ));
        assert_eq!(found(None, Mode::Standalone).unwrap(), TokenSource::Absent);
        assert!(matches!(
            found(None, Mode::Kubernetes),
            Ok(TokenSource::Mounted { .. })
        ));
    }

    #[test]
    fn a_file_is_trimmed_judged_by_mode_and_must_hold_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = |mode| TokenSource::File {
            path: path.clone(),
            mode,
        };
        let absent = source(Mode::Standalone).read().unwrap_err().to_string();
        assert!(absent.contains("cannot be read"), "{absent}");
        fs::write(&path, " \n").unwrap();
        let empty = source(Mode::Standalone).read().unwrap_err().to_string();
        assert!(empty.ends_with("is empty"), "{empty}");
        fs::write(&path, "abc\n").unwrap();
        let token = |validator| Token {
            text: "abc".to_owned(),
            validator,
        };
        assert_eq!(
            source(Mode::Standalone).read().unwrap(),
            token(TokenValidator::Jwks)
        );
        assert_eq!(
            source(Mode::Kubernetes).read().unwrap(),
            token(TokenValidator::Kubernetes)
        );
    }

    #[test]
    fn mounted_tokens_fall_back_and_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        let (projected, legacy) = (dir.path().join("projected"), dir.path().join("legacy"));
        let source = TokenSource::Mounted {
            projected: projected.clone(),
            legacy: legacy.clone(),
        };
        assert_eq!(source.read().unwrap(), Token::none());
        fs::write(&legacy, "old").unwrap();
        assert_eq!(source.read().unwrap().text, "old");
        fs::write(&projected, "new").unwrap();
        assert_eq!(source.read().unwrap().text, "new");
        assert_eq!(source.read().unwrap().validator, TokenValidator::Kubernetes);
    }
}
