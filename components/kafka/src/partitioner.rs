//! Which partition a record goes to: the same as with upstream's client, so that both kinds of sidecars keep the order of
//! a key together.

use krafka::PartitionId;
use krafka::producer::Partitioner;
use rand::Rng as _;

/// The hash of the key (FNV-1a of 32 bits), or any partition without a key.
pub(crate) struct ByKey;

impl Partitioner for ByKey {
    fn partition(&self, _: &str, key: Option<&[u8]>, partitions: usize) -> PartitionId {
        let partitions = PartitionId::try_from(partitions).unwrap_or(PartitionId::MAX);
        match key {
            Some(key) => of_key(key, partitions),
            None => rand::rng().random_range(0..partitions.max(1)),
        }
    }
}

fn of_key(key: &[u8], partitions: PartitionId) -> PartitionId {
    let hash = key.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    // The remainder of the signed hash, without its sign.
    (hash.cast_signed() % partitions.max(1)).abs()
}

#[cfg(test)]
mod tests {
    use super::{ByKey, of_key};
    use krafka::producer::Partitioner as _;

    /// FNV-1a's published hashes of "" and "foobar" are 0x811c9dc5 and 0xbf9cf968, both negative as signed numbers.
    #[test]
    fn a_key_has_the_partition_that_upstream_gives_it() {
        assert_eq!(of_key(b"", 7), (0x811c_9dc5_u32.cast_signed() % 7).abs());
        assert_eq!(of_key(b"foobar", 10), 6, "1080231576 without its sign");
        assert_eq!(of_key(b"foobar", 1), 0);
    }

    #[test]
    fn no_key_goes_somewhere_that_is_there() {
        for _ in 0..100 {
            assert!((0..3).contains(&ByKey.partition("topic", None, 3)));
        }
    }
}
