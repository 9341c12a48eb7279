use super::{Encryption, EncryptionError, PRIMARY, SECONDARY};
use crate::manifest::{Manifest, Received};

const KEY: &str = "00112233445566778899aabbccddeeff";
const OTHER: &str = "ffeeddccbbaa99887766554433221100";

fn manifest(properties: &str) -> Manifest {
    let json = format!(
        r#"{{"metadata":{{"name":"s"}},"spec":{{"type":"state.in-memory","metadata":[{properties}]}}}}"#
    );
    match Received::decode(json.as_bytes()).unwrap() {
        Received::Manifest(manifest) => *manifest,
        broken @ Received::Broken { .. } => panic!("{broken:?}"),
    }
}

fn property(name: &str, secret: &str) -> String {
    format!(r#"{{"name":"{name}","secretKeyRef":{{"name":"{secret}","key":"k"}}}}"#)
}

/// Keys by the names of their secrets.
fn keys(primary: (&str, &str), secondary: Option<(&str, &str)>) -> Encryption {
    let mut properties = vec![property(PRIMARY, primary.0)];
    properties.extend(secondary.map(|(name, _)| property(SECONDARY, name)));
    let manifest = manifest(&properties.join(","));
    let values = (Some(primary.1), secondary.map(|(_, value)| value));
    Encryption::of(&manifest, values).unwrap().unwrap()
}

#[test]
fn what_upstream_encrypted_is_read() {
    // Made by upstream's own functions of 1.18, with a key of each length.
    let golden = [
        (
            "hello",
            "K1/Iqn3vmLdY+H6F7yR+62gRGfzUe5VDbfkEeFbGcv4X||mykey",
            1,
        ),
        ("", "x6IM3BE1WSwMg1ejcviSo6hQELFy1+18yOJJog==||mykey", 1),
        (
            "grüße ☃",
            "YveAC3FReQJy3WAtkXLraSv9MvCkyvmmT8hokWcGKkSwNq9YINdL||mykey",
            2,
        ),
        (
            "grüße ☃",
            "DDeylXrU/iwL01/A+EcBMu1IYdGCY0nK9lFPGbfKHDM4LIW2rLD5||mykey",
            3,
        ),
    ];
    for (value, stored, length) in golden {
        let key = match length {
            1 => KEY.to_owned(),
            2 => format!("{KEY}0011223344556677"),
            _ => KEY.repeat(2),
        };
        let opened = keys(("mykey", &key), None).open(stored.as_bytes());
        assert_eq!(opened.as_deref(), Ok(value.as_bytes()), "{stored}");
    }
}

#[test]
fn every_byte_comes_back() {
    let all: Vec<u8> = (0..=255).collect();
    for key in [
        KEY.to_owned(),
        format!("{KEY}{}", &KEY[..16]),
        KEY.repeat(2),
    ] {
        let encryption = keys(("name||with||bars", &key), None);
        for value in [&all[..], b"", b"map[a:1]", br#"{"n":12345678901234567890}"#] {
            let stored = encryption.seal(value).unwrap();
            assert_ne!(&stored[..], value);
            assert!(stored.ends_with(b"||name||with||bars"));
            assert_eq!(encryption.open(&stored).as_deref(), Ok(value));
        }
    }
    let encryption = keys(("k", KEY), None);
    let (one, other) = (
        encryption.seal(b"v").unwrap(),
        encryption.seal(b"v").unwrap(),
    );
    assert_ne!(one, other, "no nonce is used twice");
}

#[test]
fn keys_rotate() {
    let before = keys(("old", KEY), None);
    let after = keys(("new", OTHER), Some(("old", KEY)));
    let kept = before.seal(b"1").unwrap();
    assert_eq!(after.open(&kept).as_deref(), Ok(&b"1"[..]));
    let written = after.seal(b"2").unwrap();
    assert_eq!(
        before.open(&written),
        Err(EncryptionError::UnknownKey("new".into()))
    );
    // Both in one secret.
    let after = keys(("old", OTHER), Some(("old", KEY)));
    assert_eq!(after.open(&kept).as_deref(), Ok(&b"1"[..]));
}

#[test]
fn what_does_not_decrypt_is_refused_by_its_reason() {
    let encryption = keys(("k", KEY), None);
    let refused = |stored: &[u8]| encryption.open(stored).unwrap_err();
    for plain in [&b"plain"[..], b"\"a||b\"", b"\xff||k", b"||"] {
        let expected = match plain {
            b"||" => EncryptionError::UnknownKey(String::new()),
            _ => EncryptionError::NotEncrypted,
        };
        assert_eq!(refused(plain), expected);
    }
    let stored = encryption.seal(b"value").unwrap();
    let wrong = EncryptionError::Refused("k".into());
    assert_eq!(keys(("k", OTHER), None).open(&stored), Err(wrong.clone()));
    let mut changed = stored.to_vec();
    changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
    assert_eq!(refused(&changed), wrong);
    assert_eq!(refused(b"AAAA||k"), wrong);
    assert_eq!(encryption.open(b"").as_deref(), Ok(&b""[..]));
}

#[test]
fn keys_that_cannot_be_are_refused_by_name() {
    let refused = |properties: &str, value: &str| {
        let values = (Some(value), Some(value));
        Encryption::of(&manifest(properties), values).unwrap_err()
    };
    let primary = property(PRIMARY, "k");
    for (value, part) in [
        ("", "has an empty key"),
        ("zz", "not in hexadecimal"),
        ("001", "not in hexadecimal"),
        ("ßß", "not in hexadecimal"),
        ("0011", "has 2 bytes"),
    ] {
        let why = refused(&primary, value);
        assert!(
            why.starts_with("metadata property primaryEncryptionKey: "),
            "{why}"
        );
        assert!(why.contains(part), "{why}");
        assert!(value.is_empty() || !why.contains(value), "{why}");
    }
    let plain = format!(r#"{{"name":"{PRIMARY}","value":"{KEY}"}}"#);
    assert!(refused(&plain, KEY).contains("has to refer to a secret"));
    let alone = property(SECONDARY, "k");
    assert!(refused(&alone, KEY).contains("takes primaryEncryptionKey as well"));
    assert!(
        Encryption::of(&manifest(""), (None, None))
            .unwrap()
            .is_none()
    );
}

#[test]
fn debug_shows_names_only() {
    let shown = format!("{:?}", keys(("new", OTHER), Some(("old", KEY))));
    assert_eq!(shown, r#"["new", "old"]"#);
}
