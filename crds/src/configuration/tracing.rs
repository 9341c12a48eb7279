//! Distributed tracing.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::lenient::{non_empty, null_as_default};
use crate::value::NameValuePair;

/// Distributed tracing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSpec {
    /// Share of calls that are traced, from `"0"` to `"1"`.
    #[serde(deserialize_with = "null_as_default")]
    pub sampling_rate: String,
    /// Whether traces are written to standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<bool>,
    /// Export to Zipkin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<ZipkinSpec>,
    /// Export over OTLP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel: Option<OtelSpec>,
}

/// Export of traces to Zipkin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZipkinSpec {
    /// URL that takes the spans.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoint_address: String,
}

/// Export of traces over OTLP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OtelSpec {
    /// `grpc` or `http`.
    #[serde(deserialize_with = "null_as_default")]
    pub protocol: String,
    /// Host and port that take the spans.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoint_address: String,
    /// Whether the connection uses TLS; `null` means true.
    pub is_secure: Option<bool>,
    /// Headers of the export request. A reference to a secret must name its key.
    #[serde(
        deserialize_with = "pairs_or_texts",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<NameValuePair>,
    /// Time an export request may take, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
}

/// Outside Kubernetes a header is written as `name=value`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Header {
    Text(String),
    Pair(Box<NameValuePair>),
}

/// A text without `=` names no header, and is left out as upstream leaves it out.
fn pairs_or_texts<'de, D>(deserializer: D) -> Result<Vec<NameValuePair>, D::Error>
where
    D: Deserializer<'de>,
{
    let headers: Vec<Header> = null_as_default(deserializer)?;
    let pair = |header| match header {
        Header::Pair(pair) => Some(*pair),
        Header::Text(text) => {
            let (name, value) = text.split_once('=')?;
            Some(NameValuePair {
                name: name.to_owned(),
                value: Some(value.into()),
                ..NameValuePair::default()
            })
        }
    };
    Ok(headers.into_iter().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::OtelSpec;

    #[test]
    fn headers_are_pairs_in_kubernetes_and_texts_elsewhere() {
        let json = r#"{"headers": [{"name": "a", "value": "1"}, "b=2=3", "c"]}"#;
        let spec: OtelSpec = serde_json::from_str(json).unwrap();
        let headers: Vec<_> = spec
            .headers
            .iter()
            .map(|pair| (pair.name.as_str(), pair.text()))
            .collect();
        assert_eq!(headers, [("a", "1".into()), ("b", "2=3".into())]);
        assert_eq!(
            serde_json::from_str::<OtelSpec>(r#"{"headers": null}"#)
                .unwrap()
                .headers,
            []
        );
    }
}
