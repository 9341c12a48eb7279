use std::time::Duration;

use super::profile;
use crate::interrupt::Unavailable;
use crate::profile::Names;

/// Uses the processor until it is told to end.
#[inline(never)]
fn burn(until: &std::sync::atomic::AtomicBool) -> u64 {
    let mut sum = 0u64;
    while !until.load(std::sync::atomic::Ordering::Relaxed) {
        for number in 0..10_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
    sum
}

#[tokio::test]
async fn a_busy_function_is_seen_and_only_one_profile_is_taken_at_a_time() {
    let _alone = crate::endpoint::ALONE.lock().await;
    let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ended = std::sync::Arc::clone(&end);
    let thread = std::thread::spawn(move || burn(&ended));
    let mut seen = false;
    for _ in 0..60 {
        let mut first = Box::pin(profile(Duration::from_millis(500)));
        let raced = tokio::select! {
            biased;
            stacks = &mut first => stacks,
            second = profile(Duration::from_secs(1)) => {
                let refused = second.err().unwrap().to_string();
                assert_eq!(refused, Unavailable::Busy.to_string());
                first.await
            }
        };
        let stacks = raced.unwrap();
        let names = stacks.names();
        seen = busy(&stacks, &names);
        if seen {
            break;
        }
    }
    end.store(true, std::sync::atomic::Ordering::Relaxed);
    thread.join().unwrap();
    assert!(seen, "the busy function was never sampled");
}

fn busy(stacks: &crate::profile::Stacks, names: &Names) -> bool {
    stacks.samples.iter().any(|sample| {
        assert_eq!(sample.values[1], sample.values[0] * 10_000_000);
        let mut all = sample.frames.iter().filter_map(|&frame| names.get(frame));
        all.any(|name| name.ends_with("tests::burn"))
    })
}

#[tokio::test]
async fn every_thread_tells_what_it_does() {
    let _alone = crate::endpoint::ALONE.lock().await;
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (named, is_named) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("idle-here".to_owned())
        .spawn(move || {
            named.send(()).unwrap();
            ended.recv().is_ok()
        })
        .unwrap();
    is_named.recv().unwrap();
    let stacks = crate::threads::stacks().await.unwrap();
    let found = stacks
        .samples
        .iter()
        .find(|sample| sample.thread.as_deref() == Some("idle-here"))
        .unwrap();
    assert!(found.frames.len() > 3, "{found:?}");
    drop(end);
    thread.join().unwrap();
}
