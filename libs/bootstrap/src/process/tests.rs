use std::time::Duration;

use super::{Process, TaskEnded};

const DRAIN: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn tasks_that_follow_the_token_end_in_peace() {
    let process = Process::for_test();
    let shutdown = process.shutdown();
    process.spawn("api", async move {
        shutdown.cancelled().await;
        Ok(())
    });
    assert_eq!(process.stop(DRAIN).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_stops_the_process_with_its_name_and_reason() {
    let process = Process::for_test();
    process.spawn("cache", async {
        Err(anyhow::anyhow!("refused").context("cannot watch"))
    });
    process.shutdown().cancelled().await;
    let ended = process.stop(DRAIN).await.expect_err("a task failed");
    assert_eq!(
        ended.to_string(),
        "task \"cache\" ended: cannot watch: refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_just_ends_stops_the_process() {
    let process = Process::for_test();
    process.spawn("cache", async { Ok(()) });
    process.shutdown().cancelled().await;
    let ended = process.stop(DRAIN).await.expect_err("a task ended");
    assert_eq!(ended.reason, "finished unexpectedly");
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_process() {
    let process = Process::for_test();
    process.spawn("index", async { panic!("out of range") });
    process.shutdown().cancelled().await;
    assert_eq!(
        process.stop(DRAIN).await,
        Err(TaskEnded {
            name: "index",
            reason: "panicked".to_owned()
        })
    );
}

#[test]
fn a_task_that_goes_with_its_runtime_has_not_ended_by_itself() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime can be built");
    let process = Process::for_test();
    runtime.block_on(async { process.spawn("cache", std::future::pending()) });
    drop(runtime);
    assert!(!process.shutdown().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_the_token_is_named_when_the_drain_ends() {
    let process = Process::for_test();
    process.spawn("stubborn", std::future::pending());
    let ended = process.stop(DRAIN).await.expect_err("it never ends");
    assert_eq!(
        ended.to_string(),
        "task \"stubborn\" ended: did not finish within 5s"
    );
}

#[tokio::test(start_paused = true)]
async fn an_aborted_process_waits_for_no_task() {
    let process = Process::for_test();
    process.spawn("stubborn", std::future::pending());
    process.abort("ending", "asked to end at once");
    assert!(process.shutdown().is_cancelled());
    let began = tokio::time::Instant::now();
    let ended = process.stop(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(
        ended.to_string(),
        "task \"ending\" ended: asked to end at once"
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}
