//! The sidecar's environment.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};
use trilby_sidecar_args::{annotation, env};

use super::{Cluster, Live, annotations::Annotations, sidecar::Sidecar};

/// Key, in a secret, of an API token.
const TOKEN_KEY: &str = "token";

/// Variables that annotations add.
#[derive(Default)]
pub(super) struct Extra {
    variables: Vec<EnvVar>,
    /// Every name that was declared, also of a secret reference that cannot be read.
    names: Vec<String>,
}

/// Everything the sidecar finds in its environment, in upstream's order. Where a name comes twice, Kubernetes takes
/// the last.
pub(super) fn of(cluster: &Cluster, sidecar: &Sidecar<'_>, live: Live<'_>) -> Vec<EnvVar> {
    let mut variables = vec![
        plain(env::NAMESPACE, live.namespace),
        plain(env::TRUST_ANCHORS, live.trust_anchors),
        from_field(env::POD_NAME, "metadata.name"),
        plain(env::CONTROL_PLANE_NAMESPACE, &cluster.namespace),
        plain(env::CONTROL_PLANE_TRUST_DOMAIN, &cluster.trust_domain),
    ];
    if cluster.sidecar.downward_api {
        variables.push(from_field(env::HOST_IP, "status.podIP"));
    }
    variables.extend(sidecar.extra.variables.iter().cloned());
    if !sidecar.extra.names.is_empty() {
        variables.push(plain(env::ENV_KEYS, &sidecar.extra.names.join(" ")));
    }
    if let Some(components) = &sidecar.components {
        let folder = components.sockets_folder;
        variables.push(plain(env::COMPONENT_SOCKETS_FOLDER, folder));
    }
    let tokens = [
        (env::API_TOKEN, sidecar.api_token_secret),
        (env::APP_TOKEN, sidecar.app_token_secret),
    ];
    variables.extend(
        tokens
            .into_iter()
            .filter_map(|(name, secret)| Some(from_secret(name, secret?, TOKEN_KEY))),
    );
    variables
}

/// Whether the sidecar must be able to install certificates, which takes an administrator on Windows. A pod's author
/// says so by setting a variable; the node is not known yet.
pub(super) fn installs_certificates(variables: &[EnvVar]) -> bool {
    variables
        .iter()
        .any(|variable| variable.name == env::SSL_CERT_DIR)
}

/// Variables from `dapr.io/env` and `dapr.io/env-from-secret`.
pub(super) fn extra(annotations: &mut Annotations<'_>) -> Extra {
    let mut extra = Extra::default();
    for (name, value) in declared(annotations, annotation::ENV) {
        extra.variables.push(plain(name, value));
        extra.names.push(name.to_owned());
    }
    for (name, value) in declared(annotations, annotation::ENV_FROM_SECRET) {
        extra.names.push(name.to_owned());
        match secret_and_key(value) {
            Some((secret, key)) => extra.variables.push(from_secret(name, secret, key)),
            None => annotations.warn(
                annotation::ENV_FROM_SECRET,
                format_args!("{value:?} of {name} is not <secret>:<key>; ignored"),
            ),
        }
    }
    extra
}

/// A variable with this value; an empty one is written without.
pub(super) fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: (!value.is_empty()).then(|| value.to_owned()),
        ..EnvVar::default()
    }
}

fn from_field(name: &str, field: &str) -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: field.to_owned(),
        ..ObjectFieldSelector::default()
    };
    from_source(
        name,
        EnvVarSource {
            field_ref: Some(field),
            ..EnvVarSource::default()
        },
    )
}

fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let secret = SecretKeySelector {
        name: secret.to_owned(),
        key: key.to_owned(),
        ..SecretKeySelector::default()
    };
    from_source(
        name,
        EnvVarSource {
            secret_key_ref: Some(secret),
            ..EnvVarSource::default()
        },
    )
}

fn from_source(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(source),
        ..EnvVar::default()
    }
}

/// `NAME=value` pairs of an annotation; what is no pair is left out, with a warning.
fn declared<'a>(annotations: &mut Annotations<'a>, key: &str) -> Vec<(&'a str, &'a str)> {
    let text = annotations.filled(key).unwrap_or_default();
    let mut pairs = Vec::new();
    for entry in entries(text) {
        match entry.split_once('=') {
            Some(pair) => pairs.push(pair),
            None if entry.is_empty() => {}
            None => annotations.warn(key, format_args!("{entry:?} is not NAME=value; ignored")),
        }
    }
    pairs
}

/// Splits at those commas that a name and `=` follow; any other comma is part of a value.
fn entries(text: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(',') {
        if starts_with_name(&text[comma + 1..]) {
            entries.push(text[start..comma].trim());
            start = comma + 1;
        }
    }
    entries.push(text[start..].trim());
    entries
}

fn starts_with_name(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    let Some((name, _)) = text.split_once('=') else {
        return false;
    };
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// `secret:key`, or a secret whose key has its name.
fn secret_and_key(value: &str) -> Option<(&str, &str)> {
    let value = value.trim();
    match value.split_once(':') {
        None => Some((value, value)),
        Some((_, key)) if key.contains(':') => None,
        Some((secret, key)) => Some((secret.trim(), key.trim())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{entries, secret_and_key};

    #[test]
    fn commas_within_values_do_not_split() {
        assert_eq!(
            entries("OTEL_RESOURCE_ATTRIBUTES=a.b=1,c.d=2, NEXT=3"),
            ["OTEL_RESOURCE_ATTRIBUTES=a.b=1,c.d=2", "NEXT=3"]
        );
        assert_eq!(
            entries("A=1,2,B_2=\"x, y\",  _c=,9d=4"),
            ["A=1,2", "B_2=\"x, y\"", "_c=,9d=4"]
        );
        assert_eq!(entries("A=1"), ["A=1"]);
    }

    #[test]
    fn secrets_have_a_key_or_lend_it_their_name() {
        assert_eq!(secret_and_key(" s : k "), Some(("s", "k")));
        assert_eq!(secret_and_key("s"), Some(("s", "s")));
        assert_eq!(secret_and_key("s:k:x"), None);
    }

    proptest! {
        #[test]
        fn splitting_loses_nothing_but_commas_and_blanks(text in any::<String>()) {
            let rest = |text: &str| text.replace(|c: char| c == ',' || c.is_whitespace(), "");
            assert_eq!(rest(&entries(&text).concat()), rest(&text));
        }
    }
}
