//! What every store that answers queries owes its callers.

use super::{Suite, calls};
use crate::{
    RequestMetadata,
    state::{QueryPage, StateError, Value},
};

/// Documents by the names of their keys.
const DOCUMENTS: [(&str, &str); 6] = [
    (
        "q-1",
        r#"{"person":{"org":"Dev Ops","id":1036},"city":"Seattle","state":"WA"}"#,
    ),
    (
        "q-2",
        r#"{"person":{"org":"Hardware","id":9},"city":"Portland","state":"OR"}"#,
    ),
    (
        "q-3",
        r#"{"person":{"org":"Finance","id":1071},"city":"Sacramento","state":"CA"}"#,
    ),
    (
        "q-4",
        r#"{"person":{"org":"Dev Ops","id":1042},"city":"Spokane","state":"WA","big":9007199254740993}"#,
    ),
    (
        "q-5",
        r#"{"person":{"org":"Hard'ware\"","id":10},"city":null,"big":9007199254740992}"#,
    ),
    (
        "q-6",
        r#"{"person":{"org":"Finance","id":1.5},"city":"Bend","open":true}"#,
    ),
];

/// What an index has to have: fields with texts, words of a text among them, with numbers, and with a truth.
pub const INDEXED_FIELDS: [(&str, &str); 6] = [
    ("person.org", "TEXT"),
    ("person.id", "NUMERIC"),
    ("city", "TEXT"),
    ("state", "TAG"),
    ("big", "NUMERIC"),
    ("open", "TAG"),
];

impl Suite<'_> {
    pub(super) async fn queries_find_documents(&self) {
        for (name, document) in DOCUMENTS {
            self.write(self.document(name, document)).await;
        }
        // What the application cannot read by key is not found.
        let mut deeper = self.document("q-1||deeper", DOCUMENTS[0].1);
        self.write(deeper.clone()).await;
        deeper.key = format!("{}-other||q-1", self.prefix);
        self.write(deeper).await;
        self.filters_compare_fields().await;
        self.other_fields_are_nowhere_or_refused().await;
        self.answers_are_sorted_and_paged().await;
        self.mistakes_are_final().await;
    }

    fn document(&self, name: &str, document: &'static str) -> crate::state::SetRequest {
        let mut write = self.set(name, Value::Json(document.into()));
        let kind = ("contentType".to_owned(), "application/json".to_owned());
        write.metadata = RequestMetadata::from([kind]);
        write
    }

    async fn query(&self, text: &str) -> Result<QueryPage, StateError> {
        let metadata = self.index.cloned().unwrap_or_default();
        calls::query(self.store, &self.key(""), text, metadata).await
    }

    /// The names of what a query finds, in its order, each with what is stored there.
    async fn found(&self, text: &str) -> Vec<String> {
        let page = self.query(text).await;
        let page = page.unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut names = Vec::new();
        for found in page.matches {
            let name = found
                .key
                .strip_prefix(&self.key(""))
                .expect("the prefix was asked for");
            let item = found.item.expect("it is a document");
            let stored = self.get(name).await.expect("it is there");
            assert_eq!(
                (item.value, item.etag),
                (stored.value, stored.etag),
                "{name}"
            );
            names.push(name.to_owned());
        }
        names
    }

    async fn filters_compare_fields(&self) {
        for (filter, expected) in [
            (r#"{"EQ":{"state":"WA"}}"#, &["q-1", "q-4"][..]),
            (r#"{"EQ":{"person.org":"Finance"}}"#, &["q-3", "q-6"]),
            (r#"{"EQ":{"person.org":"Hard'ware\""}}"#, &["q-5"]),
            (r#"{"EQ":{"person.id":1042}}"#, &["q-4"]),
            (r#"{"EQ":{"big":9007199254740993}}"#, &["q-4"]),
            (r#"{"EQ":{"open":true}}"#, &["q-6"]),
            (r#"{"NEQ":{"state":"WA"}}"#, &["q-2", "q-3"]),
            (r#"{"GT":{"person.id":1036}}"#, &["q-3", "q-4"]),
            (r#"{"GTE":{"person.id":1036}}"#, &["q-1", "q-3", "q-4"]),
            (r#"{"LT":{"person.id":10}}"#, &["q-2", "q-6"]),
            (r#"{"LTE":{"person.id":10}}"#, &["q-2", "q-5", "q-6"]),
            (r#"{"GT":{"city":0}}"#, &[]),
            (r#"{"IN":{"state":["CA","OR"]}}"#, &["q-2", "q-3"]),
            (
                r#"{"AND":[{"EQ":{"state":"WA"}},{"GT":{"person.id":1040}}]}"#,
                &["q-4"],
            ),
            (
                r#"{"OR":[{"EQ":{"state":"CA"}},{"AND":[{"EQ":{"state":"WA"}},{"LT":{"person.id":1040}}]}]}"#,
                &["q-1", "q-3"],
            ),
        ] {
            let query = format!(r#"{{"filter":{filter},"sort":[{{"key":"person.id"}}]}}"#);
            let mut found = self.found(&query).await;
            found.sort_unstable();
            assert_eq!(found, expected, "{filter}");
        }
    }

    async fn other_fields_are_nowhere_or_refused(&self) {
        for filter in [r#"{"EQ":{"no.such":"x"}}"#, r#"{"EQ":{"a'b\"; --":"x"}}"#] {
            let query = format!(r#"{{"filter":{filter}}}"#);
            match (self.query(&query).await, self.index) {
                (Ok(page), None) => assert_eq!(page.matches, [], "{filter}"),
                (Err(StateError::InvalidRequest(_)), Some(_)) => {}
                (other, _) => panic!("{filter}: {other:?}"),
            }
        }
    }

    async fn answers_are_sorted_and_paged(&self) {
        let sorted = |order: &str, page: &str| {
            format!(
                r#"{{"filter":{{"GT":{{"person.id":0}}}},"sort":[{{"key":"person.id","order":"{order}"}}],"page":{page}}}"#
            )
        };
        let ascending = ["q-6", "q-2", "q-5", "q-1", "q-4", "q-3"];
        assert_eq!(self.found(&sorted("", "{}")).await, ascending);
        let mut descending = ascending;
        descending.reverse();
        assert_eq!(self.found(&sorted("DESC", "{}")).await, descending);
        let (mut pages, mut token) = (Vec::new(), String::new());
        for _ in 0..4 {
            let page = format!(r#"{{"limit":4,"token":"{token}"}}"#);
            let page = self.query(&sorted("ASC", &page)).await.expect("a page");
            if page.matches.is_empty() {
                break;
            }
            token = page.token.expect("a page has a token");
            pages.push(page.matches.len());
        }
        assert_eq!(pages, [4, 2]);
        let page = self.query(&sorted("ASC", "{}")).await.expect("all of it");
        assert_eq!(page.token, None);
    }

    async fn mistakes_are_final(&self) {
        for query in [
            r#"{"filter":{"GT":{"city":"A"}}}"#,
            r#"{"page":{"limit":1,"token":"no token"}}"#,
        ] {
            let refused = self.query(query).await;
            assert!(
                matches!(refused, Err(StateError::InvalidRequest(_))),
                "{query}: {refused:?}"
            );
        }
    }
}
