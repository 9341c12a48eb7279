use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use trilby_components::crypto::{Parameters, Sealed};

use super::{AlgorithmError, decrypt, encrypt, sign, verify};
use crate::key::Key;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn shared(text: &str) -> Key {
    Key::symmetric(hex(text)).unwrap()
}

/// The bytes from 0 on.
fn counting(length: u8) -> Key {
    Key::symmetric((0..length).collect()).unwrap()
}

/// Encrypts to what the vector says, and back.
fn check(key: &Key, (algorithm, nonce): (&str, &str), [message, data]: [&[u8]; 2], sealed: Sealed) {
    let nonce = hex(nonce);
    let with = Parameters {
        algorithm,
        nonce: &nonce,
        associated_data: data,
        ..Parameters::default()
    };
    let encrypted = encrypt(key, with, message);
    assert_eq!(encrypted.as_ref(), Ok(&sealed), "{algorithm}");
    assert_eq!(
        decrypt(key, with, &sealed).as_deref(),
        Ok(message),
        "{algorithm}"
    );
}

/// RFC 3394, 4.1, 4.4 and 4.6.
#[test]
fn key_wrap_as_rfc_3394_has_it() {
    let data = hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    for (algorithm, length, wrapped) in [
        (
            "A128KW",
            16,
            "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
        ),
        (
            "A192KW",
            24,
            "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
        ),
        (
            "A256KW",
            32,
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ] {
        let sealed = Sealed {
            ciphertext: hex(wrapped),
            tag: vec![],
        };
        let message = &data[..usize::from(length)];
        check(&counting(length), (algorithm, ""), [message, b""], sealed);
    }
}

/// Test cases 4, 10 and 16 of McGrew and Viega, which NIST SP 800-38D refers to.
#[test]
fn gcm_as_nist_has_it() {
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let message = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657\
         ba637b39",
    );
    let data = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    for (algorithm, length, ciphertext, tag) in [
        (
            "A128GCM",
            16,
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0a\
             ac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            "A192GCM",
            24,
            "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe3\
             24d9ccda2710",
            "2519498e80f1478f37ba55bd6d27618c",
        ),
        (
            "A256GCM",
            32,
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba\
             7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let sealed = Sealed {
            ciphertext: hex(ciphertext),
            tag: hex(tag),
        };
        let how = (algorithm, "cafebabefacedbaddecaf888");
        check(&shared(&key[..2 * length]), how, [&message, &data], sealed);
    }
}

/// NIST SP 800-38A, F.2, first block of each; what follows is padding.
#[test]
fn cbc_as_nist_has_it() {
    let message = hex("6bc1bee22e409f96e93d7e117393172a");
    let iv = hex("000102030405060708090a0b0c0d0e0f");
    for (algorithm, key, block) in [
        (
            "A128CBC",
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d",
        ),
        (
            "A192CBC",
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8",
        ),
        (
            "A256CBC",
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
        ),
    ] {
        let with = Parameters {
            algorithm,
            nonce: &iv,
            ..Parameters::default()
        };
        let key = shared(key);
        let sealed = encrypt(&key, with, &message).unwrap();
        assert_eq!(sealed.ciphertext.len(), 32);
        assert_eq!(sealed.ciphertext[..16], hex(block), "{algorithm}");
        assert_eq!(decrypt(&key, with, &sealed), Ok(message.clone()));
    }
}

/// RFC 7518, B.1 to B.3: the tag is that of the whole ciphertext.
#[test]
fn cbc_with_hmac_as_rfc_7518_has_it() {
    let message = b"A cipher system must not be required to be secret, and it must be able to fall into the hands of \
                    the enemy without inconvenience";
    let iv = hex("1af38c2dc2b96ffdd86694092341bc04");
    for (algorithm, length, tag) in [
        ("A128CBC-HS256", 32, "652c3fa36b0a7c5b3219fab3a30bc1c4"),
        (
            "A192CBC-HS384",
            48,
            "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7",
        ),
        (
            "A256CBC-HS512",
            64,
            "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
        ),
    ] {
        let with = Parameters {
            algorithm,
            nonce: &iv,
            associated_data: b"The second principle of Auguste Kerckhoffs",
            ..Parameters::default()
        };
        let sealed = encrypt(&counting(length), with, message).unwrap();
        assert_eq!(sealed.tag, hex(tag), "{algorithm}");
        let opened = decrypt(&counting(length), with, &sealed);
        assert_eq!(opened.as_deref(), Ok(&message[..]));
    }
}

/// RFC 8439, 2.8.2, and draft-irtf-cfrg-xchacha, A.3.1: the tag is that of the whole ciphertext.
#[test]
fn chacha_as_its_rfc_and_draft_have_it() {
    let key = shared("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let message = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                    sunscreen would be it.";
    let data = hex("50515253c0c1c2c3c4c5c6c7");
    let x_nonce = "404142434445464748494a4b4c4d4e4f5051525354555657";
    for (algorithm, nonce, tag) in [
        (
            "C20P",
            "070000004041424344454647",
            "1ae10b594f09e26a7e902ecbd0600691",
        ),
        (
            "C20PKW",
            "070000004041424344454647",
            "1ae10b594f09e26a7e902ecbd0600691",
        ),
        ("XC20P", x_nonce, "c0875924c1c7987947deafd8780acf49"),
        ("XC20PKW", x_nonce, "c0875924c1c7987947deafd8780acf49"),
    ] {
        let nonce = hex(nonce);
        let with = Parameters {
            algorithm,
            nonce: &nonce,
            associated_data: &data,
            ..Parameters::default()
        };
        let sealed = encrypt(&key, with, message).unwrap();
        assert_eq!(sealed.tag, hex(tag), "{algorithm}");
        assert_eq!(decrypt(&key, with, &sealed).as_deref(), Ok(&message[..]));
    }
}

fn digest(text: &str) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().to_vec()
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Two numbers of 32 bytes in ASN.1.
fn asn1(signature: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = u8::try_from(sign.len() + bytes.len()).unwrap();
        [&[2, length], sign, bytes].concat()
    };
    let (r, s) = signature.split_at(32);
    let both = [number(r), number(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()], both.as_slice()].concat()
}

/// RFC 7515, A.2.
#[test]
fn rs256_as_rfc_7515_has_it() {
    let key = Key::from_jwk(json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-\
              SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS\
              -UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2\
              ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    }));
    let input = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1\
                 9yb290Ijp0cnVlfQ";
    let signature = bytes(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
         Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_\
         dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0\
         igcN_IoypGlUPQGe77Rw",
    );
    let key = key.unwrap();
    assert_eq!(
        verify(&key, "RS256", (&digest(input), &signature)),
        Ok(true)
    );
    assert_eq!(
        verify(&key, "PS256", (&digest(input), &signature)),
        Ok(false)
    );
    assert_eq!(
        sign(&key, "RS256", &digest(input)),
        Err(AlgorithmError::KeyMismatch)
    );
}

