use super::*;

const BATCHES: Batching = Batching {
    most: 3,
    wait: Duration::from_secs(10),
};

fn key(partition: i32) -> Key {
    ("topic".to_owned(), partition)
}

fn partitions(batching: Batching, assigned: i32) -> (Partitions<i64>, Instant) {
    let mut partitions = Partitions::new(batching, 4);
    partitions.assign((0..assigned).map(key));
    (partitions, Instant::now())
}

fn receive(partitions: &mut Partitions<i64>, partition: i32, offset: i64, since: Instant) {
    let waiting = Waiting {
        offset,
        size: 1,
        since,
        record: offset,
    };
    partitions.receive(&key(partition), waiting);
}

fn offsets(batches: &[Batch<i64>]) -> Vec<(i32, Vec<i64>)> {
    let batches = batches.iter();
    let records = |batch: &Batch<i64>| batch.records.iter().map(|(offset, _)| *offset).collect();
    batches.map(|batch| (batch.key.1, records(batch))).collect()
}

#[test]
fn a_partition_is_handled_one_after_the_other_beside_the_others() {
    let (mut all, now) = partitions(SINGLE, 2);
    for (partition, offset) in [(0, 5), (0, 6), (1, 9)] {
        receive(&mut all, partition, offset, now);
    }
    let first = all.begin(now);
    assert_eq!(offsets(&first), [(0, vec![5]), (1, vec![9])]);
    assert_eq!(offsets(&all.begin(now)), []);
    all.finished(&key(0), first[0].assignment, Some(6));
    assert_eq!(offsets(&all.begin(now)), [(0, vec![6])]);
}

#[test]
fn only_what_was_taken_is_committed_and_never_backwards() {
    let (mut all, now) = partitions(SINGLE, 1);
    receive(&mut all, 0, 5, now);
    let assignment = all.begin(now)[0].assignment;
    assert!(all.uncommitted().is_empty());
    all.finished(&key(0), assignment, Some(6));
    let first = all.uncommitted();
    assert_eq!(first, Offsets::from([(key(0), (assignment, 6))]));
    all.finished(&key(0), assignment, Some(8));
    all.committed(&first);
    let second = all.uncommitted();
    assert_eq!(second, Offsets::from([(key(0), (assignment, 8))]));
    all.committed(&second);
    all.committed(&first);
    all.finished(&key(0), assignment, None);
    assert!(all.uncommitted().is_empty());
}

#[test]
fn what_is_revoked_waits_no_longer_and_what_is_handled_still_counts() {
    let (mut all, now) = partitions(SINGLE, 1);
    for offset in [5, 6] {
        receive(&mut all, 0, offset, now);
    }
    let batch = all.begin(now).remove(0);
    all.revoke(&[key(0)]);
    assert!(batch.revoked.is_cancelled() && all.busy(&[key(0)]));
    receive(&mut all, 0, 7, now);
    all.finished(&key(0), batch.assignment, Some(6));
    assert!(!all.busy(&[key(0)]));
    assert_eq!(offsets(&all.begin(now)), [], "neither 6 nor 7");
    assert_eq!(all.uncommitted().len(), 1);
}

#[test]
fn an_assignment_knows_nothing_of_the_one_before() {
    let (mut all, now) = partitions(SINGLE, 1);
    receive(&mut all, 0, 5, now);
    let before = all.begin(now).remove(0);
    all.forget(&[key(0)]);
    receive(&mut all, 0, 6, now);
    assert_eq!(all.next(), None, "it belongs to nobody");
    all.assign([key(0)]);
    all.finished(&key(0), before.assignment, Some(6));
    assert!(all.uncommitted().is_empty());
    receive(&mut all, 0, 5, now);
    assert_eq!(offsets(&all.begin(now)), [(0, vec![5])]);
}

#[test]
fn a_batch_waits_until_it_is_full_or_late() {
    let (mut all, now) = partitions(BATCHES, 1);
    receive(&mut all, 0, 1, now);
    assert_eq!(offsets(&all.begin(now)), []);
    assert_eq!(all.next(), Some(now + BATCHES.wait));
    let batches = all.begin(now + BATCHES.wait);
    assert_eq!(offsets(&batches), [(0, vec![1])]);
    all.finished(&key(0), batches[0].assignment, Some(2));
    for offset in 2..6 {
        receive(&mut all, 0, offset, now);
    }
    assert_eq!(offsets(&all.begin(now)), [(0, vec![2, 3, 4])]);
}

#[test]
fn a_partition_that_does_not_get_on_is_paused() {
    let (mut all, now) = partitions(SINGLE, 2);
    for offset in 0..5 {
        receive(&mut all, 0, offset, now);
    }
    assert_eq!(all.turned(), [(key(0), true)]);
    assert_eq!(all.turned(), [], "told once");
    for next in 1..4 {
        let assignment = all.begin(now)[0].assignment;
        all.finished(&key(0), assignment, Some(next));
    }
    assert_eq!(all.turned(), [(key(0), false)], "half of it is left");
    let large = Waiting {
        offset: 0,
        size: MOST_BYTES,
        since: now,
        record: 0,
    };
    all.receive(&key(1), large);
    assert_eq!(all.turned(), [(key(1), true)]);
}
