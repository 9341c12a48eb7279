//! What every configuration store owes its callers.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::join_all};
use tokio::time::timeout;

use crate::configuration::{
    Beginning, Change, Changes, ConfigurationStore, Item, Items, Selection,
};

/// How long a change may take to be told, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Changes that nobody reads meanwhile.
const MANY: usize = 100;
/// A large value, in bytes.
const LARGE: usize = 100_000;

/// Writes what the store reads: the API itself does not.
#[async_trait]
pub trait Author: Send + Sync {
    /// Sets an item, in one step.
    async fn put(&self, key: &str, value: &str);

    /// Removes it.
    async fn remove(&self, key: &str);
}

/// Runs every rule; the store holds nothing at first.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run(store: &dyn ConfigurationStore, author: &dyn Author) {
    let suite = Suite { store, author };
    suite.what_is_not_there_is_left_out().await;
    suite.values_are_whole().await;
    suite.a_selection_is_followed_and_nothing_else().await;
    suite.everything_is_followed().await;
    suite.subscriptions_do_not_touch_each_other().await;
    suite.a_removal_is_told().await;
    suite.one_that_goes_on_is_told_changes_only().await;
    suite.a_slow_reader_learns_what_is_there_in_the_end().await;
    suite.readers_do_not_touch_each_other().await;
}

/// A selection of these keys.
#[must_use]
pub fn selection(keys: &[&str]) -> Selection {
    Selection {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Selection::default()
    }
}

/// The next change.
///
/// # Panics
/// When there is none within a minute, or the stream ends.
pub async fn next(changes: &mut Changes) -> Change {
    let change = timeout(PATIENCE, changes.next()).await;
    let change = change.expect("a change is told within a minute");
    change.expect("a subscription does not end by itself")
}

/// Reads changes until one of them has this value of `key`.
///
/// # Panics
/// When none has within a minute, or the stream ends.
pub async fn until(changes: &mut Changes, key: &str, value: &str) -> Item {
    let reading = async {
        loop {
            if let Change::Items(mut items) = next(changes).await
                && let Some(item) = items.remove(key)
                && item.value == value
            {
                return item;
            }
        }
    };
    let found = timeout(PATIENCE, reading).await;
    found.unwrap_or_else(|_| panic!("{key} = {value:?} is told within a minute"))
}

struct Suite<'a> {
    store: &'a dyn ConfigurationStore,
    author: &'a dyn Author,
}

impl Suite<'_> {
    async fn get(&self, keys: &[&str]) -> Items {
        let items = self.store.get(&selection(keys)).await;
        items.expect("the store answers")
    }

    async fn follow(&self, keys: &[&str], beginning: Beginning) -> Changes {
        let changes = self.store.subscribe(&selection(keys), beginning).await;
        changes.expect("the store takes subscriptions")
    }

    async fn what_is_not_there_is_left_out(&self) {
        assert_eq!(self.get(&[]).await, Items::new(), "nothing is there");
        assert_eq!(self.get(&["a", "b"]).await, Items::new());
        self.author.put("a", "1").await;
        let items = self.get(&["a", "b", "a"]).await;
        assert_eq!(items.keys().collect::<Vec<_>>(), ["a"]);
        self.author.put("b", "2").await;
        let items = self.get(&[]).await;
        assert_eq!((items.len(), items["b"].value.as_str()), (2, "2"));
    }

    async fn values_are_whole(&self) {
        let large = "x".repeat(LARGE);
        for value in [" ", "größe \u{1f600}\n\t\"quoted\" \\ {}", "|", &large] {
            self.author.put("a", value).await;
            assert_eq!(self.get(&["a"]).await["a"].value, value);
        }
    }

    async fn a_selection_is_followed_and_nothing_else(&self) {
        let mut changes = self.follow(&["a", "c"], Beginning::Continued).await;
        self.author.put("b", "unseen").await;
        for (key, value) in [("c", "new"), ("a", "changed")] {
            self.author.put(key, value).await;
            let Change::Items(items) = next(&mut changes).await else {
                panic!("nothing was missed");
            };
            assert_eq!(items.keys().collect::<Vec<_>>(), [key]);
            assert_eq!(items[key].value, value);
            assert_eq!(items[key], self.get(&[key]).await[key], "as it is read");
        }
    }

    async fn everything_is_followed(&self) {
        let mut changes = self.follow(&[], Beginning::New).await;
        for (key, value) in [("a", "all-1"), ("d", "all-2")] {
            self.author.put(key, value).await;
            until(&mut changes, key, value).await;
        }
    }

    async fn subscriptions_do_not_touch_each_other(&self) {
        let mut first = self.follow(&["a"], Beginning::New).await;
        let second = self.follow(&["a"], Beginning::New).await;
        let mut third = self.follow(&["b"], Beginning::New).await;
        drop(second);
        self.author.put("a", "first").await;
        self.author.put("b", "third").await;
        until(&mut first, "a", "first").await;
        until(&mut third, "b", "third").await;
    }

    async fn a_removal_is_told(&self) {
        let mut changes = self.follow(&["d"], Beginning::Continued).await;
        self.author.remove("d").await;
        let Change::Items(items) = next(&mut changes).await else {
            panic!("nothing was missed");
        };
        assert!(items.contains_key("d"), "{items:?}");
        assert_eq!(self.get(&["d"]).await, Items::new());
    }

    async fn one_that_goes_on_is_told_changes_only(&self) {
        self.author.put("a", "before").await;
        let mut changes = self.follow(&[], Beginning::Continued).await;
        self.author.put("b", "after").await;
        let Change::Items(items) = next(&mut changes).await else {
            panic!("nothing was missed");
        };
        assert_eq!(items.keys().collect::<Vec<_>>(), ["b"]);
    }

    async fn a_slow_reader_learns_what_is_there_in_the_end(&self) {
        let mut changes = self.follow(&["a"], Beginning::New).await;
        for number in 0..MANY {
            self.author.put("a", &number.to_string()).await;
        }
        until(&mut changes, "a", &(MANY - 1).to_string()).await;
    }

    async fn readers_do_not_touch_each_other(&self) {
        self.author.put("a", "same").await;
        let readers = (0..32).map(|_| async { self.get(&["a"]).await["a"].value.clone() });
        for value in join_all(readers).await {
            assert_eq!(value, "same");
        }
    }
}
