//! Records, and what publishers and subscribers see of them.

use bytes::Bytes;
use krafka::consumer::ConsumerRecord;
use krafka::{PartitionId, Record};
use regex::Regex;
use trilby_components::RequestMetadata;

/// What a value that is not there is on this side.
const NULL: &[u8] = b"null";
/// Names of metadata with a meaning of their own.
const KEYS: [&str; 2] = ["partitionKey", "__key"];
const PARTITION: &str = "partitionNumber";
const SCHEMA: &str = "valueSchemaType";

/// How headers become metadata, and the other way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers {
    /// Whether values arrive as a query string would have them.
    pub(crate) escaped: bool,
    /// Names that are left out in both directions.
    pub(crate) excluded: Option<Regex>,
}

impl Headers {
    /// The record of a publication.
    ///
    /// # Errors
    /// What the metadata asks for cannot be: the reason.
    pub(crate) fn record(
        &self,
        topic: &str,
        data: Bytes,
        metadata: &RequestMetadata,
    ) -> Result<Record, String> {
        plain_values(metadata)?;
        let mut record = Record::new(topic, data);
        if record.value.as_deref().is_none_or(|value| value == NULL) {
            record = record.without_value();
        }
        if let Some(key) = KEYS.iter().find_map(|name| metadata.get(*name)) {
            record = record.key(key.clone());
        }
        if let Some(number) = metadata.get(PARTITION) {
            record = record.partition(partition(number)?);
        }
        for (name, value) in metadata {
            if self.wants(name) {
                record = record.header(name, value.clone());
            }
        }
        Ok(record)
    }

    /// What a subscriber is told beside the value. What the broker knows about a record is not overwritten by headers of
    /// the same names.
    pub(crate) fn metadata(&self, record: &ConsumerRecord) -> RequestMetadata {
        let mut metadata = RequestMetadata::new();
        for (name, value) in &record.headers {
            if self.wants(name) {
                metadata.insert(
                    name.clone(),
                    self.text(value.as_deref().unwrap_or_default()),
                );
            }
        }
        let known = [
            ("__offset", record.offset.to_string()),
            ("__topic", record.topic.to_string()),
            ("__timestamp", record.timestamp.to_string()),
            ("__partition", record.partition.to_string()),
        ];
        metadata.extend(known.map(|(name, value)| (name.to_owned(), value)));
        if let Some(key) = &record.key {
            metadata.insert("__key".to_owned(), self.text(key));
        }
        metadata
    }

    fn wants(&self, name: &str) -> bool {
        !self.excluded.as_ref().is_some_and(|out| out.is_match(name))
    }

    fn text(&self, value: &[u8]) -> String {
        if self.escaped {
            form_urlencoded::byte_serialize(value).collect()
        } else {
            String::from_utf8_lossy(value).into_owned()
        }
    }
}

/// What a record says; a tombstone says `null`.
pub(crate) fn value(record: &ConsumerRecord) -> Bytes {
    let value = record.value.clone();
    value.unwrap_or_else(|| Bytes::from_static(NULL))
}

/// Whether values are taken as they are, which is all that is there.
///
/// # Errors
/// They are asked to be something else: the reason.
pub(crate) fn plain_values(metadata: &RequestMetadata) -> Result<(), String> {
    let asked = metadata
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(SCHEMA));
    match asked {
        Some((_, schema)) if !schema.eq_ignore_ascii_case("none") => Err(format!(
            "{SCHEMA} {schema:?} is not there: values are taken as they are"
        )),
        _ => Ok(()),
    }
}

fn partition(number: &str) -> Result<PartitionId, String> {
    let parsed: Option<PartitionId> = number.parse().ok();
    parsed
        .filter(|number| *number >= 0)
        .ok_or_else(|| format!("{PARTITION} {number:?} is not the number of a partition"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> RequestMetadata {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn excluding(pattern: &str) -> Headers {
        Headers {
            escaped: true,
            excluded: Some(Regex::new(pattern).expect("a pattern")),
        }
    }

    #[test]
    fn metadata_becomes_key_partition_and_headers() {
        let all = metadata(&[("partitionKey", "k"), ("partitionNumber", "3"), ("no", "x")]);
        let record = excluding("^no$").record("t", "v".into(), &all);
        let record = record.expect("a record");
        assert_eq!(record.key_str(), Some("k"));
        assert_eq!(record.partition, Some(3));
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["partitionKey", "partitionNumber"]);
    }

    #[test]
    fn null_is_a_tombstone_both_ways() {
        let keyed = metadata(&[("__key", "k")]);
        let headers = Headers::default();
        let record = headers
            .record("t", "null".into(), &keyed)
            .expect("a record");
        assert!(record.is_tombstone());
        let empty = headers.record("t", Bytes::new(), &keyed).expect("a record");
        assert_eq!(empty.value, Some(Bytes::new()), "empty is not nothing");
        let consumed = ConsumerRecord::new("t", 0, 7, Some("k".into()), None);
        assert_eq!(value(&consumed), "null");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let headers = Headers::default();
        for (name, value) in [
            ("partitionNumber", "-1"),
            ("partitionNumber", "x"),
            ("valueSchemaType", "Avro"),
        ] {
            let refused = headers.record("t", "v".into(), &metadata(&[(name, value)]));
            assert!(refused.expect_err("refused").contains(name));
        }
        let none = metadata(&[("valueschematype", "None")]);
        assert!(headers.record("t", "v".into(), &none).is_ok());
    }

    #[test]
    fn headers_and_facts_become_metadata() {
        let mut record = ConsumerRecord::new("t", 2, 7, Some("a b".into()), Some("v".into()));
        record.timestamp = 1_700_000_000_000;
        record.headers = vec![
            ("h".to_owned(), Some("x/y".into())),
            ("nothing".to_owned(), None),
            ("secret".to_owned(), Some("s".into())),
            ("__offset".to_owned(), Some("0".into())),
        ];
        let expected = metadata(&[
            ("__key", "a+b"),
            ("__offset", "7"),
            ("__partition", "2"),
            ("__timestamp", "1700000000000"),
            ("__topic", "t"),
            ("h", "x%2Fy"),
            ("nothing", ""),
        ]);
        assert_eq!(excluding("^sec").metadata(&record), expected);
    }
}
