//! What a subscriber knows already, so that after a gap he is told what is new to him and nothing else. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use trilby_components::configuration::{Item, Items};

/// Keys that are remembered at most, as digests. With more, all is forgotten, and told again after a gap.
const MOST_KNOWN: usize = 10_000;

/// Digests of the items that a subscriber knows.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, u64>);

impl Known {
    /// He is told these items.
    pub(super) fn note(&mut self, items: &Items) {
        for (key, item) in items {
            // Stores tell what is gone as an item without value.
            if item.value.is_empty() {
                self.0.remove(key);
            } else {
                self.0.insert(key.clone(), digest(item));
            }
        }
        if self.0.len() > MOST_KNOWN {
            self.0.clear();
        }
    }

    /// What he does not know of everything that there is, and what is gone as items without value; he is told it.
    pub(super) fn news(&mut self, mut now: Items) -> Items {
        let gone: Vec<String> = self
            .0
            .keys()
            .filter(|key| !now.contains_key(*key))
            .cloned()
            .collect();
        now.retain(|key, item| self.0.get(key) != Some(&digest(item)));
        now.extend(gone.into_iter().map(|key| (key, Item::default())));
        self.note(&now);
        now
    }
}

fn digest(item: &Item) -> u64 {
    let mut hasher = DefaultHasher::new();
    item.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use trilby_components::configuration::{Item, Items};

    use super::{Known, MOST_KNOWN};

    fn items<const N: usize>(pairs: [(&str, &str); N]) -> Items {
        let item = |(key, value): (&str, &str)| {
            let value = value.to_owned();
            let item = Item {
                value,
                ..Item::default()
            };
            (key.to_owned(), item)
        };
        pairs.map(item).into()
    }

    #[test]
    fn only_what_differs_is_news() {
        let mut known = Known::default();
        known.note(&items([("a", "1"), ("b", "1"), ("c", "1"), ("gone", "1")]));
        known.note(&items([("c", "")]));
        let now = items([("a", "1"), ("b", "2"), ("d", "1")]);
        let news = items([("b", "2"), ("d", "1"), ("gone", "")]);
        assert_eq!(known.news(now.clone()), news);
        assert_eq!(known.news(now), Items::new());
    }

    #[test]
    fn too_much_is_forgotten_and_told_again() {
        let mut known = Known::default();
        let many = (0..=MOST_KNOWN).map(|number| {
            let item = Item {
                value: "x".to_owned(),
                ..Item::default()
            };
            (number.to_string(), item)
        });
        let many: Items = many.collect();
        known.note(&many);
        assert_eq!(known.news(many.clone()).len(), many.len());
    }
}
