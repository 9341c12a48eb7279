//! What two sidecars hold in memory after more and more calls: it must not grow with them.

use std::path::PathBuf;

use anyhow::Result;
use trilby_testkit::load::ClosedLoop;

use crate::app::App;
use crate::call::Protocol;
use crate::pair::Pair;

/// After how many thousand calls memory is looked at.
const LOOKS: [u32; 4] = [10, 100, 500, 1000];
const CONNECTIONS: u32 = 16;

/// A million calls through a pair of each binary.
pub(crate) async fn endure(binaries: Vec<PathBuf>) -> Result<()> {
    println!("| whose | calls | calls/s | caller RSS MB | callee RSS MB |");
    println!("|---|---|---|---|---|");
    for binary in binaries {
        let app = App::start(Protocol::Http).await?;
        let pair = Pair::start(binary, Protocol::Http, app.port()).await;
        million(&pair).await?;
    }
    Ok(())
}

async fn million(pair: &Pair) -> Result<()> {
    let mut done = 0;
    for look in LOOKS.map(|thousands| thousands * 1000) {
        let flood = ClosedLoop {
            connections: CONNECTIONS,
            operations: (look - done) / CONNECTIONS,
        };
        let calls = flood.count() as f64 / flood.run(pair.call()).await?.as_secs_f64();
        done = look;
        let [caller, callee] = pair.rss_megabytes();
        println!(
            "| {} | {done} | {calls:.0} | {caller:.1} | {callee:.1} |",
            pair.name()
        );
    }
    Ok(())
}
