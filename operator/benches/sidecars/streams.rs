//! Sidecars that are connected, told, and come back.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{crowd::Crowd, mebibytes, rights, scene::Scene, setting};

/// Components that every list holds.
const COMPONENTS: usize = 10;
/// Changes that are measured.
const CHANGES: usize = 20;
/// Between two changes: what followed the last one is over.
const PAUSE: Duration = Duration::from_secs(1);
/// For figures of an operator that has nothing to do but lists.
const IDLE: Duration = Duration::from_secs(60);
/// How long to look for the moment when it is idle again, and how often.
const RECOVERY: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// One row.
struct Figures {
    empty: f64,
    joined_s: f64,
    kibibytes_each: f64,
    idle_cpu: f64,
    calls_an_hour: f64,
    told: Vec<Duration>,
    event_us: f64,
    back_s: f64,
    idle_again: Option<u64>,
    after: f64,
    peak: f64,
    lost: usize,
}

pub(crate) async fn run(binaries: &[PathBuf]) {
    let count = setting("SIDECARS", 1_000);
    println!(
        "| operator | sidecars | empty MiB | all join s | KiB each | idle CPU % | API calls/h | p50 ms | p99 ms | max ms \
         | CPU µs an event | all back s | idle again s | MiB after | peak MiB | lost |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for binary in binaries {
        let scene = Scene::start(binary).await;
        let mut figures = measure(&scene, count).await;
        figures.told.sort_unstable();
        let told = |part: usize| millis(figures.told[(figures.told.len() - 1) * part / 100]);
        let again = figures.idle_again;
        println!(
            "| {} | {count} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {:.0} | {:.0} | {} |",
            binary.display(),
            figures.empty,
            figures.joined_s,
            figures.kibibytes_each,
            figures.idle_cpu,
            figures.calls_an_hour,
            told(50),
            told(99),
            told(100),
            figures.event_us,
            figures.back_s,
            again.map_or_else(|| format!("> {}", RECOVERY.as_secs()), |s| s.to_string()),
            figures.after,
            figures.peak,
            figures.lost,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn measure(scene: &Scene, count: usize) -> Figures {
    let operator = &scene.operator;
    for number in 0..COMPONENTS {
        scene.apply_component(&format!("store-{number}"), "0").await;
    }
    let empty = operator.memory().resident;
    let began = Instant::now();
    let crowd = Crowd::join(scene, count).await;
    let joined_s = began.elapsed().as_secs_f64();
    let (idle, calls_an_hour) = idle(scene).await;
    let each = operator.memory().resident.saturating_sub(empty) as f64 / 1024.0 / count as f64;
    let (told, event_us) = changes(scene, &crowd, idle).await;
    let lost = crowd.lost();
    let began = Instant::now();
    crowd.come_back().await;
    let back_s = began.elapsed().as_secs_f64();
    let idle_again = idle_again(scene, idle).await;
    Figures {
        empty: mebibytes(empty),
        joined_s,
        kibibytes_each: each,
        idle_cpu: idle * 100.0,
        calls_an_hour,
        told,
        event_us,
        back_s,
        idle_again,
        after: mebibytes(operator.memory().resident),
        peak: mebibytes(operator.memory().peak),
        lost: crowd.lost() - lost,
    }
}

/// Part of a core that is used, and requests an hour to the API server.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
async fn idle(scene: &Scene) -> (f64, f64) {
    sleep(PAUSE * 5).await;
    let calls = || scene.api.requests_of(&scene.system, rights::ACCOUNT).len();
    let (cpu, before) = (scene.operator.cpu(), calls());
    sleep(IDLE).await;
    let used = (scene.operator.cpu() - cpu).as_secs_f64() / IDLE.as_secs_f64();
    let hour = 3600.0 / IDLE.as_secs_f64();
    (used, (calls() - before) as f64 * hour)
}

/// When sidecars were told after a component was applied, and the operator's CPU for each event, in microseconds,
/// beyond what it uses when idle.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
async fn changes(scene: &Scene, crowd: &Crowd, idle: f64) -> (Vec<Duration>, f64) {
    let (cpu, began) = (scene.operator.cpu(), Instant::now());
    let mut told = Vec::new();
    for change in 0..CHANGES {
        crowd.expect();
        scene
            .apply_component("store-0", &format!("{}", change + 1))
            .await;
        told.extend(crowd.all_told().await);
        sleep(PAUSE).await;
    }
    let used = (scene.operator.cpu() - cpu).as_secs_f64() - idle * began.elapsed().as_secs_f64();
    let each = used.max(0.0) * 1e6 / told.len() as f64;
    (told, each)
}

/// After how many seconds the operator uses no more than half as much again as before, for a second at least.
async fn idle_again(scene: &Scene, idle: f64) -> Option<u64> {
    let began = Instant::now();
    let mut cpu = scene.operator.cpu();
    while began.elapsed() < RECOVERY {
        sleep(SECOND).await;
        let now = scene.operator.cpu();
        // The counter has hundredths of a second.
        if (now - cpu).as_secs_f64() <= idle * 1.5 + 0.02 {
            return Some(began.elapsed().as_secs() - 1);
        }
        cpu = now;
    }
    None
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
