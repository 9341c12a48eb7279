//! A map with a bound: what was not used for the longest time makes room.

use std::collections::HashMap;
use std::sync::Arc;

/// No entry.
const NONE: usize = usize::MAX;

/// Keys are text. Every operation takes constant time; memory grows with the entries held, not with the bound.
#[derive(Debug)]
pub(crate) struct Lru<V> {
    capacity: usize,
    places: HashMap<Arc<str>, usize>,
    entries: Vec<Entry<V>>,
    newest: usize,
    oldest: usize,
}

#[derive(Debug)]
struct Entry<V> {
    key: Arc<str>,
    value: V,
    newer: usize,
    older: usize,
}

impl<V> Lru<V> {
    /// Holds up to `capacity` entries, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            places: HashMap::new(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// The entries held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key, which counts as use.
    pub(crate) fn get(&mut self, key: &str) -> Option<&mut V> {
        let place = *self.places.get(key)?;
        self.unlink(place);
        self.link_newest(place);
        Some(&mut self.entries[place].value)
    }

    /// Sets the value of a key; the oldest entry makes room for a new one.
    pub(crate) fn insert(&mut self, key: &str, value: V) {
        if let Some(held) = self.get(key) {
            *held = value;
            return;
        }
        let key: Arc<str> = key.into();
        let entry = Entry {
            key: Arc::clone(&key),
            value,
            newer: NONE,
            older: NONE,
        };
        let place = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.oldest;
            self.unlink(place);
            let gone = std::mem::replace(&mut self.entries[place], entry);
            self.places.remove(&gone.key);
            place
        };
        self.places.insert(key, place);
        self.link_newest(place);
    }

    fn unlink(&mut self, place: usize) {
        let Entry { newer, older, .. } = self.entries[place];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older].newer = newer,
        }
    }

    fn link_newest(&mut self, place: usize) {
        self.entries[place].newer = NONE;
        self.entries[place].older = self.newest;
        match self.newest {
            NONE => self.oldest = place,
            newest => self.entries[newest].newer = place,
        }
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Lru;

    #[test]
    fn oldest_makes_room() {
        let mut lru = Lru::new(2);
        lru.insert("a", 1);
        lru.insert("b", 2);
        assert!(lru.get("a").is_some());
        lru.insert("c", 3);
        assert!(lru.get("b").is_none());
        assert_eq!(
            (lru.get("a").copied(), lru.get("c").copied()),
            (Some(1), Some(3))
        );
    }

    proptest! {
        /// The same as a list in order of use.
        #[test]
        fn behaves_as_a_list_in_order_of_use(
            capacity in 1usize..6,
            steps in proptest::collection::vec((any::<bool>(), 0u8..9), 0..200),
        ) {
            let mut lru = Lru::new(capacity);
            let mut list: Vec<(u8, usize)> = Vec::new();
            for (value, (insert, key)) in steps.into_iter().enumerate() {
                let held = list.iter().position(|(held, _)| *held == key).map(|at| list.remove(at));
                if insert {
                    lru.insert(&key.to_string(), value);
                    list.push((key, value));
                    if list.len() > capacity {
                        list.remove(0);
                    }
                } else {
                    prop_assert_eq!(lru.get(&key.to_string()).copied(), held.map(|(_, value)| value));
                    list.extend(held);
                }
                prop_assert_eq!(lru.len(), list.len());
            }
        }
    }
}
