//! The built-in policy of invocations without one of their own: three more attempts, a second apart, when
//! the target's sidecar was not reached.

use std::time::Duration;

use tonic::Code;

use super::{Answer, Call, CallError, Invoker, Target};

/// Attempts after the first, as upstream's `DaprBuiltInServiceRetries` has it.
const RETRIES: u32 = 3;
/// The pause before each of them.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls the target's sidecar, again if it was not reached and the body can be sent again. Each attempt
/// looks the target up afresh, so that one that moved is found.
pub(super) async fn with_builtin_policy(
    invoker: &Invoker,
    target: &Target,
    mut call: Call,
) -> Result<Answer, CallError> {
    let streaming = call.body.replay().is_none();
    for retries in 0..RETRIES {
        let replay = call.body.replay();
        let failed = match invoker.attempt(target, &mut call).await {
            Ok(answer) => return Ok(answer),
            Err(error) if !was_not_reached(&error) || streaming => return Err(error),
            Err(error) => error,
        };
        tracing::debug!(app = %target.app_id, retries, error = %failed, "target was not reached");
        call.body = replay.expect("a body that is not streaming can be sent again");
        tokio::time::sleep(PAUSE).await;
    }
    invoker.attempt(target, &mut call).await.map_err(|error| {
        if !was_not_reached(&error) {
            return error;
        }
        let message = format!(
            "failed to invoke target {} after {RETRIES} retries. Error: {}",
            target.app_id, error.message
        );
        CallError {
            code: error.code,
            message,
        }
    })
}

fn was_not_reached(error: &CallError) -> bool {
    matches!(error.code, Code::Unavailable | Code::Unauthenticated)
}
