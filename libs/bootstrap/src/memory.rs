//! Memory that only the start needed.
//!
//! A service runs far more code while it starts (flags, certificates, first exchanges, compiled tables) than
//! afterwards. Those pages of its file stay mapped, so they count as resident for as long as the process lives. Once
//! it is ready they are unmapped and marked cold; what is still in use comes back from the page cache with a minor
//! fault, the rest the kernel may reclaim first.

use std::{fs, io, ops::Range, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::readiness::Readiness;

/// How long after readiness: what follows the start at once (first probes, first updates) has run by then.
const SETTLED: Duration = Duration::from_secs(1);

/// Waits until the process is ready, then gives back the program text that its start used.
pub(crate) async fn release_after_start(readiness: Readiness, shutdown: CancellationToken) {
    let settled = async {
        readiness.wait_ready().await;
        tokio::time::sleep(SETTLED).await;
    };
    if shutdown.run_until_cancelled(settled).await.is_none() {
        return;
    }
    match release_program_text() {
        Ok(bytes) => debug!(bytes, "gave back the program text that the start used"),
        Err(error) => debug!(%error, "kept the program text that the start used"),
    }
}

/// Unmaps the pages of every executable file mapping and returns how many bytes those mappings span.
fn release_program_text() -> io::Result<usize> {
    let mut released = 0;
    for range in fs::read_to_string("/proc/self/maps")?
        .lines()
        .filter_map(executable_file)
    {
        release(&range)?;
        released += range.len();
    }
    Ok(released)
}

#[allow(unsafe_code, reason = "advice to the kernel about our own mappings")]
fn release(range: &Range<usize>) -> io::Result<()> {
    use rustix::mm::{Advice, madvise};

    let start = std::ptr::with_exposed_provenance_mut(range.start);
    for advice in [Advice::LinuxCold, Advice::LinuxDontNeed] {
        // SAFETY: the range is a private mapping of a file that was never writable (`executable_file`), so no page of
        // it differs from the file: a dropped page reads the same when it is touched again.
        unsafe { madvise(start, range.len(), advice) }?;
    }
    Ok(())
}

/// The addresses of a line of `/proc/self/maps`, if it is an executable, unwritable, private mapping of a file.
/// Format: proc_pid_maps(5).
fn executable_file(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let file = fields.nth(3)?;
    if permissions != "r-xp" || !file.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::{executable_file, release_program_text};

    #[test]
    fn only_program_text_is_given_back() {
        let text = "5500-6700 r-xp 00001000 fe:00 42    /opt/a program";
        assert_eq!(executable_file(text), Some(0x5500..0x6700));
        for kept in [
            "5500-6700 r--p 00001000 fe:00 42    /usr/bin/program",
            "5500-6700 rwxp 00001000 fe:00 42    /usr/bin/program",
            "5500-6700 r-xp 00000000 00:00 0     [vdso]",
            "5500-6700 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(executable_file(kept), None, "{kept}");
        }
    }

    #[test]
    fn the_program_runs_on_without_its_text_mapped() {
        assert!(release_program_text().expect("may be given back") > 0);
    }
}
