//! Kubernetes' own `CertificateSigningRequest`. The signer tells no root.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use trilby_go_syntax::GoDuration;
use trilby_identity::SpiffeId;

use super::request::{Request, Status, Verdict};

/// Signers of this prefix are cert-manager's, which want to be told in annotations what the API has no fields for.
const CERT_MANAGER: [&str; 2] = [
    "issuers.cert-manager.io/",
    "clusterissuers.cert-manager.io/",
];

/// A request to `signer` for a certificate that lives so long.
pub(super) fn request(
    client: &Client,
    sentry: &SpiffeId,
    (signer, life): (&str, Duration),
) -> Request {
    let kind = GroupVersionKind::gvk("certificates.k8s.io", "v1", "CertificateSigningRequest");
    let resource = ApiResource::from_gvk_with_plural(&kind, "certificatesigningrequests");
    // The kind has no namespaces. The chart grants rights on the one object by this name.
    let name = format!("dapr-sentry-issuer.{}", sentry.namespace());
    Request {
        api: Api::all_with(client.clone(), &resource),
        resource,
        shown: name.clone(),
        object: name,
        spec: json!({
            "signerName": signer,
            "expirationSeconds": i32::try_from(life.as_secs()).unwrap_or(i32::MAX),
            "usages": ["digital signature", "cert sign", "crl sign"],
        }),
        annotations: annotations(signer, life),
        verdict,
        served_by: "Kubernetes since 1.19",
    }
}

fn annotations(signer: &str, life: Duration) -> BTreeMap<String, String> {
    if !CERT_MANAGER.iter().any(|prefix| signer.starts_with(prefix)) {
        return BTreeMap::new();
    }
    let duration = GoDuration(life).to_string();
    [("request-is-ca", "true"), ("request-duration", &duration)]
        .map(|(key, value)| {
            (
                format!("experimental.cert-manager.io/{key}"),
                value.to_owned(),
            )
        })
        .into()
}

fn verdict(status: &Status) -> Verdict {
    for (condition, said) in [("Denied", "was denied"), ("Failed", "failed")] {
        if let Some(refusal) = status.holds(condition) {
            return Verdict::Refused(format!("{said} ({refusal})"));
        }
    }
    if let Some(issued) = status.issued() {
        return issued;
    }
    Verdict::Waiting(match status.holds("Approved") {
        Some(_) => "is approved and waits for its signer".to_owned(),
        None => "waits for approval (kubectl certificate approve)".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::Value;

    use super::*;

    fn check(conditions: Value, certificate: &str, expected: Verdict) {
        let status = json!({"conditions": conditions, "certificate": certificate});
        assert_eq!(verdict(&Status::deserialize(status).unwrap()), expected);
    }

    #[test]
    fn what_it_waits_for_is_told() {
        let waiting = |text: &str| Verdict::Waiting(text.to_owned());
        let approval = "waits for approval (kubectl certificate approve)";
        check(json!([]), "", waiting(approval));
        check(
            json!([{"type": "Approved", "status": "True"}]),
            "",
            waiting("is approved and waits for its signer"),
        );
    }

    #[test]
    fn who_denies_or_fails_it_refuses_it() {
        for (condition, text) in [
            ("Denied", "was denied (No: not today)"),
            ("Failed", "failed (No: not today)"),
        ] {
            let refusal = json!([{"type": condition, "status": "True", "reason": "No", "message": "not today"}]);
            check(refusal, "QQ==", Verdict::Refused(text.to_owned()));
        }
        let silent = json!([{"type": "Denied", "status": "True"}]);
        check(
            silent,
            "",
            Verdict::Refused("was denied (no reason was given)".to_owned()),
        );
    }

    #[test]
    fn the_certificate_is_the_answer_and_there_is_no_root() {
        let issued = Verdict::Issued {
            chain: b"Chain".to_vec(),
            root: Vec::new(),
        };
        check(
            json!([{"type": "Approved", "status": "True"}]),
            "Q2hhaW4=",
            issued,
        );
    }

    #[test]
    fn cert_managers_signers_are_told_that_an_authority_is_asked_for() {
        let hour = Duration::from_hours(1);
        assert!(annotations("example.com/ca", hour).is_empty());
        let annotations = annotations("clusterissuers.cert-manager.io/root", hour);
        assert_eq!(
            annotations["experimental.cert-manager.io/request-is-ca"],
            "true"
        );
        assert_eq!(
            annotations["experimental.cert-manager.io/request-duration"],
            "1h0m0s"
        );
    }
}
