//! The corpus, and what grows out of it by small changes, a fixed number of them: the same ones each time.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::fs;
use std::path::{Path, PathBuf};

use trilby_fuzz::{TARGETS, find};

/// Changes tried of each file.
const CHANGES: usize = 200;
/// The largest file of the corpus, in bytes: it is read by people.
const LARGEST: u64 = 4096;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    files
}

/// The next number of a fixed series (Marsaglia's xorshift).
fn next(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed >> 33).unwrap()
}

/// One or more bytes are replaced, taken out, doubled or cut off.
fn changed(original: &[u8], seed: &mut u64) -> Vec<u8> {
    const TELLING: &[u8] = b"\0/.%:{}*?#\"\\-, \xff\x80";
    let mut data = original.to_vec();
    for _ in 0..=next(seed) % 3 {
        if data.is_empty() {
            data.push(TELLING[next(seed) % TELLING.len()]);
            continue;
        }
        let at = next(seed) % data.len();
        match next(seed) % 5 {
            0 => data[at] = TELLING[next(seed) % TELLING.len()],
            1 => data[at] = u8::try_from(next(seed) % 256).unwrap(),
            2 => drop(data.remove(at)),
            3 => data.insert(at, TELLING[next(seed) % TELLING.len()]),
            _ => data.truncate(at),
        }
    }
    data
}

fn replay(target: &str) {
    let run = find(target).unwrap();
    for file in files(target) {
        let data = fs::read(&file).unwrap();
        run(&data);
        let mut seed = 0x9e37_79b9_7f4a_7c15 ^ data.len() as u64;
        for _ in 0..CHANGES {
            run(&changed(&data, &mut seed));
        }
    }
}

macro_rules! replays {
    ($($target:ident)+) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })+

        #[test]
        fn every_target_is_replayed_and_has_a_corpus_of_small_files() {
            let replayed = [$(stringify!($target)),+];
            let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, replayed);
            for file in known.iter().flat_map(|target| files(target)) {
                let length = fs::metadata(&file).unwrap().len();
                assert!(length <= LARGEST, "{}: {length} bytes", file.display());
            }
        }
    };
}

replays! {
    access_control
    app_config
    authority
    baggage
    binding_request
    bulk_publication
    cron
    crypto_document
    crypto_key
    csr
    flags
    frames
    incoming_event
    injection
    internal_request
    invocation_target
    jwks
    jwt
    manifest
    metrics
    path
    pem
    placement_table
    review
    route_rule
    spiffe_id
    subscriptions
    trace_context
    trust_bundle
    wire_headers
}
