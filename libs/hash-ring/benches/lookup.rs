//! What finding the owner of an actor costs, beside the hash of its id alone.
//!
//! ```sh
//! cargo bench -p trilby-hash-ring --bench lookup
//! ```

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark has nothing but the real clock"
)]

use std::{hint::black_box, time::Instant};

use trilby_hash_ring::{Ring, hash};

/// Ids as applications make them, in no order.
const IDS: usize = 4096;
const PASSES: usize = 100;
const ROUNDS: usize = 9;
const REPLICATION: u32 = 100;

fn main() {
    let ids: Vec<String> = (0..IDS)
        .map(|id| format!("user-{:08x}", id * 0x9e37_79b9))
        .collect();
    println!("| hosts | hash alone ns | owner ns | of it beyond the hash |");
    println!("|---|---|---|---|");
    for hosts in [10, 100, 1000] {
        let names = (0..hosts).map(|host| format!("10.0.{}.{}:50002", host / 256, host % 256));
        let ring = Ring::new(names, REPLICATION);
        // In turn, so that both see the same machine; the median of each.
        let (mut alone, mut owner) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(each(&ids, |id| hash(id.as_bytes())));
            owner.push(each(&ids, |id| ring.owner_index(id)));
        }
        let (alone, owner) = (median(alone), median(owner));
        println!(
            "| {hosts} | {alone:.0} | {owner:.0} | {:.2}x |",
            owner / alone
        );
    }
}

/// Nanoseconds of one lookup.
fn each<T>(ids: &[String], lookup: impl Fn(&str) -> T) -> f64 {
    let began = Instant::now();
    for _ in 0..PASSES {
        for id in ids {
            black_box(lookup(black_box(id)));
        }
    }
    let count = u32::try_from(PASSES * IDS).expect("a small number");
    began.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
