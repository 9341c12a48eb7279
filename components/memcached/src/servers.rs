//! Which server has a key.
//!
//! Upstream's client takes the CRC-32 (IEEE) of the key modulo the number of servers, in the order in which they are
//! configured. Whoever shares the servers has to choose alike.

/// The polynomial, with its bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What each byte does to a checksum.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = match sum & 1 {
                0 => sum >> 1,
                _ => (sum >> 1) ^ POLYNOMIAL,
            };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum >> 8) ^ TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize];
    !bytes.iter().fold(u32::MAX, step)
}

/// The place of the server that has `key`, among `servers` of them.
///
/// # Panics
/// If there are none.
pub(crate) fn place(key: &str, servers: usize) -> usize {
    checksum(key.as_bytes()) as usize % servers
}

#[cfg(test)]
mod tests {
    use super::{checksum, place};

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"app||key"), 0xf633_c2f7);
    }

    #[test]
    fn a_key_stays_with_its_server() {
        assert_eq!(place("anything", 1), 0);
        // As Go's `hash/crc32` has them.
        let places = ["a", "b", "c", "d", "e"].map(|key| place(key, 3));
        assert_eq!(places, [0, 2, 0, 0, 0]);
    }
}