/// RFC 7515, A.3, its signature in the form that providers give.
#[test]
fn es256_as_rfc_7515_has_it() {
    let key = Key::from_jwk(json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }));
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1\
                 9yb290Ijp0cnVlfQ";
    let signature = bytes(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let key = key.unwrap();
    let signature = asn1(&signature);
    assert_eq!(
        verify(&key, "ES256", (&digest(input), &signature)),
        Ok(true)
    );
    assert_eq!(
        verify(&key, "ES256", (&digest("another"), &signature)),
        Ok(false)
    );
    let other_curve = verify(&key, "ES384", (&[1; 48], &signature));
    assert_eq!(other_curve, Err(AlgorithmError::KeyMismatch));
}

/// RFC 8037, A.5.
#[test]
fn eddsa_as_rfc_8037_has_it() {
    let key = Key::from_jwk(json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }));
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = bytes(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let key = key.unwrap();
    assert_eq!(verify(&key, "EdDSA", (input, &signature)), Ok(true));
    assert_eq!(verify(&key, "EdDSA", (b"another", &signature)), Ok(false));
}

#[test]
fn lengths_that_no_algorithm_takes_are_errors() {
    let key = counting(32);
    for (algorithm, nonce, ciphertext, tag, error) in [
        ("A256CBC", 16, 15, 0, AlgorithmError::CiphertextLength),
        ("A256CBC", 15, 16, 0, AlgorithmError::Nonce),
        ("A256KW", 0, 7, 0, AlgorithmError::CiphertextLength),
        ("A256KW", 0, 25, 0, AlgorithmError::CiphertextLength),
        ("A256KW", 0, 8, 0, AlgorithmError::NotAuthentic),
        ("A256GCM", 12, 1, 15, AlgorithmError::Tag),
        ("A128CBC-HS256", 16, 16, 15, AlgorithmError::Tag),
        ("A128CBC-HS256", 0, 16, 16, AlgorithmError::Nonce),
        ("XC20P", 12, 1, 16, AlgorithmError::Nonce),
        ("A256CBC-HS512", 16, 16, 32, AlgorithmError::KeyMismatch),
    ] {
        let nonce = vec![0; nonce];
        let with = Parameters {
            algorithm,
            nonce: &nonce,
            ..Parameters::default()
        };
        let sealed = Sealed {
            ciphertext: vec![0; ciphertext],
            tag: vec![0; tag],
        };
        assert_eq!(decrypt(&key, with, &sealed), Err(error), "{algorithm}");
    }
    let with = Parameters {
        algorithm: "A192KW",
        ..Parameters::default()
    };
    for length in [15, 17] {
        let wrapped = encrypt(&counting(24), with, &vec![0; length]);
        assert_eq!(wrapped, Err(AlgorithmError::PlaintextLength));
    }
}
