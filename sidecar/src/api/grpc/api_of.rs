//! Which API a method belongs to, as `spec.api` of a Configuration names it.

/// The API's name and version; `None` for methods that no rule can refuse.
pub(super) fn find(method: &str) -> Option<(&'static str, &'static str)> {
    let base = method
        .strip_suffix("Alpha1")
        .or_else(|| method.strip_suffix("Beta1"));
    let version = match method {
        _ if method.ends_with("Alpha1") => "v1alpha1",
        _ if method.ends_with("Alpha2") => "v1alpha2",
        _ if method.ends_with("Beta1") => "v1beta1",
        _ => "v1",
    };
    let name = match base.unwrap_or(method) {
        "GetState"
        | "GetBulkState"
        | "SaveState"
        | "QueryState"
        | "DeleteState"
        | "DeleteBulkState"
        | "ExecuteStateTransaction" => "state",
        "GetSecret" | "GetBulkSecret" => "secrets",
        "PublishEvent" | "BulkPublishEvent" => "publish",
        "SubscribeTopicEvents" => "subscribe",
        "InvokeBinding" => "bindings",
        "InvokeService" => "invoke",
        "RegisterActorTimer"
        | "UnregisterActorTimer"
        | "RegisterActorReminder"
        | "UnregisterActorReminder"
        | "UnregisterActorRemindersByType"
        | "ListActorReminders"
        | "GetActorReminder"
        | "GetActorState"
        | "ExecuteActorStateTransaction"
        | "InvokeActor"
        | "SubscribeActorEvents" => "actors",
        "GetMetadata" | "SetMetadata" => "metadata",
        "Shutdown" => "shutdown",
        "GetConfiguration" | "SubscribeConfiguration" | "UnsubscribeConfiguration" => {
            "configuration"
        }
        "TryLock" => "lock",
        "Unlock" => "unlock",
        "Encrypt" | "Decrypt" => "crypto",
        "ScheduleJob" | "GetJob" | "DeleteJob" | "DeleteJobsByPrefix" | "ListJobs" => "jobs",
        "Converse" | "ConverseAlpha2" => "conversation",
        subtle if subtle.starts_with("Subtle") => "subtlecrypto",
        workflow if workflow.contains("Workflow") => "workflows",
        _ => return None,
    };
    Some((name, version))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn suffixes_are_versions() {
        assert_eq!(find("GetState"), Some(("state", "v1")));
        assert_eq!(find("QueryStateAlpha1"), Some(("state", "v1alpha1")));
        assert_eq!(find("ConverseAlpha2"), Some(("conversation", "v1alpha2")));
        assert_eq!(find("StartWorkflowBeta1"), Some(("workflows", "v1beta1")));
        assert_eq!(
            find("SubtleGetKeyAlpha1"),
            Some(("subtlecrypto", "v1alpha1"))
        );
        assert_eq!(find("Unknown"), None);
    }
}
