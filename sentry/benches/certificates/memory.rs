//! What a million certificates leave behind.

use std::{path::PathBuf, sync::Arc};

use crate::standalone::{Bench, Connections};

/// How many certificates lie between two looks, and how often it is looked.
const ISSUED: usize = 100_000;
const LOOKS: usize = 10;

pub(crate) async fn run(binaries: &[PathBuf]) {
    println!("| sentry | certificates issued | RSS MiB |");
    println!("|---|---|---|");
    for binary in binaries {
        let bench = Arc::new(Bench::start(binary).await);
        for look in 0..=LOOKS {
            if look > 0 {
                bench.run(Connections::Kept, ISSUED).await;
            }
            #[expect(clippy::cast_precision_loss, reason = "less than a TiB")]
            let mebibytes = bench.resident() as f64 / 1024.0;
            let issued = look * ISSUED;
            println!("| {} | {issued} | {mebibytes:.1} |", binary.display());
        }
    }
}
