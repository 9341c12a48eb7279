use bytes::Bytes;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::{
    DocumentCipher, Draft, HeaderReader, NAME, Options, SEGMENT, SchemeError, Segments, TAG,
    WrapAlgorithm,
};

const CIPHERS: [DocumentCipher; 2] = [DocumentCipher::AesGcm, DocumentCipher::ChaCha20Poly1305];

fn options(cipher: DocumentCipher) -> Options {
    Options {
        key_name: "key".into(),
        algorithm: WrapAlgorithm::A256Kw,
        cipher,
    }
}

/// Passes `data` in pieces.
fn pass(mut segments: Segments, data: &[u8], piece: usize) -> Result<Vec<u8>, SchemeError> {
    let mut passed = Vec::new();
    for piece in data.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while !piece.is_empty() {
            passed.extend_from_slice(&segments.push(&mut piece)?.unwrap_or_default());
        }
    }
    passed.extend_from_slice(&segments.finish()?.unwrap_or_default());
    Ok(passed)
}

/// A document whose file key is not encrypted at all, and that key.
fn encrypted(data: &[u8], piece: usize, cipher: DocumentCipher) -> (Vec<u8>, Vec<u8>) {
    let draft = Draft::new(options(cipher)).unwrap();
    let key = draft.file_key().to_vec();
    let (header, segments) = draft.begin(key.clone()).unwrap();
    let mut document = header.to_vec();
    document.extend_from_slice(&pass(segments, data, piece).unwrap());
    (document, key)
}

fn decrypted(document: &[u8], piece: usize, key: Option<&[u8]>) -> Result<Vec<u8>, SchemeError> {
    let mut reader = HeaderReader::default();
    let mut data = Bytes::copy_from_slice(document);
    let header = loop {
        if data.is_empty() {
            return Err(reader.ended());
        }
        let mut chunk = data.split_to(piece.min(data.len()));
        if let Some(header) = reader.push(&mut chunk)? {
            data = [chunk, data].concat().into();
            break header;
        }
    };
    pass(header.unlock(key)?, &data, piece)
}

fn sample(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

#[test]
fn documents_of_every_length_come_back() {
    for cipher in CIPHERS {
        for length in [
            0,
            1,
            SEGMENT - 1,
            SEGMENT,
            SEGMENT + 1,
            2 * SEGMENT,
            10 << 20,
        ] {
            let data = sample(length);
            let pieces: &[usize] = match length {
                0..1_000_000 => &[1000, SEGMENT, SEGMENT + TAG, 1 << 20],
                _ => &[100_000],
            };
            for piece in pieces.iter().copied() {
                let (document, key) = encrypted(&data, piece, cipher);
                let came_back = decrypted(&document, piece, Some(&key));
                assert!(
                    came_back.is_ok_and(|found| found == data),
                    "{cipher:?} {length} {piece}"
                );
            }
        }
    }
}

#[test]
fn a_document_is_as_long_as_its_parts() {
    let (document, _) = encrypted(&sample(2 * SEGMENT + 5), SEGMENT, DocumentCipher::AesGcm);
    let header: usize = document
        .split(|byte| *byte == b'\n')
        .take(3)
        .map(|line| line.len() + 1)
        .sum();
    assert!(document.starts_with(NAME.as_bytes()));
    assert_eq!(document.len(), header + 2 * SEGMENT + 5 + 3 * TAG);
}

#[test]
fn a_document_that_is_cut_or_shuffled_is_refused() {
    let (document, key) = encrypted(&sample(3 * SEGMENT), SEGMENT, DocumentCipher::AesGcm);
    let body = document.len() - 3 * (SEGMENT + TAG);
    for length in [
        body + 1,
        body + SEGMENT + TAG,
        document.len() - 1,
        body + TAG,
    ] {
        let cut = decrypted(&document[..length], SEGMENT, Some(&key));
        assert!(matches!(cut, Err(SchemeError::Segment(_))), "{length}");
    }
    let mut shuffled = document.clone();
    shuffled[body..body + 2 * (SEGMENT + TAG)].rotate_left(SEGMENT + TAG);
    let shuffled = decrypted(&shuffled, SEGMENT, Some(&key));
    assert_eq!(shuffled, Err(SchemeError::Segment(0)));
    let longer = [document.as_slice(), b"1"].concat();
    assert_eq!(
        decrypted(&longer, SEGMENT, Some(&key)),
        Err(SchemeError::Segment(2))
    );
}

/// Nothing of a segment comes out before it is known to be authentic.
#[test]
fn what_comes_out_of_a_changed_document_is_a_prefix_of_what_went_in() {
    let data = sample(2 * SEGMENT + 10);
    let (mut document, key) = encrypted(&data, SEGMENT, DocumentCipher::AesGcm);
    let last = document.len() - SEGMENT;
    document[last] ^= 1;
    let mut reader = HeaderReader::default();
    let mut rest = Bytes::from(document);
    let header = reader.push(&mut rest).unwrap().unwrap();
    let mut segments = header.unlock(Some(&key)).unwrap();
    let first = segments.push(&mut rest).unwrap().unwrap();
    assert_eq!(first, data[..SEGMENT]);
    assert_eq!(segments.push(&mut rest), Err(SchemeError::Segment(1)));
}

/// Upstream takes zeros instead of a key that it does not get, and so decrypts what anyone made.
#[test]
fn a_document_that_is_signed_with_zeros_is_not_authentic() {
    let zeros = super::file_key::FileKey::from_bytes(&[0; 32]).unwrap();
    let line = br#"{"k":"key","kw":1,"wfk":"AAAA","cph":1,"np":"AAAAAAAAAA=="}"#;
    let mac = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, zeros.sign(line).unwrap());
    let document = [NAME.as_bytes(), b"\n", line, b"\n", mac.as_bytes(), b"\n"].concat();
    assert_eq!(decrypted(&document, 100, None), Err(SchemeError::Signature));
    assert_eq!(
        decrypted(&document, 100, Some(&[0; 31])),
        Err(SchemeError::Signature)
    );
}

