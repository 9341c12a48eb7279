//! The gzip format without compression: profiles are small and rarely travel far.

/// A block's largest length.
const BLOCK: usize = u16::MAX as usize;

/// `data`, wrapped.
pub(crate) fn wrap(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / BLOCK * 5 + 32);
    // Magic, deflate, no flags, no time, no hint, system unknown.
    out.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    let mut blocks = data.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        block(&mut out, &[], true);
    }
    while let Some(data) = blocks.next() {
        block(&mut out, data, blocks.peek().is_none());
    }
    out.extend(crc32(data).to_le_bytes());
    // The length modulo 2^32.
    out.extend((data.len() as u32).to_le_bytes());
    out
}

fn block(out: &mut Vec<u8>, data: &[u8], last: bool) {
    let len = u16::try_from(data.len()).expect("no longer than a block");
    out.push(last.into());
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(data);
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{crc32, wrap};

    #[test]
    fn the_checksum_is_that_of_the_format() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn blocks_say_their_length_twice_and_which_is_the_last() {
        let wrapped = wrap(&vec![7; 65536]);
        assert_eq!(wrapped[10..15], [0, 0xff, 0xff, 0, 0]);
        assert_eq!(wrapped[15 + 65535..][..6], [1, 1, 0, 0xfe, 0xff, 7]);
        assert_eq!(wrapped[wrapped.len() - 4..], 65536u32.to_le_bytes());
        assert_eq!(
            wrap(b"")[10..],
            [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
