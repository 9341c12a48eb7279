//! Where a string falls on the ring.

use blake2::{Blake2b512, Digest as _};

/// The position of a string: the first eight bytes of its unkeyed BLAKE2b-512, little-endian.
pub fn hash(bytes: &[u8]) -> u64 {
    first_eight(Blake2b512::digest(bytes).as_slice())
}

/// The position of virtual node `index` of `host`: the hash of both, written without a separator.
pub(crate) fn virtual_node(host: &str, index: u32) -> u64 {
    let mut digest = Blake2b512::new();
    digest.update(host.as_bytes());
    let mut digits = [0; MAX_DIGITS];
    digest.update(decimal(index, &mut digits));
    first_eight(digest.finalize().as_slice())
}

/// `u32::MAX` has ten decimal digits.
const MAX_DIGITS: usize = 10;

fn decimal(mut number: u32, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut start = MAX_DIGITS;
    loop {
        start -= 1;
        buffer[start] = b'0' + u8::try_from(number % 10).expect("a digit is below ten");
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

fn first_eight(digest: &[u8]) -> u64 {
    let (head, _) = digest
        .split_first_chunk()
        .expect("BLAKE2b-512 has 64 bytes");
    u64::from_le_bytes(*head)
}

#[cfg(test)]
mod tests {
    use super::{decimal, hash, virtual_node};

    #[test]
    fn hash_matches_the_check_values() {
        for (input, expected) in [
            ("", 241225442164632184),
            ("abc", 958453735928201402),
            ("0", 13878215301362151913),
            ("user||42", 2762458888959036729),
            ("ünïcode", 11010645009909557035),
            ("123e4567-e89b-12d3-a456-426614174000", 16458891400686206714),
        ] {
            assert_eq!(hash(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn virtual_nodes_match_the_check_values() {
        let first = "192.168.1.83:60992";
        let points = [
            11414427053803968138,
            6110756290993384529,
            13876541546109691082,
            12165331075625862737,
            9528020266818944582,
        ];
        for (index, expected) in (0..).zip(points) {
            assert_eq!(virtual_node(first, index), expected, "{first} {index}");
        }
        let second = "192.168.1.89:62362";
        let points = [
            13384490355354205375,
            11281728843146723001,
            694935339057032644,
        ];
        for (index, expected) in (0..).zip(points) {
            assert_eq!(virtual_node(second, index), expected, "{second} {index}");
        }
    }

    #[test]
    fn index_is_appended_without_a_separator() {
        assert_eq!(virtual_node("10.0.0.1:50002", 0), hash(b"10.0.0.1:500020"));
        assert_eq!(
            virtual_node("10.0.0.1:500", 21),
            virtual_node("10.0.0.1:5002", 1)
        );
    }

    #[test]
    fn decimal_writes_every_width() {
        for number in [0, 9, 10, 99, 100, 4_294_967_295] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
