//! Who may ask for what: a sidecar, for its own namespace.

use tonic::{Extensions, Status};
use trilby_identity::SpiffeId;

/// The caller's identity.
pub(super) fn identify(extensions: &Extensions) -> Result<SpiffeId, Status> {
    known(trilby_grpc::peer(extensions).and_then(|peer| peer.spiffe.clone()))
}

fn known(id: Option<SpiffeId>) -> Result<SpiffeId, Status> {
    id.ok_or_else(|| Status::permission_denied("failed to determine identity"))
}

/// The caller's identity, if it belongs to the namespace it asks for.
pub(super) fn authorize(extensions: &Extensions, namespace: &str) -> Result<SpiffeId, Status> {
    permit(identify(extensions), namespace)
}

/// As [`authorize`], with the text that this one call has.
pub(super) fn authorize_configuration(
    extensions: &Extensions,
    namespace: &str,
) -> Result<SpiffeId, Status> {
    authorize(extensions, namespace).map_err(|status| {
        Status::permission_denied(format!(
            "failed to authorize configuration update request: rpc error: code = PermissionDenied desc = {}",
            status.message()
        ))
    })
}

fn permit(id: Result<SpiffeId, Status>, namespace: &str) -> Result<SpiffeId, Status> {
    let id = id?;
    if namespace.is_empty() || id.namespace() != namespace {
        return Err(Status::permission_denied(format!(
            "identity does not match requested namespace exp={namespace} got={}",
            id.namespace()
        )));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::{known, permit};

    fn refusal(id: Option<&str>, namespace: &str) -> Option<String> {
        let id = id.map(|id| id.parse().unwrap());
        permit(known(id), namespace).err().map(|status| {
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
            status.message().to_owned()
        })
    }

    #[test]
    fn a_sidecar_may_ask_for_its_own_namespace_whatever_its_trust_domain() {
        assert_eq!(refusal(Some("spiffe://public/ns/shop/cart"), "shop"), None);
        assert_eq!(refusal(Some("spiffe://other/ns/shop/cart"), "shop"), None);
    }

    #[test]
    fn nobody_else_may_and_is_told_why() {
        assert_eq!(
            refusal(None, "shop").as_deref(),
            Some("failed to determine identity")
        );
        for (namespace, text) in [
            (
                "bank",
                "identity does not match requested namespace exp=bank got=shop",
            ),
            (
                "",
                "identity does not match requested namespace exp= got=shop",
            ),
        ] {
            assert_eq!(
                refusal(Some("spiffe://public/ns/shop/cart"), namespace).as_deref(),
                Some(text)
            );
        }
    }
}
