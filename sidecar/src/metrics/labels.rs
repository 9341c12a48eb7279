//! The values of a series' labels as one key, made without allocating.

use std::cell::RefCell;

/// Between two values. No value has it: only printable ASCII is a value.
const SEPARATOR: char = '\x1f';
/// The longest value, in bytes: what upstream's library takes.
pub(super) const LONGEST: usize = 255;

thread_local! {
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Hands the key of `values` to `then`.
pub(super) fn with_key<R>(values: &[&str], then: impl FnOnce(&str) -> R) -> R {
    KEY.with(|cell| {
        // Taken out, so that `then` may make keys of its own.
        let mut key = cell.take();
        key.clear();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                key.push(SEPARATOR);
            }
            key.push_str(value);
        }
        let result = then(&key);
        cell.replace(key);
        result
    })
}

/// The values of a key.
pub(super) fn values(key: &str) -> std::str::Split<'_, char> {
    key.split(SEPARATOR)
}

/// Whether a value may be shown as it is.
pub(super) fn is_presentable(value: &str) -> bool {
    value.len() <= LONGEST && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{is_presentable, values, with_key};

    #[test]
    fn a_key_gives_its_values_back_also_inside_another() {
        let found = with_key(&["GET", "", "200"], |outer| {
            let inner = with_key(&["x"], str::to_owned);
            assert_eq!(inner, "x");
            values(outer).map(str::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(found, ["GET", "", "200"]);
    }

    #[test]
    fn only_short_printable_ascii_is_shown() {
        assert!(is_presentable(""));
        assert!(is_presentable(&"x".repeat(255)));
        assert!(!is_presentable(&"x".repeat(256)));
        assert!(!is_presentable("a\nb"));
        assert!(!is_presentable("caf\u{e9}"));
    }
}
