//! The token that requests show.

use std::path::PathBuf;

use http::HeaderValue;
use trilby_components::metadata::value::Sensitive;

/// Where the token is.
#[derive(Debug)]
pub(crate) enum Source {
    /// Told.
    Told(Token),
    /// In a file, which others may replace.
    File(PathBuf),
}

/// A token. `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token(HeaderValue);

/// There is no token to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoToken(String);

impl Token {
    fn new(text: &str, place: &str) -> Result<Self, NoToken> {
        if text.is_empty() {
            return Err(NoToken(format!("{place} is empty")));
        }
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| NoToken(format!("{place} holds no token: it has control characters")))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl Source {
    /// Exactly one of the two; errors are upstream's.
    pub(crate) fn new(told: Option<&Sensitive>, file: Option<PathBuf>) -> Result<Self, NoToken> {
        match (told.map(Sensitive::expose), file) {
            (Some(told), None) => Token::new(told, "vaultToken").map(Self::Told),
            (None, Some(path)) => Ok(Self::File(path)),
            (None, None) => Err(NoToken("token mount path and token not set".to_owned())),
            (Some(_), Some(_)) => Err(NoToken("token mount path and token both set".to_owned())),
        }
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// Its file cannot be read, or holds none.
    pub(crate) async fn read(&self) -> Result<Token, NoToken> {
        let path = match self {
            Self::Told(token) => return Ok(token.clone()),
            Self::File(path) => path,
        };
        let place = path.display().to_string();
        let text = tokio::fs::read_to_string(path).await.map_err(|error| {
            NoToken(format!(
                "couldn't read vault token from mount path {place} err: {error}"
            ))
        })?;
        Token::new(text.trim(), &format!("the token's file {place}"))
    }

    /// Whether it may be another one later.
    pub(crate) fn may_change(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Sensitive {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn exactly_one_place_has_the_token() {
        let file = || Some(PathBuf::from("/token"));
        let refusal = |token: Option<&Sensitive>, file| Source::new(token, file).unwrap_err().0;
        assert_eq!(refusal(None, None), "token mount path and token not set");
        let both = refusal(Some(&told("t")), file());
        assert_eq!(both, "token mount path and token both set");
        assert!(!Source::new(Some(&told("t")), None).unwrap().may_change());
        assert!(Source::new(None, file()).unwrap().may_change());
    }

    #[tokio::test]
    async fn a_file_is_read_each_time_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = Source::new(None, Some(path.clone())).unwrap();
        let missing = source.read().await.unwrap_err().0;
        let text = format!(
            "couldn't read vault token from mount path {}",
            path.display()
        );
        assert!(missing.starts_with(&text), "{missing}");
        for text in ["one", " two\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(source.read().await.unwrap().header(), text.trim());
        }
        for (text, reason) in [("\n", "is empty"), ("a\nb", "holds no token")] {
            std::fs::write(&path, text).unwrap();
            let refused = source.read().await.unwrap_err().0;
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn a_token_stays_out_of_the_log() {
        let source = Source::new(Some(&told("hush")), None).unwrap();
        assert!(!format!("{source:?}").contains("hush"));
    }
}
