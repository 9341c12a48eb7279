//! The app id: identity of the sidecar, and name of its Service.

use k8s_openapi::api::core::v1::Pod;
use trilby_sidecar_args::annotation;

use super::annotations::value;

/// Kubernetes' limit on the name of a Service.
const MAX_LABEL: usize = 63;

/// Kubernetes' own words, which people search for.
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Why an app id cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppIdError {
    /// Neither annotation nor name. Pods made by a controller are named only after admission.
    #[error(
        "value for the dapr.io/app-id annotation is empty; a pod made by a controller has no name to take instead: \
         set the annotation in the pod template"
    )]
    Empty,
    /// No Service can be named after it.
    #[error("invalid app id (input: '{id}', service: '{id}-dapr'): {reason}")]
    Invalid {
        /// The app id.
        id: String,
        /// What is wrong, a line each.
        reason: String,
    },
}

/// The pod's app id: its annotation, else its name.
pub(super) fn of(pod: &Pod) -> Result<&str, AppIdError> {
    let id = declared(pod);
    if id.is_empty() {
        return Err(AppIdError::Empty);
    }
    let problems = problems(&format!("{id}-dapr"));
    if problems.is_empty() {
        return Ok(id);
    }
    Err(AppIdError::Invalid {
        id: id.to_owned(),
        reason: problems.join("\n"),
    })
}

/// What the pod says its app id is, right or wrong.
pub(super) fn declared(pod: &Pod) -> &str {
    value(pod, annotation::APP_ID)
        .filter(|id| !id.is_empty())
        .or(pod.metadata.name.as_deref())
        .unwrap_or_default()
}

fn problems(service: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if service.len() > MAX_LABEL {
        problems.push(format!("must be no more than {MAX_LABEL} characters"));
    }
    if !is_label(service) {
        problems.push(LABEL_RULE.to_owned());
    }
    problems
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        && bytes.first().is_some_and(|&byte| alphanumeric(byte))
        && bytes.last().is_some_and(|&byte| alphanumeric(byte))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{from_value, json};

    use super::of;

    fn pod(annotation: Option<&str>, name: Option<&str>) -> Pod {
        let mut pod = json!({"metadata": {"name": name, "annotations": {}}});
        if let Some(id) = annotation {
            pod["metadata"]["annotations"]["dapr.io/app-id"] = json!(id);
        }
        from_value(pod).unwrap()
    }

    #[test]
    fn the_annotation_wins_over_the_name() {
        assert_eq!(of(&pod(Some("a"), Some("b"))), Ok("a"));
        assert_eq!(of(&pod(Some(""), Some("b"))), Ok("b"));
        assert_eq!(of(&pod(None, Some("b"))), Ok("b"));
    }

    #[test]
    fn a_pod_without_either_is_refused_with_advice() {
        let error = of(&pod(None, None)).unwrap_err().to_string();
        assert!(error.starts_with("value for the dapr.io/app-id annotation is empty"));
        assert!(error.contains("pod template"));
    }

    #[test]
    fn what_cannot_name_a_service_is_refused_in_kubernetes_words() {
        for id in ["My-App", "a.b", "-a", "a_b", "ä"] {
            let error = of(&pod(Some(id), None)).unwrap_err().to_string();
            let start = format!(
                "invalid app id (input: '{id}', service: '{id}-dapr'): a lowercase RFC 1123 label"
            );
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn the_service_name_has_at_most_63_characters() {
        assert!(of(&pod(Some(&"a".repeat(58)), None)).is_ok());
        let error = of(&pod(Some(&"a".repeat(59)), None))
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("must be no more than 63 characters"),
            "{error}"
        );
    }
}
