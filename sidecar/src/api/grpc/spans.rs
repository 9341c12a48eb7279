//! What a method adds to the span of its request.

use http::Extensions;

use crate::api::traced::{PEER_NAME, RPC_SERVICE, describe};

/// The service that methods of the sidecar's API belong to.
const DAPR: &str = "Dapr";

/// A request to a store of a building block.
pub(super) fn describe_store(
    extensions: &Extensions,
    (block, store): (&'static str, &str),
    method: &'static str,
) {
    describe(extensions, |note| {
        note.set("db.name", store);
        note.set(RPC_SERVICE, DAPR);
        note.set("db.system", block);
        note.set(
            "db.statement",
            format!("/dapr.proto.runtime.v1.Dapr/{method}"),
        );
        note.set("db.connection_string", block);
    });
}

/// A call to another application.
pub(super) fn describe_invocation(extensions: &Extensions, target: &str, method: &str) {
    describe(extensions, |note| {
        note.rename(format!("CallLocal/{target}/{method}"));
        note.set(RPC_SERVICE, "ServiceInvocation");
        note.set(PEER_NAME, target);
    });
}
