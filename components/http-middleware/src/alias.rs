//! `routeralias`: other paths for what the sidecar or the application serves.

mod pattern;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use http::{Request, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::warn;
use trilby_components::{
    metadata::{Metadata, MetadataError, Schema},
    middleware::{Body, HttpMiddleware, Next},
    registry::InitError,
};

use crate::uri::{decoded_path, rewrite};
use pattern::Pattern;

/// The metadata of `routeralias`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// A map, JSON or YAML, from paths to the paths that take their place. A path may have variables,
    /// `/articles/{id}` or `/articles/{id:[0-9]+}`, which become parameters of the query.
    #[serde(default)]
    routes: String,
}

impl Schema for Settings {}

pub(crate) fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    Ok(Arc::new(Alias::new(written(metadata)?)?))
}

/// The routes as written: in `routes`, or, the way it was before, each as a property of its own.
fn written(metadata: &Metadata) -> Result<BTreeMap<String, String>, InitError> {
    let (Settings { routes }, rest) = metadata.split()?;
    let properties = metadata.names().count();
    if properties == 0 {
        return Ok(BTreeMap::new());
    }
    if properties > 1 || routes.is_empty() {
        warn!("routes as properties of their own are deprecated: use the property routes");
        let pairs = rest
            .names()
            .map(|path| (path, rest.get(path).unwrap_or_default()));
        return pairs
            .map(|(path, target)| match (path, target) {
                ("", _) | (_, "") => Err(InitError::Invalid(
                    "invalid key/value pair in metadata: must not be empty".to_owned(),
                )),
                (path, target) => Ok((path.to_owned(), target.to_owned())),
            })
            .collect();
    }
    serde_saphyr::from_str(&routes).map_err(|error| {
        let reason = format!("failed to decode 'routes' property as JSON or YAML: {error}");
        MetadataError::invalid("routes", reason).into()
    })
}

/// Patterns and what takes their place. Immutable: requests share it without seeing each other.
struct Alias {
    /// Paths without variables, which go first.
    exact: BTreeMap<String, String>,
    patterns: Vec<(Pattern, String)>,
}

impl Alias {
    fn new(routes: BTreeMap<String, String>) -> Result<Self, InitError> {
        let (patterns, exact): (BTreeMap<_, _>, _) = routes
            .into_iter()
            .partition(|(path, _)| path.contains(['{', '}']));
        if let Some(path) = exact.keys().find(|path| !path.starts_with('/')) {
            let reason = format!("the path {path:?} has to start with a slash");
            return Err(MetadataError::invalid("routes", reason).into());
        }
        let patterns = patterns.into_iter().map(|(path, target)| {
            let compiled = Pattern::parse(&path).map_err(|reason| {
                MetadataError::invalid("routes", format!("the path {path:?}: {reason}"))
            });
            Ok((compiled?, target))
        });
        Ok(Self {
            exact,
            patterns: patterns.collect::<Result<_, MetadataError>>()?,
        })
    }

    fn apply(&self, request: &mut Request<Body>) {
        let path = decoded_path(request.uri()).into_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        if let Some(target) = self.exact.get(&path) {
            return rewrite(request, target, &query);
        }
        let found = self
            .patterns
            .iter()
            .find_map(|(pattern, target)| Some((pattern.variables(&path)?, target)));
        if let Some((variables, target)) = found {
            rewrite(request, target, &with_variables(&query, variables));
        }
    }
}

/// A query with more parameters, all of them in the order of their names, as Go encodes it.
fn with_variables(query: &str, variables: Vec<(String, String)>) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .chain(variables)
        .collect();
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[async_trait]
impl HttpMiddleware for Alias {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        self.apply(&mut request);
        next.run(request).await
    }
}

#[cfg(test)]
mod tests;
