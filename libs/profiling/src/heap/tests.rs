use super::{FOLLOWED, MAX_LIVE, MAX_STACKS, RATE, Table, next_distance, place};
use std::sync::atomic::Ordering;

#[test]
fn distances_have_the_rate_as_their_mean() {
    let all: Vec<usize> = (0..20_000).map(|_| next_distance()).collect();
    let mean = all.iter().sum::<usize>() / all.len();
    assert!((RATE * 9 / 10..RATE * 11 / 10).contains(&mean), "{mean}");
}

#[test]
fn a_sample_stands_for_all_blocks_of_its_size() {
    let mut table = Table::default();
    table.add(&[1], 0x10, 64);
    let totals = *table.stacks.values().next().unwrap();
    let expected = RATE as f64 / 64.0;
    assert!((totals.held[0] / expected - 1.0).abs() < 0.01);
    assert!((totals.held[1] / RATE as f64 - 1.0).abs() < 0.01);
}

#[test]
fn a_large_block_stands_for_itself() {
    let mut table = Table::default();
    table.add(&[1], 0x20, 64 * RATE);
    let totals = *table.stacks.values().next().unwrap();
    assert_eq!(totals.held[1].round() as usize, 64 * RATE);
}

#[test]
fn a_freed_block_is_held_no_more_but_was_allocated() {
    let mut table = Table::default();
    table.add(&[1, 2], 0x30, 100);
    let before = FOLLOWED[place(0x30)].load(Ordering::Relaxed);
    assert!(before >= 1);
    table.forget(0x30);
    table.forget(0x30);
    let totals = *table.stacks.values().next().unwrap();
    assert_eq!(totals.held, [0.0, 0.0]);
    assert!(totals.allocated[0] > 0.0);
    assert_eq!(FOLLOWED[place(0x30)].load(Ordering::Relaxed), before - 1);
}

#[test]
fn the_table_is_bounded() {
    let mut table = Table::default();
    for number in 0..MAX_LIVE + 10 {
        table.add(&[number], number << 4, 100);
    }
    assert_eq!(table.live.len(), MAX_LIVE);
    assert!(table.stacks.len() <= MAX_STACKS + 1);
    let rest = table.stacks[&[][..]];
    assert!(rest.allocated[0] > rest.held[0]);
    for number in 0..MAX_LIVE {
        table.forget(number << 4);
    }
    assert!(table.live.is_empty());
    assert!(
        table
            .stacks
            .values()
            .all(|totals| totals.held[0].abs() < 1e-3)
    );
}
