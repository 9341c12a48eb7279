//! Where keys come from.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::StatusCode;
use trilby_https::{Client, Limits, Tls};

use super::options::{Options, OptionsError, wrong};
use crate::jose::{KeySet, MAX_KEY_SET};

/// See the module.
pub(super) enum Source {
    Url {
        client: Box<Client>,
        url: String,
        timeout: Duration,
    },
    File(PathBuf),
    /// They were in the options.
    Inline,
}

impl Source {
    /// Tells a URL from a path from the keys themselves, which are read at once.
    pub(super) fn new(options: Options) -> Result<(Self, Option<KeySet>), OptionsError> {
        let source = options.source.trim();
        if source.starts_with("https://") || source.starts_with("http://") {
            return Ok((url(&options)?, None));
        }
        let path = Path::new(source);
        if path.is_file() {
            return Ok((Self::File(path.to_owned()), None));
        }
        let decoded = BASE64_STANDARD_NO_PAD.decode(source.trim_end_matches('='));
        let json = decoded.unwrap_or_else(|_| source.as_bytes().to_vec());
        let keys = KeySet::parse(&json).map_err(|error| {
            let expected = "neither a URL, nor the path of a file, nor keys";
            wrong("source", format!("it is {expected}: {error}"))
        })?;
        Ok((Self::Inline, Some(keys)))
    }

    /// Reads the keys again; `None` where they cannot change.
    pub(super) async fn read(&self) -> Result<Option<KeySet>, String> {
        let json = match self {
            Self::Inline => return Ok(None),
            // Some kilobytes: cheaper than keeping a thread for it.
            Self::File(path) => fs::read(path).map_err(|error| error.to_string())?,
            Self::Url {
                client,
                url,
                timeout,
            } => {
                let limits = Limits {
                    time: *timeout,
                    size: MAX_KEY_SET,
                };
                let answer = client.get(url, limits).await;
                let answer = answer.map_err(|error| error.to_string())?;
                match answer.status() {
                    StatusCode::OK => answer.into_body().to_vec(),
                    status => {
                        return Err(format!("invalid response status code: {}", status.as_u16()));
                    }
                }
            }
        };
        KeySet::parse(&json)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

fn url(options: &Options) -> Result<Source, OptionsError> {
    let url = options.source.trim();
    if url.starts_with("http://") {
        tracing::warn!(
            url,
            "keys of token validator jwks are fetched without TLS: whoever is on the way can replace them"
        );
    }
    let client = match &options.ca_certificate {
        None => Client::new().map_err(|error| wrong("source", error))?,
        Some(certificate) => Client::with_tls(&Tls {
            authorities: Some(pem(certificate)?),
            ..Tls::default()
        })
        .map_err(|error| wrong("caCertificate", error))?,
    };
    Ok(Source::Url {
        client: Box::new(client),
        url: url.to_owned(),
        timeout: options.timeout(),
    })
}

/// PEM as it is, or the file that has it.
fn pem(certificate: &str) -> Result<Vec<u8>, OptionsError> {
    if certificate.contains("-----BEGIN") {
        return Ok(certificate.as_bytes().to_vec());
    }
    fs::read(certificate).map_err(|error| wrong("caCertificate", format!("{certificate}: {error}")))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => f.write_str(url),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline => f.write_str("the Configuration"),
        }
    }
}
