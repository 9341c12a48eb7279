use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Concurrency, Consistency, Item, StateError, Ttl};
use crate::RequestMetadata;

fn ttl(text: &str) -> Result<Option<Ttl>, StateError> {
    Ttl::from_metadata(&RequestMetadata::from([(
        Ttl::METADATA_KEY.to_owned(),
        text.to_owned(),
    )]))
}

#[test]
fn ttl_is_an_integer_from_minus_one() {
    assert_eq!(Ttl::from_metadata(&RequestMetadata::new()), Ok(None));
    assert_eq!(ttl(""), Ok(None));
    assert_eq!(ttl("-1"), Ok(Some(Ttl::Never)));
    assert_eq!(ttl("0"), Ok(Some(Ttl::Never)));
    assert_eq!(ttl("90"), Ok(Some(Ttl::After(Duration::from_secs(90)))));
    for text in ["-2", "1.5", "10s", "2147483648", " 1"] {
        let error = ttl(text).unwrap_err();
        assert!(matches!(error, StateError::InvalidRequest(_)), "{text:?}");
        assert!(
            error
                .to_string()
                .starts_with("incorrect value for metadata 'ttlInSeconds': "),
            "{error}"
        );
    }
}

#[test]
fn ttl_key_is_case_sensitive() {
    let metadata = RequestMetadata::from([("TTLInSeconds".to_owned(), "5".to_owned())]);
    assert_eq!(Ttl::from_metadata(&metadata), Ok(None));
}

#[test]
fn options_are_a_closed_set() {
    assert_eq!("".parse(), Ok(Concurrency::Unspecified));
    assert_eq!("first-write".parse(), Ok(Concurrency::FirstWrite));
    assert_eq!("last-write".parse(), Ok(Concurrency::LastWrite));
    assert_eq!(
        "First-Write"
            .parse::<Concurrency>()
            .unwrap_err()
            .to_string(),
        "unrecognized concurrency model 'First-Write'"
    );
    assert_eq!("".parse(), Ok(Consistency::Unspecified));
    assert_eq!("strong".parse(), Ok(Consistency::Strong));
    assert_eq!("eventual".parse(), Ok(Consistency::Eventual));
    assert_eq!(
        "weak".parse::<Consistency>().unwrap_err().to_string(),
        "unrecognized consistency model 'weak'"
    );
}

#[test]
fn expiry_prints_in_whole_seconds() {
    let item = Item {
        value: Bytes::new(),
        etag: None,
        expires_at: Some(Timestamp::from_millisecond(1_700_000_000_999).unwrap()),
    };
    assert_eq!(
        item.ttl_expire_time().as_deref(),
        Some("2023-11-14T22:13:20Z")
    );
}
