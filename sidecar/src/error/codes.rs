//! Every error code that the APIs answer: for the reference page, and for the category under which metrics count it.

/// One answer with an error code. A code that stands for several has a row for each.
#[derive(Debug)]
pub struct Row {
    /// `errorCode` of the HTTP body.
    pub code: &'static str,
    /// What it is about, as `dapr_error_code_total` has it.
    pub category: &'static str,
    /// The HTTP status.
    pub http: &'static str,
    /// The gRPC code, in the spelling of Go's gRPC; empty where gRPC does not answer it.
    pub grpc: &'static str,
    /// The message; `…` stands for what differs.
    pub message: &'static str,
    /// `ErrorInfo.reason` of the details; empty where there are none.
    pub reason: &'static str,
}

/// The category of a code. One that is not listed is common.
pub fn category(code: &str) -> &'static str {
    let row = ROWS.iter().find(|row| row.code == code);
    row.map_or("common", |row| row.category)
}

/// The code for which gRPC shows a reason: the reason itself, unless it is that of a row.
pub fn of_reason(reason: &str) -> Option<&'static Row> {
    ROWS.iter()
        .find(|row| row.reason == reason)
        .or_else(|| ROWS.iter().find(|row| row.code == reason))
}

macro_rules! rows {
    ($($category:literal { $($code:ident $http:literal $grpc:literal $message:literal $reason:literal)+ })+) => {
        /// All rows, by category.
        pub const ROWS: &[Row] = &[$($(Row {
            code: stringify!($code),
            category: $category,
            http: $http,
            grpc: $grpc,
            message: $message,
            reason: $reason,
        }),+),+];
    };
}