#[test]
fn what_is_no_document_says_where_it_ends() {
    let long = [NAME.as_bytes(), b"\n", &[b'a'; SEGMENT]].concat();
    for (text, error) in [
        (&b""[..], "scheme name not found"),
        (b"dapr.io/enc/v1", "scheme name not found"),
        (b"\n", "invalid format"),
        (b"dapr.io/enc/v2\n", "unsupported scheme"),
        (b"dapr.io/enc/v1\n", "manifest not found"),
        (b"dapr.io/enc/v1\n\n", "invalid format"),
        (b"dapr.io/enc/v1\n{}\n", "message authentication code not found"),
        (b"dapr.io/enc/v1\n{}\nAA==\n", "invalid manifest"),
        (b"dapr.io/enc/v1\n{\"kw\":6,\"wfk\":\"AA==\",\"cph\":1,\"np\":\"AAAAAAAAAA==\"}\nAA==\n", "invalid manifest"),
        (b"dapr.io/enc/v1\n{\"kw\":1,\"wfk\":\"AA==\",\"cph\":3,\"np\":\"AAAAAAAAAA==\"}\nAA==\n", "invalid manifest"),
        (b"dapr.io/enc/v1\n{\"kw\":1,\"wfk\":\"AA==\",\"cph\":1,\"np\":\"AAAA\"}\nAA==\n", "invalid manifest"),
        (b"dapr.io/enc/v1\n{\"kw\":1,\"wfk\":\"\",\"cph\":1,\"np\":\"AAAAAAAAAA==\"}\nAA==\n", "invalid manifest"),
        (&long, "manifest not found"),
    ] {
        let refused = decrypted(text, 7, None);
        assert_eq!(refused, Err(SchemeError::Header(error)));
    }
}

#[test]
fn names_are_taken_in_any_case_and_by_alias() {
    for (name, algorithm) in [
        ("aes", WrapAlgorithm::A256Kw),
        ("a256kw", WrapAlgorithm::A256Kw),
        ("RSA", WrapAlgorithm::RsaOaep256),
        ("rsa-oaep-256", WrapAlgorithm::RsaOaep256),
        ("A128CBC-NOPAD", WrapAlgorithm::A128CbcNoPad),
    ] {
        assert_eq!(WrapAlgorithm::parse(name), Ok(algorithm));
    }
    let error = WrapAlgorithm::parse("a128kw").unwrap_err().to_string();
    assert_eq!(
        error,
        "option Algorithm is not valid: algorithm A128KW is not supported"
    );
    let error = DocumentCipher::parse("des").unwrap_err().to_string();
    assert_eq!(
        error,
        "option Cipher is not valid: cipher DES is not supported"
    );
    assert_eq!(DocumentCipher::parse(""), Ok(DocumentCipher::AesGcm));
    assert_eq!(
        DocumentCipher::parse("chacha20-poly1305"),
        Ok(DocumentCipher::ChaCha20Poly1305)
    );
}

#[test]
fn a_key_name_of_any_characters_comes_back_and_a_long_one_is_refused() {
    for name in ["a/b/<c>&\"\u{2028}\\ü", ""] {
        let options = Options {
            key_name: name.into(),
            ..options(DocumentCipher::AesGcm)
        };
        let (header, _) = Draft::new(options).unwrap().begin(vec![1]).unwrap();
        let mut header = header;
        let header = HeaderReader::default().push(&mut header).unwrap().unwrap();
        assert_eq!(header.key_name("").ok(), (!name.is_empty()).then_some(name));
        assert_eq!(header.key_name("asked"), Ok("asked"));
    }
    let long = Options {
        key_name: "k".repeat(SEGMENT),
        ..options(DocumentCipher::AesGcm)
    };
    let refused = Draft::new(long).unwrap().begin(vec![1]);
    assert_eq!(refused.map(|_| ()), Err(SchemeError::HeaderTooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_changed_byte_is_noticed(
        data in prop::collection::vec(any::<u8>(), 1..3000),
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
        piece in 1..500_usize,
    ) {
        let (mut document, key) = encrypted(&data, piece, DocumentCipher::ChaCha20Poly1305);
        assert_eq!(decrypted(&document, piece, Some(&key)).as_ref(), Ok(&data));
        let at = at.index(document.len());
        document[at] ^= change;
        assert!(decrypted(&document, piece, Some(&key)).is_err(), "byte {at}");
    }

    #[test]
    fn no_bytes_make_the_reader_fail_other_than_with_an_error(
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let text = [NAME.as_bytes(), b"\n", &data].concat();
        assert!(decrypted(&text, 50, None).is_err());
    }
}
