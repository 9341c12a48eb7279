//! Every name below the prefix, folder by folder.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use trilby_components::secret::SecretError;

use crate::reader::Reader;

/// Requests under way at once.
pub(crate) const AT_ONCE: usize = 8;
/// How deep folders may lie in each other.
const DEEPEST: usize = 64;
/// Names, of folders too, that are gone through at most.
const MOST_NAMES: usize = 20_000;

/// The names of all secrets, as they are asked for.
///
/// # Errors
/// A folder cannot be listed, or there is too much of them.
pub(crate) async fn names(reader: &Reader<'_>) -> Result<Vec<String>, SecretError> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![String::new()];
    for _ in 0..DEEPEST {
        let lists: Vec<_> = folders.iter().map(|folder| reader.list(folder)).collect();
        let lists = stream::iter(lists).buffered(AT_ONCE);
        let lists: Vec<Vec<String>> = lists.try_collect().await?;
        let mut below = Vec::new();
        for (folder, keys) in folders.iter().zip(lists) {
            seen += keys.len();
            if seen > MOST_NAMES {
                return Err(too_much(&format!("more than {MOST_NAMES} names")));
            }
            let names = keys.into_iter().map(|key| format!("{folder}{key}"));
            let (inner, secrets): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with('/'));
            below.extend(inner);
            found.extend(secrets);
        }
        if below.is_empty() {
            return Ok(found);
        }
        folders = below;
    }
    Err(too_much(&format!("folders more than {DEEPEST} deep")))
}

fn too_much(what: &str) -> SecretError {
    SecretError::InvalidRequest(format!(
        "there are {what} below the prefix, which is too much to read at once: narrow vaultKVPrefix"
    ))
}