rows! {
    "actor" {
        ERR_ACTOR_INSTANCE_MISSING "400" "Internal" "actor instance is missing" ""
        ERR_ACTOR_INVOKE_METHOD "500" "Internal" "error invoke actor method: …" ""
        ERR_ACTOR_NAMESPACE_REQUIRED "412" "FailedPrecondition" "actors must have a namespace configured when running in Kubernetes mode" ""
        ERR_ACTOR_NO_ADDRESS "404" "FailedPrecondition" "did not find address for actor '…'" ""
        ERR_ACTOR_NO_PLACEMENT "400" "Unavailable" "placement service is not configured" ""
        ERR_ACTOR_REMINDER_CREATE "500" "Internal" "error creating actor reminder: …" ""
        ERR_ACTOR_REMINDER_DELETE "500" "Internal" "error deleting actor reminder: …" ""
        ERR_ACTOR_REMINDER_GET "500" "Internal" "error getting actor reminder: …" ""
        ERR_ACTOR_RUNTIME_CLOSED "503" "Unavailable" "actor runtime is closed" ""
        ERR_ACTOR_RUNTIME_NOT_FOUND "500" "Internal" "the state store is not configured to use the actor runtime. …" ""
        ERR_ACTOR_STACK_DEPTH "500" "ResourceExhausted" "maximum stack depth exceeded" ""
        ERR_ACTOR_STATE_GET "500" "Internal" "error getting actor state: …" ""
        ERR_ACTOR_STATE_TRANSACTION_SAVE "500" "Internal" "error saving actor transaction state: …" ""
        ERR_ACTOR_TIMER_CREATE "500" "Internal" "error creating actor timer: …" ""
        ERR_ACTOR_TYPE_RESERVED "403" "PermissionDenied" "actor type … is reserved for the Dapr workflow runtime; …" ""
    }
    "binding" {
        ERR_INVOKE_OUTPUT_BINDING "500" "Internal" "error invoking output binding …: …" "ERR_INVOKE_OUTPUT_BINDING"
    }
    "common" {
        ERR_APP_CHANNEL_NIL "500" "" "app channel is not initialized. cannot subscribe to configuration updates" ""
        ERR_API_UNIMPLEMENTED "501" "Unimplemented" "this API is currently not implemented" ""
        ERR_API_UNIMPLEMENTED "501" "Unimplemented" "this API is currently not implemented: …" ""
        ERR_API_UNIMPLEMENTED "–" "Unimplemented" "requested endpoint is not available" "Not Implemented"
        ERR_BAD_REQUEST "400" "InvalidArgument" "invalid request: …" ""
        ERR_BODY_READ "400" "InvalidArgument" "failed to read request body: …" ""
        ERR_INTERNAL "500" "Internal" "failed to encode response as JSON: …" ""
        ERR_MALFORMED_REQUEST "400" "InvalidArgument" "failed deserializing HTTP body: …" ""
        ERR_MALFORMED_REQUEST "400" "InvalidArgument" "ResourceId is empty in lock store …" ""
        ERR_MALFORMED_REQUEST "400" "InvalidArgument" "LockOwner is empty in lock store …" ""
        ERR_MALFORMED_REQUEST "400" "InvalidArgument" "ExpiryInSeconds is not positive in lock store …" ""
        ERR_MALFORMED_REQUEST "400" "InvalidArgument" "input key/keyPrefix '…' can't contain '||'" "DAPR_STATE_ILLEGAL_KEY"
    }
    "configuration" {
        ERR_CONFIGURATION_GET "500" "Internal" "failed to get […] from Configuration store …: …" "ERR_CONFIGURATION_GET"
        ERR_CONFIGURATION_STORE_NOT_CONFIGURED "500" "FailedPrecondition" "configuration stores not configured" "ERR_CONFIGURATION_STORE_NOT_CONFIGURED"
        ERR_CONFIGURATION_STORE_NOT_FOUND "400" "InvalidArgument" "configuration store … not found" "ERR_CONFIGURATION_STORE_NOT_FOUND"
        ERR_CONFIGURATION_SUBSCRIBE "500" "InvalidArgument" "failed to subscribe […] from Configuration store …: …" "ERR_CONFIGURATION_SUBSCRIBE"
    }
    "crypto" {
        ERR_CRYPTO "500" "Internal" "failed to perform operation: …" ""
        ERR_CRYPTO_KEY "500" "Internal" "failed to retrieve key …: …" ""
        ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED "500" "Internal" "crypto providers not configured" ""
        ERR_CRYPTO_PROVIDER_NOT_FOUND "400" "InvalidArgument" "crypto provider … not found" ""
    }
    "health" {
        ERR_HEALTH_APPID_NOT_MATCH "500" "" "dapr app-id does not match" ""
        ERR_HEALTH_NOT_READY "500" "" "dapr is not ready: […]" ""
        ERR_OUTBOUND_HEALTH_NOT_READY "500" "" "dapr outbound is not ready" ""
    }
    "lock" {
        ERR_LOCK_STORE_NOT_CONFIGURED "500" "FailedPrecondition" "lock store is not configured" ""
        ERR_LOCK_STORE_NOT_FOUND "400" "InvalidArgument" "lock store … not found" ""
        ERR_TRY_LOCK "500" "Internal" "failed to try acquiring lock: …" ""
        ERR_UNLOCK "500" "Internal" "failed to release lock: …" ""
    }
    "pubsub" {
        ERR_PUBSUB_CLOUD_EVENTS_SER "500" "InvalidArgument" "cannot create cloudevent" "DAPR_PUBSUB_CLOUD_EVENT_CREATION"
        ERR_PUBSUB_EMPTY "404" "InvalidArgument" "pubsub name is empty" "DAPR_PUBSUB_NAME_EMPTY"
        ERR_PUBSUB_EVENTS_SER "400" "InvalidArgument" "error when unmarshaling the request for topic … pubsub …: …" "DAPR_PUBSUB_UNMARSHAL_EVENTS"
        ERR_PUBSUB_EVENTS_SER "400" "InvalidArgument" "error marshaling events to bytes for topic … pubsub …. error: …" "DAPR_PUBSUB_MARSHAL_EVENTS"
        ERR_PUBSUB_EVENTS_SER "400" "InvalidArgument" "error when marshalling cloud event envelope for topic … pubsub …: …" "DAPR_PUBSUB_MARSHAL_ENVELOPE"
        ERR_PUBSUB_FORBIDDEN "403" "PermissionDenied" "topic … is not allowed for app id …" "DAPR_PUBSUB_FORBIDDEN"
        ERR_PUBSUB_NOT_FOUND "404" "InvalidArgument" "pubsub … is not found" "DAPR_PUBSUB_NOT_FOUND"
        ERR_PUBSUB_PUBLISH_MESSAGE "500" "Internal" "error when publishing to topic … in pubsub …: …" "DAPR_PUBSUB_PUBLISH_MESSAGE"
        ERR_PUBSUB_REQUEST_METADATA "400" "InvalidArgument" "failed deserializing metadata. Error: …" "DAPR_PUBSUB_METADATA_DESERIALIZATION"
        ERR_PUBSUB_SUBSCRIBE "–" "Unknown" "failed to create subscription for …: …" ""
        ERR_TOPIC_NAME_EMPTY "404" "InvalidArgument" "topic is empty in pubsub …" "DAPR_PUBSUB_TOPIC_NAME_EMPTY"
    }
    "secret" {
        ERR_PERMISSION_DENIED "403" "PermissionDenied" "access denied by policy to get … from …" ""
        ERR_SECRET_GET "500" "Internal" "failed getting secret with key … from secret store …: …" ""
        ERR_SECRET_GET "500" "Internal" "failed getting secrets from secret store …: …" ""
        ERR_SECRET_STORES_NOT_CONFIGURED "500" "FailedPrecondition" "secret store is not configured" ""
        ERR_SECRET_STORE_NOT_FOUND "401" "InvalidArgument" "failed finding secret store with key …" ""
    }
    "service-invocation" {
        ERR_DIRECT_INVOKE "500" "Internal" "failed to invoke, id: …, err: …" ""
        ERR_DIRECT_INVOKE "403" "Internal" "failed to invoke, id: …, err: …" ""
        ERR_DIRECT_INVOKE "404" "NotFound" "failed getting app id either from the URL path or the header dapr-app-id" ""
    }
    "state" {
        ERR_NOT_SUPPORTED_STATE_OPERATION "400" "Unimplemented" "operation type … not supported" "ERR_NOT_SUPPORTED_STATE_OPERATION"
        ERR_STATE_BULK_DELETE "–" "Internal, Aborted, InvalidArgument" "failed deleting state in state store …: …" "ERR_STATE_BULK_DELETE"
        ERR_STATE_BULK_GET "as the component says" "as the component says" "…" ""
        ERR_STATE_DELETE "500, 409, 400" "Internal, Aborted, InvalidArgument" "failed deleting state with key …: …" "ERR_STATE_DELETE"
        ERR_STATE_GET "500" "Internal" "fail to get … from state store …: …" "ERR_STATE_GET"
        ERR_STATE_QUERY "500" "Internal" "state store … query failed: …" "DAPR_STATE_QUERY_FAILED"
        ERR_STATE_SAVE "500, 409, 400" "Internal, Aborted, InvalidArgument" "failed saving state in state store …: …" "ERR_STATE_SAVE"
        ERR_STATE_STORE_NOT_CONFIGURED "500" "FailedPrecondition" "state store … is not configured" "DAPR_STATE_NOT_CONFIGURED"
        ERR_STATE_STORE_NOT_FOUND "400" "InvalidArgument" "state store … is not found" "DAPR_STATE_NOT_FOUND"
        ERR_STATE_STORE_NOT_SUPPORTED "500" "Unimplemented" "state store … doesn't support transactions" "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED"
        ERR_STATE_STORE_NOT_SUPPORTED "500" "Internal" "state store does not support querying" "DAPR_STATE_QUERYING_NOT_SUPPORTED"
        ERR_STATE_STORE_TOO_MANY_TRANSACTIONS "400" "InvalidArgument" "the transaction contains … operations, which is more than what the state store supports: …" "DAPR_STATE_TOO_MANY_TRANSACTIONS"
        ERR_STATE_TRANSACTION "500, 409, 400" "Internal, Aborted, InvalidArgument" "error while executing state transaction: …" "ERR_STATE_TRANSACTION"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{ROWS, category, of_reason};

    /// Codes between quotation marks in the sources below `folder`, without tests.
    fn written(folder: &Path, codes: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                written(&path, codes);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("error/codes.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let quoted = code.split('"').skip(1).step_by(2);
                codes.extend(
                    quoted
                        .filter(|text| {
                            text.starts_with("ERR_")
                                && text
                                    .bytes()
                                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                        })
                        .map(str::to_owned),
                );
            }
        }
    }

    #[test]
    fn every_code_that_is_answered_has_a_row_and_the_other_way_round() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut codes = BTreeSet::new();
        written(&root.join("src"), &mut codes);
        written(&root.join("actors/src"), &mut codes);
        let rows: BTreeSet<String> = ROWS.iter().map(|row| row.code.to_owned()).collect();
        let missing: Vec<_> = codes.difference(&rows).collect();
        assert!(
            missing.is_empty(),
            "add these to error/codes.rs: {missing:?}"
        );
        let unused: Vec<_> = rows.difference(&codes).collect();
        assert!(
            unused.is_empty(),
            "nothing answers these of error/codes.rs: {unused:?}"
        );
    }

    #[test]
    fn a_reason_leads_to_its_code() {
        let code = |reason| of_reason(reason).map(|row| row.code);
        assert_eq!(
            code("DAPR_STATE_NOT_FOUND"),
            Some("ERR_STATE_STORE_NOT_FOUND")
        );
        assert_eq!(code("ERR_STATE_GET"), Some("ERR_STATE_GET"));
        assert_eq!(code("of an application"), None);
        assert_eq!(category("ERR_STATE_GET"), "state");
    }
}
