//! Listing keys with `SCAN`.

use ::redis::RedisResult;
use trilby_components::state::{LikePattern, Token};

use crate::connection::{Connection, Place};

/// How many keys the server looks at before it answers, upstream's number.
const BATCH: u32 = 1_000;

/// A pattern in Redis' own language that fits the same keys, and some more: its `?` is one byte of a character.
pub(super) fn glob(pattern: &LikePattern) -> String {
    let mut glob = String::new();
    for token in pattern.tokens() {
        match token {
            Token::Any => glob.push('*'),
            Token::One => glob.push_str("?*"),
            Token::Literal(literal) => {
                if matches!(literal, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                    glob.push('\\');
                }
                glob.push(*literal);
            }
        }
    }
    glob
}

/// Every key that fits `glob`; a server may name one twice.
pub(super) async fn scan(glob: &str, mut connection: Connection) -> RedisResult<Vec<String>> {
    let mut found = Vec::new();
    for place in connection.places().await? {
        scan_at(place, glob, &mut connection, &mut found).await?;
    }
    Ok(found)
}

async fn scan_at(
    place: Place,
    glob: &str,
    connection: &mut Connection,
    found: &mut Vec<String>,
) -> RedisResult<()> {
    let mut cursor = 0;
    loop {
        let mut command = ::redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(glob);
        command.arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<String>) = connection.run_at(place, &command).await?;
        found.extend(keys);
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_globs() {
        for (like, expected) in [
            ("app||%", "app||*"),
            ("a_b", "a?*b"),
            (r"50\%*", r"50%\*"),
            ("[a-z]?", r"\[a\-z\]\?"),
            (r"\\", r"\\"),
        ] {
            let pattern = LikePattern::parse(like).expect("not empty");
            assert_eq!(glob(&pattern), expected, "{like}");
        }
    }
}
