//! cert-manager's `CertificateRequest`.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use trilby_go_syntax::GoDuration;
use trilby_identity::SpiffeId;

use super::{
    IssuerRef,
    request::{Request, Status, Verdict},
};

/// The one object of this kind that sentry has. The chart grants rights on it by this name.
const NAME: &str = "dapr-sentry-issuer";

/// A request to `issuer` for a certificate that lives so long.
pub(super) fn request(
    client: &Client,
    sentry: &SpiffeId,
    (issuer, life): (&IssuerRef, Duration),
) -> Request {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest");
    let resource = ApiResource::from_gvk_with_plural(&kind, "certificaterequests");
    Request {
        api: Api::namespaced_with(client.clone(), sentry.namespace(), &resource),
        resource,
        object: NAME.to_owned(),
        shown: format!("{}/{NAME}", sentry.namespace()),
        spec: json!({
            "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
            "duration": GoDuration(life).to_string(),
            "isCA": true,
            // Exactly those of the request inside: cert-manager compares.
            "usages": ["digital signature", "cert sign", "crl sign"],
        }),
        annotations: BTreeMap::new(),
        verdict,
        served_by: "cert-manager",
    }
}

fn verdict(status: &Status) -> Verdict {
    let refused =
        |said: &str, why: &dyn std::fmt::Display| Verdict::Refused(format!("{said} ({why})"));
    if let Some(denied) = status.holds("Denied") {
        return refused("was denied", denied);
    }
    if let Some(invalid) = status.holds("InvalidRequest") {
        return refused("was refused as invalid", invalid);
    }
    let unready = status.with("Ready", "False");
    if let Some(failed) = unready.filter(|ready| ["Failed", "Denied"].contains(&&*ready.reason)) {
        return refused("failed", failed);
    }
    if let (Some(_ready), Some(issued)) = (status.holds("Ready"), status.issued()) {
        return issued;
    }
    Verdict::Waiting(match (status.holds("Approved"), unready) {
        (Some(_), Some(why)) => format!("is approved and waits for its issuer ({why})"),
        (Some(_), None) => "is approved and waits for its issuer".to_owned(),
        (None, _) => "waits for approval".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::Value;

    use super::*;

    fn check(status: Value, expected: Verdict) {
        assert_eq!(verdict(&Status::deserialize(status).unwrap()), expected);
    }

    fn condition(name: &str, status: &str, reason: &str) -> Value {
        json!({"type": name, "status": status, "reason": reason, "message": "because"})
    }

    #[test]
    fn what_it_waits_for_is_told() {
        let waiting = |text: &str| Verdict::Waiting(text.to_owned());
        check(json!({}), waiting("waits for approval"));
        let approved = condition("Approved", "True", "cert-manager.io");
        let pending = condition("Ready", "False", "Pending");
        check(
            json!({"conditions": [approved]}),
            waiting("is approved and waits for its issuer"),
        );
        check(
            json!({"conditions": [approved, pending]}),
            waiting("is approved and waits for its issuer (Pending: because)"),
        );
    }

    #[test]
    fn every_way_to_refuse_is_a_refusal_even_with_a_certificate() {
        for (refusal, text) in [
            (
                condition("Denied", "True", "Policy"),
                "was denied (Policy: because)",
            ),
            (
                condition("InvalidRequest", "True", "NoCA"),
                "was refused as invalid (NoCA: because)",
            ),
            (
                condition("Ready", "False", "Failed"),
                "failed (Failed: because)",
            ),
            (
                condition("Ready", "False", "Denied"),
                "failed (Denied: because)",
            ),
        ] {
            let status = json!({"conditions": [refusal], "certificate": "QQ=="});
            check(status, Verdict::Refused(text.to_owned()));
        }
    }

    #[test]
    fn a_certificate_counts_when_the_request_is_ready() {
        let status = |ready: &str| {
            json!({
                "conditions": [condition("Approved", "True", ""), condition("Ready", ready, "")],
                "certificate": "Q2hhaW4=", "ca": "Um9vdA==",
            })
        };
        let issued = Verdict::Issued {
            chain: b"Chain".to_vec(),
            root: b"Root".to_vec(),
        };
        check(status("True"), issued);
        let text = "is approved and waits for its issuer (because)";
        check(status("False"), Verdict::Waiting(text.to_owned()));
    }
}
