//! What cannot be done says why, in Dapr's words.

use futures_util::stream;
use tonic::{Code, Status};
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::runtime::v1::EncryptRequestOptions;

use super::{KEY, dapr, decrypt, encrypt, options, put, sidecar};

/// What is asked for, by which headers, the status, the code and the message.
type Refused = (
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
    &'static str,
);

const REFUSED: &[Refused] = &[
    (
        "other/encrypt",
        KEY,
        400,
        "ERR_CRYPTO_PROVIDER_NOT_FOUND",
        "crypto provider other not found",
    ),
    (
        "vault/encrypt",
        &[],
        400,
        "ERR_BAD_REQUEST",
        "invalid request: missing header 'dapr-key-name'",
    ),
    (
        "vault/encrypt",
        &[("dapr-key-name", "key")],
        400,
        "ERR_BAD_REQUEST",
        "invalid request: missing header 'dapr-key-wrap-algorithm'",
    ),
    (
        "vault/encrypt",
        &[
            ("dapr-key-name", "key"),
            ("dapr-key-wrap-algorithm", "rot13"),
        ],
        500,
        "ERR_CRYPTO",
        "failed to perform operation: option Algorithm is not valid: algorithm ROT13 is not supported",
    ),
    (
        "vault/encrypt",
        &[
            ("dapr-key-name", "key"),
            ("dapr-key-wrap-algorithm", "A256CBC-NOPAD"),
        ],
        500,
        "ERR_CRYPTO",
        "failed to perform operation: failed to wrap the file key: failed to encrypt data: unsupported algorithm",
    ),
    (
        "vault/encrypt",
        &[
            ("dapr-key-name", "a..b"),
            ("dapr-key-wrap-algorithm", "AES"),
        ],
        500,
        "ERR_CRYPTO",
        "failed to perform operation: failed to wrap the file key: failed to retrieve the key encryption key: \
         invalid key path: cannot contain '..'",
    ),
    (
        "vault/decrypt",
        &[],
        500,
        "ERR_CRYPTO",
        "failed to perform operation: invalid header: unsupported scheme",
    ),
];

#[tokio::test]
async fn what_cannot_be_done_says_why_over_http() {
    let (daprd, _folder) = sidecar().await;
    for (path, headers, status, code, text) in REFUSED {
        let path = format!("/v1.0-alpha1/crypto/{path}");
        let refused = put(&daprd, &path, headers, b"no\n").await;
        assert_eq!(refused.status.as_u16(), *status, "{path}");
        let body = refused.json();
        let told = (body["errorCode"].as_str(), body["message"].as_str());
        assert_eq!(told, (Some(*code), Some(*text)));
    }
}

fn told(status: &Status, code: Code, text: &str) {
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn options_that_cannot_be_say_why_over_grpc() {
    let (daprd, _folder) = sidecar().await;
    let unnamed = EncryptRequestOptions {
        key_name: String::new(),
        ..options("")
    };
    let plain = EncryptRequestOptions {
        key_wrap_algorithm: String::new(),
        ..options("")
    };
    for (options, code, text) in [
        (
            None,
            Code::InvalidArgument,
            "invalid request: first message does not contain the required options",
        ),
        (
            Some(unnamed),
            Code::InvalidArgument,
            "invalid request: missing property 'keyName' in the options message",
        ),
        (
            Some(plain),
            Code::InvalidArgument,
            "invalid request: missing property 'keyWrapAlgorithm' in the options message",
        ),
        (
            Some(options("des")),
            Code::Internal,
            "failed to perform operation: option Cipher is not valid: cipher DES is not supported",
        ),
    ] {
        let refused = encrypt(&daprd, options, vec![]).await.unwrap_err();
        told(&refused, code, text);
    }
}

#[tokio::test]
async fn streams_that_cannot_be_say_why_over_grpc() {
    let (daprd, _folder) = sidecar().await;
    let payload = |seq| {
        let data = "data".into();
        Some(StreamPayload { data, seq })
    };
    let gap = encrypt(&daprd, Some(options("")), vec![payload(0), payload(2)]).await;
    let text = "failed to perform operation: invalid sequence number received: 2 (expected: 1)";
    told(&gap.unwrap_err(), Code::Internal, text);
    let unknown = decrypt(&daprd, "other", b"").await.unwrap_err();
    let text = "crypto provider other not found";
    told(&unknown, Code::InvalidArgument, text);
    let silent = dapr(&daprd).encrypt_alpha1(stream::pending()).await;
    let text = "invalid request: error waiting for first message: context deadline exceeded";
    told(&silent.unwrap_err(), Code::InvalidArgument, text);
}
