//! Each kind's peculiarities.

use trilby_crds::{
    HttpEndpointSpec, McpServerSpec, NameValuePair, Object, ResiliencySpec, SubscriptionSpec,
    SubscriptionV1, TlsDocumentSpec, WorkflowAccessPolicySpec,
};

use super::{Declared, Place};
use crate::kind::{Kind, is_v1alpha1};
use crate::lenient;

impl Declared for ResiliencySpec {
    const OF: Kind = Kind::Resiliency;
}

impl Declared for WorkflowAccessPolicySpec {
    const OF: Kind = Kind::WorkflowAccessPolicy;
}

impl Declared for SubscriptionSpec {
    const OF: Kind = Kind::Subscription;

    fn decode(json: &[u8]) -> serde_json::Result<Object<Self>> {
        match is_v1alpha1(json) {
            true => lenient::from_slice::<SubscriptionV1>(json).map(Into::into),
            false => lenient::from_slice(json),
        }
    }
}

impl Declared for HttpEndpointSpec {
    const OF: Kind = Kind::HttpEndpoint;

    fn places(&mut self) -> Vec<Place<'_>> {
        let mut places: Vec<Place<'_>> = self.headers.iter_mut().map(pair).collect();
        if let Some(tls) = &mut self.client_tls {
            let documents = [
                ("clientTLS.rootCA", &mut tls.root_ca),
                ("clientTLS.certificate", &mut tls.certificate),
                ("clientTLS.privateKey", &mut tls.private_key),
            ];
            for (name, found) in documents {
                places.extend(found.as_mut().map(|found| document(name, found)));
            }
        }
        places
    }

    fn check(&self, _kubernetes: bool) -> Result<(), String> {
        match self.base_url.is_empty() {
            true => Err("spec.baseUrl is empty".to_owned()),
            false => Ok(()),
        }
    }
}

impl Declared for McpServerSpec {
    const OF: Kind = Kind::McpServer;

    fn secret_store(object: &Object<Self>) -> &str {
        object.spec.secret_store()
    }

    fn places(&mut self) -> Vec<Place<'_>> {
        let endpoint = &mut self.endpoint;
        let http = endpoint.streamable_http.as_mut().or(endpoint.sse.as_mut());
        match (http, &mut endpoint.stdio) {
            (Some(http), _) => http.headers.iter_mut().map(pair).collect(),
            (None, Some(stdio)) => stdio.env.iter_mut().map(pair).collect(),
            (None, None) => Vec::new(),
        }
    }

    fn check(&self, kubernetes: bool) -> Result<(), String> {
        let endpoint = &self.endpoint;
        let http = [&endpoint.streamable_http, &endpoint.sse];
        let set =
            http.iter().filter(|one| one.is_some()).count() + usize::from(endpoint.stdio.is_some());
        if set != 1 {
            return Err(
                "exactly one of spec.endpoint.streamableHTTP, sse and stdio must be set".to_owned(),
            );
        }
        if kubernetes && endpoint.stdio.is_some() {
            return Err("spec.endpoint.stdio cannot be used in Kubernetes".to_owned());
        }
        for http in http.into_iter().flatten() {
            let rest = http.url.strip_prefix("http://");
            let rest = rest.or_else(|| http.url.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
                let url = &http.url;
                return Err(format!(
                    "spec.endpoint: {url:?} is no http or https URL with a host"
                ));
            }
        }
        Ok(())
    }
}

fn pair(pair: &mut NameValuePair) -> Place<'_> {
    Place {
        name: pair.name.clone(),
        secret: pair
            .secret()
            .map(|secret| (secret.name.clone(), secret.key().to_owned())),
        env: pair.env_ref.clone(),
        value: &mut pair.value,
    }
}

fn document<'a>(name: &str, document: &'a mut TlsDocumentSpec) -> Place<'a> {
    Place {
        name: name.to_owned(),
        secret: document
            .secret()
            .map(|secret| (secret.name.clone(), secret.key().to_owned())),
        env: None,
        value: &mut document.value,
    }
}

#[cfg(test)]
mod tests {
    use trilby_crds::{McpServerSpec, SubscriptionSpec};

    use super::Declared;

    #[test]
    fn both_versions_of_a_subscription_are_read() {
        let older = br#"{"apiVersion":"dapr.io/v1alpha1","spec":{"topic":"t","route":"/r"}}"#;
        let newer =
            br#"{"apiVersion":"dapr.io/v2alpha1","spec":{"topic":"t","routes":{"default":"/r"}}}"#;
        let read = |json: &[u8]| SubscriptionSpec::decode(json).unwrap().spec;
        assert_eq!(read(older), read(newer));
        assert_eq!(read(older).routes.default.as_deref(), Some("/r"));
    }

    #[test]
    fn a_server_needs_one_transport_that_can_be_used_here() {
        let check = |endpoint: &str, kubernetes| {
            let json = format!(r#"{{"spec":{{"endpoint":{endpoint}}}}}"#);
            McpServerSpec::decode(json.as_bytes())
                .unwrap()
                .spec
                .check(kubernetes)
        };
        let stdio = r#"{"stdio":{"command":"x"}}"#;
        assert_eq!(check(stdio, false), Ok(()));
        assert!(
            check(stdio, true)
                .unwrap_err()
                .contains("stdio cannot be used")
        );
        assert!(check("{}", false).unwrap_err().contains("exactly one"));
        assert_eq!(check(r#"{"sse":{"url":"https://host/x"}}"#, true), Ok(()));
        assert!(
            check(r#"{"sse":{"url":"ftp://host"}}"#, true)
                .unwrap_err()
                .contains("ftp://host")
        );
    }
}
