//! In Kubernetes, no service here has need of root.

use std::fs;

/// The variable that allows root after all, if it is `true`.
pub const ROOT_ALLOWED: &str = "DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK";

/// A process that must not be root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "current user UID(0) is root. Dapr must be run as a non-root user in Kubernetes environments. To override \
     this check, set the environment variable '{ROOT_ALLOWED}=true'"
)]
pub struct RunsAsRoot;

/// The effective user of this process, if the system tells.
#[must_use]
pub fn user_id() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, file system.
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whether the environment, read through `variable`, allows root.
#[must_use]
pub fn root_allowed(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable(ROOT_ALLOWED).is_some_and(|value| value == "true")
}

/// Refuses to go on as root, unless the environment, read through `variable`, allows it.
///
/// # Errors
/// As root.
pub fn refuse_root(variable: impl Fn(&str) -> Option<String>) -> Result<(), RunsAsRoot> {
    judge(user_id(), root_allowed(variable))
}

fn judge(user: Option<u32>, allowed: bool) -> Result<(), RunsAsRoot> {
    if user == Some(0) && !allowed {
        return Err(RunsAsRoot);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{RunsAsRoot, judge, root_allowed, user_id};

    #[test]
    fn only_root_is_refused_and_only_unless_allowed() {
        assert_eq!(judge(Some(0), false), Err(RunsAsRoot));
        assert_eq!(judge(Some(0), true), Ok(()));
        assert_eq!(judge(Some(1000), false), Ok(()));
        assert!(user_id().is_some());
    }

    #[test]
    fn only_the_word_true_allows_root() {
        for (value, allowed) in [("true", true), ("1", false), ("TRUE", false), ("", false)] {
            assert_eq!(root_allowed(|_| Some(value.to_owned())), allowed, "{value}");
        }
        assert!(!root_allowed(|_| None));
    }

    #[test]
    fn refusal_says_how_to_go_on() {
        let text = RunsAsRoot.to_string();
        assert!(
            text.starts_with("current user UID(0) is root. Dapr must be run as a non-root user")
        );
        assert!(text.ends_with("'DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK=true'"));
    }
}
