//! Which paths a middleware concerns.

use http::Uri;
use percent_encoding::percent_decode_str;
use regex::Regex;
use trilby_components::metadata::MetadataError;

/// A `pathFilter`: requests whose path it does not match pass untouched.
pub(crate) struct PathFilter(Option<Regex>);

impl PathFilter {
    pub(crate) fn new(expression: &str) -> Result<Self, MetadataError> {
        if expression.is_empty() {
            return Ok(Self(None));
        }
        let regex = Regex::new(expression)
            .map_err(|error| MetadataError::invalid("pathFilter", error.to_string()))?;
        Ok(Self(Some(regex)))
    }

    pub(crate) fn concerns(&self, uri: &Uri) -> bool {
        let path = || percent_decode_str(uri.path()).decode_utf8_lossy();
        self.0.as_ref().is_none_or(|regex| regex.is_match(&path()))
    }
}
