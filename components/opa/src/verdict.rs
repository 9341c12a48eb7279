//! What a policy's answer means.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::settings::status;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on, with these headers in it.
    Allow { headers: HeaderMap },
    /// It is answered with this status and these headers.
    Deny {
        status: StatusCode,
        headers: HeaderMap,
    },
}

/// An answer in detail.
#[derive(Deserialize)]
struct Detailed {
    #[serde(default)]
    allow: bool,
    status_code: Option<i64>,
    additional_headers: Option<BTreeMap<String, String>>,
}

impl Verdict {
    /// Reads an answer; the error says why it is none.
    pub(crate) fn read(result: &Value, default: StatusCode) -> Result<Self, String> {
        let detailed = match result {
            Value::Bool(allow) => Detailed {
                allow: *allow,
                status_code: None,
                additional_headers: None,
            },
            Value::Object(_) => Detailed::deserialize(result).map_err(|error| error.to_string())?,
            _ => {
                return Err(
                    "got an invalid type back from rego policy. Only a boolean or map is valid"
                        .to_owned(),
                );
            }
        };
        let headers = headers(detailed.additional_headers.unwrap_or_default())?;
        if detailed.allow {
            return Ok(Self::Allow { headers });
        }
        let status = match detailed.status_code {
            None => default,
            Some(number) => status(number)
                .ok_or_else(|| format!("status_code {number} is not from 100 to 599"))?,
        };
        Ok(Self::Deny { status, headers })
    }
}

fn headers(written: BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let headers = written.into_iter().map(|(name, value)| {
        let parsed = (HeaderName::try_from(&name), HeaderValue::try_from(value));
        match parsed {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(format!(
                "additional_headers: {name:?} cannot be sent as a header"
            )),
        }
    });
    headers.collect()
}
