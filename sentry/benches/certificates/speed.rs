//! Certificates a second, and the server's CPU for each.

use std::{path::PathBuf, sync::Arc};

use tokio::time::Instant;

use crate::standalone::{Bench, Connections};

/// Certificates over kept connections, over new ones, and before anything is counted.
const KEPT: usize = 20_000;
const NEW: usize = 2_000;
const WARM_UP: usize = 500;

pub(crate) async fn run(binaries: &[PathBuf]) {
    println!("| sentry | connections | certificates/s | CPU ms each |");
    println!("|---|---|---|---|");
    for binary in binaries {
        let bench = Arc::new(Bench::start(binary).await);
        bench.run(Connections::Kept, WARM_UP).await;
        for (connections, name, count) in [
            (Connections::Kept, "kept", KEPT),
            (Connections::New, "new", NEW),
        ] {
            let (cpu, began) = (bench.cpu(), Instant::now());
            bench.run(connections, count).await;
            let (seconds, cpu) = (began.elapsed().as_secs_f64(), bench.cpu() - cpu);
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let count = count as f64;
            let each = cpu.as_secs_f64() * 1000.0 / count;
            println!(
                "| {} | {name} | {:.0} | {each:.3} |",
                binary.display(),
                count / seconds
            );
        }
    }
}
