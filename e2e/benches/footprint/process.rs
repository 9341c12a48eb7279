//! One run of one program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;
use trilby_testkit::services::Service;

/// A program that is not ready by then has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// What one run showed. Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    rss: u64,
    anonymous: u64,
    ready: Duration,
}

impl Sample {
    /// Median of each figure by itself.
    pub(crate) fn median(samples: Vec<Self>) -> Self {
        fn middle<T: Ord + Copy>(mut values: Vec<T>) -> T {
            values.sort_unstable();
            values[values.len() / 2]
        }
        Self {
            rss: middle(samples.iter().map(|sample| sample.rss).collect()),
            anonymous: middle(samples.iter().map(|sample| sample.anonymous).collect()),
            ready: middle(samples.iter().map(|sample| sample.ready).collect()),
        }
    }

    /// A row of the table.
    pub(crate) fn row(&self, program: &str, directory: &Path) -> Result<String> {
        let file = directory.join(program);
        let size = fs::metadata(&file)
            .with_context(|| format!("{}", file.display()))?
            .len();
        let megabytes = |bytes: u64| bytes as f64 / MEGABYTE;
        Ok(format!(
            "| {program} | {} | {:.1} | {:.1} | {:.1} | {:.0} |",
            directory.file_name().unwrap_or_default().display(),
            megabytes(size),
            megabytes(self.rss),
            megabytes(self.anonymous),
            self.ready.as_secs_f64() * 1000.0,
        ))
    }
}

/// Starts the program, waits until it is healthy and idle, reads its memory, stops it.
pub(crate) async fn measure<P>(mut service: Service<P>, idle: Duration) -> Result<Sample> {
    let started = Instant::now();
    service.launch();
    while !service.is_healthy().await {
        if started.elapsed() > READY_WITHIN {
            bail!(
                "not ready within {READY_WITHIN:?}; its log ends:\n{}",
                service.log().tail(20)
            );
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ready = started.elapsed();
    tokio::time::sleep(idle).await;
    let pid = service.pid().context("it runs")?;
    let status = PathBuf::from(format!("/proc/{pid}/status"));
    let status = fs::read_to_string(&status).context("the kernel shows its memory")?;
    let sample = Sample {
        rss: kilobytes(&status, "VmRSS:")? * 1024,
        anonymous: kilobytes(&status, "RssAnon:")? * 1024,
        ready,
    };
    service.stop().await;
    Ok(sample)
}

fn kilobytes(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value
        .context("no such line in /proc/<pid>/status")?
        .parse()
        .context("a number of kB")
}
