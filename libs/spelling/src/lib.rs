//! Names that look like a misspelt one, for whoever has to say that a name is unknown. Whose names they are, it does not
//! know.

/// At most this many edits between a misspelt name and a suggestion.
const MAX_DISTANCE: usize = 3;
/// At most this many suggestions.
const MAX_SUGGESTIONS: usize = 3;
/// What is longer is no misspelling of any name, and costs too much to compare.
const MAX_LENGTH: usize = 64;

/// Those of `known` that look like `name`, best first.
pub fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Vec<T> {
    if name.len() > MAX_LENGTH {
        return Vec::new();
    }
    // Names of few letters are all alike.
    let limit = MAX_DISTANCE.min(name.chars().count() / 2);
    let mut candidates: Vec<(usize, T)> = known
        .into_iter()
        .map(|known| (distance(name, known.as_ref()), known))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    candidates
        .sort_by(|(near, one), (far, other)| (near, one.as_ref()).cmp(&(far, other.as_ref())));
    let names = candidates.into_iter().map(|(_, known)| known);
    names.take(MAX_SUGGESTIONS).collect()
}

/// Levenshtein's edit distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_comes_first() {
        let known = ["redisHost", "redisPort", "redisDB", "ttlInSeconds"];
        assert_eq!(nearest("redisHots", known), ["redisHost", "redisPort"]);
        assert_eq!(nearest("something", known), [""; 0]);
    }

    #[test]
    fn what_is_too_short_or_too_long_has_no_neighbours() {
        assert_eq!(nearest("x", ["y"]), [""; 0]);
        assert_eq!(nearest(&"redis".repeat(99), ["redis"]), [""; 0]);
    }
}
