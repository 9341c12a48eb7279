//! Reads secrets and lists of names, and says what went wrong in a secret store's terms.

use http::StatusCode;
use trilby_components::secret::{Secret, SecretError};

use crate::{
    content,
    engine::{Kv, Revision},
    path::Path,
    server::{Ask, Failure},
    settings::Config,
    token::Token,
};

/// What a request reads with.
pub(crate) struct Reader<'a> {
    pub(crate) config: &'a Config,
    pub(crate) kv: Kv,
    pub(crate) revision: Revision,
    pub(crate) token: Token,
}

impl Reader<'_> {
    pub(crate) async fn secret(&self, name: &str) -> Result<Secret, SecretError> {
        let place = self.place(name)?;
        if place == self.config.prefix {
            let text = "a secret without a name was asked for".to_owned();
            return Err(SecretError::InvalidRequest(text));
        }
        let path = self.kv.secret(&self.config.engine, &place, self.revision);
        let path = path.map_err(|error| SecretError::InvalidRequest(error.to_string()))?;
        let ask = Ask::get(path.clone());
        let body = match self.config.server.ask(&ask, &self.token).await {
            Ok(body) => body,
            Err(failure) => return Err(secret_failure(name, &path, failure)),
        };
        let data = content::data(&body);
        let values = match (data, self.kv) {
            (Ok(Some(data)), Kv::Two) => content::versioned(data),
            (data, _) => data,
        };
        let values = values.map_err(|error| undecodable(&path, &error))?;
        let values = values.ok_or_else(|| not_found(name))?;
        content::secret(values, name, self.config.value_type)
            .map_err(|error| undecodable(&path, &error))
    }

    /// As [`Self::secret`]; `None` where there is none of that version.
    pub(crate) async fn named(
        &self,
        name: String,
    ) -> Result<Option<(String, Secret)>, SecretError> {
        match self.secret(&name).await {
            Ok(secret) => Ok(Some((name, secret))),
            Err(SecretError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names right below a folder, those of folders with a slash at their end.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, SecretError> {
        let path = self.kv.folder(&self.config.engine, &self.place(folder)?);
        let ask = Ask::list(path.clone());
        let body = match self.config.server.ask(&ask, &self.token).await {
            Ok(body) => body,
            Err(failure) if is_empty_folder(&failure) => return Ok(Vec::new()),
            Err(failure) => {
                let what = format!("list keys couldn't get successful response for {path}");
                return Err(secret_error(&what, failure));
            }
        };
        let data = content::data(&body).map_err(|error| undecodable(&path, &error))?;
        let names = data.map(content::names).transpose();
        let names = names.map_err(|error| undecodable(&path, &error))?;
        Ok(names.unwrap_or_default())
    }

    fn place(&self, name: &str) -> Result<Path, SecretError> {
        let below = Path::new(name)
            .map_err(|error| SecretError::InvalidRequest(format!("the secret's name {error}")))?;
        Ok(self.config.prefix.join(&below))
    }
}

fn not_found(name: &str) -> SecretError {
    SecretError::NotFound(format!(
        "getSecret {name} failed secret key or version not exist"
    ))
}

fn secret_failure(name: &str, path: &str, failure: Failure) -> SecretError {
    match &failure {
        Failure::Refused {
            status, explained, ..
        } if *status == StatusCode::NOT_FOUND && !explained => not_found(name),
        Failure::Refused { .. } => {
            let what = format!("couldn't get successful response for {path}");
            secret_error(&what, failure)
        }
        _ => secret_error("couldn't get secret", failure),
    }
}

/// A folder without anything in it is none; a path without an engine is explained.
fn is_empty_folder(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { status, explained: false, .. } if *status == StatusCode::NOT_FOUND)
}

pub(crate) fn is_refused(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { status, .. } if is_lasting(*status))
}

/// Whether asking again is of no use.
fn is_lasting(status: StatusCode) -> bool {
    // 412: this server has not seen a write yet; 429: it is asked too much.
    status.is_client_error() && !matches!(status.as_u16(), 408 | 412 | 429 | 472 | 473)
}

pub(crate) fn secret_error(what: &str, failure: Failure) -> SecretError {
    let text = format!("{what}: {failure}");
    let Failure::Refused { status, .. } = failure else {
        return SecretError::Unavailable(text);
    };
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => SecretError::Forbidden(text),
        StatusCode::NOT_FOUND => SecretError::NotFound(text),
        status if is_lasting(status) => SecretError::InvalidRequest(text),
        _ => SecretError::Unavailable(text),
    }
}

fn undecodable(path: &str, error: &serde_json::Error) -> SecretError {
    // Serde's own text may show a part of a secret.
    let (line, column) = (error.line(), error.column());
    SecretError::InvalidRequest(format!(
        "couldn't decode response body for {path}: not the JSON of a secret (line {line}, column {column}): is \
         enginePath a key-value engine?"
    ))
}
