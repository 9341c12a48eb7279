//! The token that callers of the APIs must show.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;

/// A token, or that none is needed.
#[derive(Clone, Default)]
pub struct ApiToken(Option<Box<[u8]>>);

impl ApiToken {
    /// An empty token is none.
    pub fn new(token: &str) -> Self {
        Self((!token.is_empty()).then(|| token.as_bytes().into()))
    }

    /// Whether callers must show one.
    pub fn is_required(&self) -> bool {
        self.0.is_some()
    }

    /// Whether what a caller showed suffices. The comparison takes the same time wherever they differ.
    pub fn accepts(&self, shown: Option<&HeaderValue>) -> bool {
        let Some(expected) = &self.0 else { return true };
        let shown = shown.map(HeaderValue::as_bytes).unwrap_or_default();
        verify_slices_are_equal(expected, shown).is_ok()
    }
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::ApiToken;

    #[test]
    fn only_the_token_itself_is_accepted() {
        let token = ApiToken::new("secret");
        assert!(token.accepts(Some(&HeaderValue::from_static("secret"))));
        for shown in ["", "secre", "secret2", "Secret"] {
            assert!(
                !token.accepts(Some(&HeaderValue::from_str(shown).unwrap())),
                "{shown}"
            );
        }
        assert!(!token.accepts(None));
    }

    #[test]
    fn without_a_token_everyone_is_accepted() {
        assert!(ApiToken::new("").accepts(None));
        assert!(!format!("{:?}", ApiToken::new("secret")).contains("secret"));
    }
}
