//! The statements over one table.

use super::settings::Names;

/// How many keys one query may ask for; each number is a statement of its own.
const SIZES: [usize; 4] = [1, 4, 16, 64];

/// What is there for callers.
const LIVE: &str = "(expiredate IS NULL OR expiredate > CURRENT_TIMESTAMP)";
/// A row that is nobody's any more; it is in the way of an INSERT.
const GONE: &str = "expiredate <= CURRENT_TIMESTAMP";
/// From a number of seconds to the column; nothing from nothing.
const EXPIRY: &str = "CURRENT_TIMESTAMP + INTERVAL ? SECOND";

/// The statements over one table. `put` and `create` take key, value, etag, whether it is Base64, and its life in
/// seconds.
#[derive(Debug)]
pub(super) struct Statements {
    /// Writes whatever is there.
    pub(super) put: String,
    /// Writes what is not there.
    pub(super) create: String,
    /// Writes what is there with an etag: value, etag, whether it is Base64, life, key, the etag.
    pub(super) replace: String,
    /// Removes.
    pub(super) remove: String,
    /// Removes what is there with an etag.
    pub(super) remove_version: String,
    /// Keys like the first after a row, so many at most, with the numbers of their rows.
    pub(super) keys: String,
    /// Removes so many rows that have expired.
    pub(super) clean: String,
    /// Notes down that this is the time of a cleaning, unless the last one was not so many microseconds ago.
    pub(super) is_due: String,
    /// For each of [`SIZES`].
    find: Vec<(usize, String)>,
}

impl Statements {
    pub(super) fn new(names: &Names) -> Self {
        let (table, notes) = (&names.table, &names.notes);
        let insert = format!(
            "INSERT INTO {table} (id, value, eTag, isbinary, expiredate) VALUES (?, ?, ?, ?, {EXPIRY})
             ON DUPLICATE KEY UPDATE"
        );
        let all = ["id", "value", "eTag", "isbinary", "expiredate"];
        let always = all.map(|column| format!("{column} = VALUES({column})"));
        // Each is judged by what the ones before have left: the column that is asked comes last.
        let if_gone =
            all.map(|column| format!("{column} = IF({GONE}, VALUES({column}), {column})"));
        // In the words of the clock that upstream's sidecars read it by.
        let now = "CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone)";
        Self {
            put: format!("{insert} {}", always.join(", ")),
            create: format!("{insert} {}", if_gone.join(", ")),
            replace: format!(
                "UPDATE {table} SET value = ?, eTag = ?, isbinary = ?, expiredate = {EXPIRY}
                 WHERE id = ? AND eTag = ? AND {LIVE}"
            ),
            remove: format!("DELETE FROM {table} WHERE id = ?"),
            remove_version: format!("DELETE FROM {table} WHERE id = ? AND eTag = ? AND {LIVE}"),
            keys: format!(
                "SELECT id, CAST(row_id AS SIGNED) FROM {table} WHERE id LIKE ? AND row_id > ? AND {LIVE}
                 ORDER BY row_id LIMIT ?"
            ),
            clean: format!("DELETE FROM {table} WHERE {GONE} LIMIT ?"),
            is_due: format!(
                "INSERT INTO {notes} (id, value) VALUES ('last-cleanup', {now}) ON DUPLICATE KEY UPDATE
                 value = IF({now} > DATE_ADD(value, INTERVAL ? MICROSECOND), {now}, value)"
            ),
            find: SIZES.map(|size| (size, find(table, size))).into(),
        }
    }

    /// The query for the first of `count` keys, and how many those are. Places beyond them are for nothing. Rows have the
    /// number of the place, value, etag, whether it is Base64, and when it expires in seconds of Unix time.
    pub(super) fn find(&self, count: usize) -> (usize, &str) {
        let fitting = self.find.iter().find(|(size, _)| *size >= count);
        let last = self.find.last().expect("there are sizes");
        let (size, statement) = fitting.unwrap_or(last);
        (*size, statement)
    }
}

/// One by one, so that the server says which row belongs to which key: that is up to its collation.
fn find(table: &str, size: usize) -> String {
    let one = |place: usize| {
        format!(
            "(SELECT {place}, value, eTag, isbinary, CAST(UNIX_TIMESTAMP(expiredate) AS SIGNED)
              FROM {table} WHERE id = ? AND {LIVE})"
        )
    };
    let all: Vec<String> = (0..size).map(one).collect();
    all.join(" UNION ALL ")
}

#[cfg(test)]
mod tests {
    use super::{Names, Statements};

    #[test]
    fn keys_are_asked_for_in_few_sizes() {
        let name = |name: &str| name.to_owned();
        let names = Names {
            database: name("d"),
            table: name("t"),
            notes: name("n"),
        };
        let statements = Statements::new(&names);
        for (count, size) in [(1, 1), (2, 4), (4, 4), (5, 16), (64, 64), (65, 64)] {
            let (found, statement) = statements.find(count);
            assert_eq!((found, statement.matches('?').count()), (size, size));
        }
    }
}
