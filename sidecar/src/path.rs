//! Paths and method names, cleaned the way Dapr's sidecars agree on.

use std::borrow::Cow;

/// A method name that must not reach an application.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidName {
    /// A character that would end or split a path.
    #[error("{kind} contains forbidden character: {name:?}")]
    Forbidden {
        /// What was checked: `method` or `name`.
        kind: &'static str,
        /// The offending text.
        name: String,
    },
    /// A control character.
    #[error("{kind} contains control character at position {position}: {name:?}")]
    Control {
        /// What was checked.
        kind: &'static str,
        /// The byte's position.
        position: usize,
        /// The offending text.
        name: String,
    },
    /// `.` or `..` where an identifier is expected.
    #[error("name is a path traversal sequence: {0:?}")]
    Traversal(String),
}

/// Cleans an invoked method: lexically resolves `.`, `..` and `//`, and never climbs above the root.
///
/// # Errors
/// `#`, `?`, NUL and control characters are refused.
pub fn normalize_method(method: &str) -> Result<Cow<'_, str>, InvalidName> {
    reject(method, "method", |byte| matches!(byte, b'#' | b'?' | 0))?;
    Ok(match clean(method) {
        Cow::Borrowed("" | "." | "..") => Cow::Borrowed(""),
        Cow::Borrowed(cleaned) => Cow::Borrowed(cleaned.trim_start_matches("../")),
        Cow::Owned(cleaned) => Cow::Owned(below_root(&cleaned).to_owned()),
    })
}

/// Checks an identifier that becomes part of a path, such as an actor's id.
///
/// # Errors
/// Everything that would change the path is refused.
pub fn validate_name(name: &str) -> Result<(), InvalidName> {
    reject(name, "name", |byte| {
        matches!(byte, b'#' | b'?' | 0 | b'/' | b'\\')
    })?;
    if matches!(name, "." | "..") {
        return Err(InvalidName::Traversal(name.to_owned()));
    }
    Ok(())
}

/// The shortest equivalent of a slash-separated path, without looking at any file system; an empty path
/// becomes `.`. A rootless path keeps leading `..`.
pub fn clean(path: &str) -> Cow<'_, str> {
    if is_clean(path) {
        return Cow::Borrowed(path);
    }
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => drop(kept.pop()),
                _ if rooted => {}
                _ => kept.push(".."),
            },
            _ => kept.push(segment),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => Cow::Owned(format!("/{joined}")),
        (false, true) => Cow::Borrowed("."),
        (false, false) => Cow::Owned(joined),
    }
}

fn is_clean(path: &str) -> bool {
    let body = path.strip_prefix('/').unwrap_or(path);
    if body.is_empty() {
        return path == "/";
    }
    body.split('/')
        .all(|segment| !matches!(segment, "" | "." | ".."))
}

fn below_root(cleaned: &str) -> &str {
    match cleaned.trim_start_matches("../") {
        "." | ".." => "",
        rest => rest,
    }
}

fn reject(name: &str, kind: &'static str, forbidden: fn(u8) -> bool) -> Result<(), InvalidName> {
    if name.bytes().any(forbidden) {
        return Err(InvalidName::Forbidden {
            kind,
            name: name.to_owned(),
        });
    }
    match name.bytes().position(|byte| byte < 0x20 || byte == 0x7f) {
        Some(position) => Err(InvalidName::Control {
            kind,
            position,
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{clean, normalize_method, validate_name};

    #[test]
    fn paths_become_their_shortest_form() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("a/b", "a/b"),
            ("/a//b/", "/a/b"),
            ("a/./b/../c", "a/c"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/../..", ".."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn methods_never_climb_above_the_root() {
        for (method, expected) in [
            ("", ""),
            (".", ""),
            ("orders", "orders"),
            ("a/../b", "b"),
            ("../../etc/passwd", "etc/passwd"),
            ("../..", ""),
            ("/pkg.Service/Call", "/pkg.Service/Call"),
        ] {
            assert_eq!(normalize_method(method).unwrap(), expected, "{method}");
        }
    }

    #[test]
    fn forbidden_and_control_characters_are_named() {
        assert_eq!(
            normalize_method("a#b").unwrap_err().to_string(),
            "method contains forbidden character: \"a#b\""
        );
        assert_eq!(
            normalize_method("a\nb").unwrap_err().to_string(),
            "method contains control character at position 1: \"a\\nb\""
        );
        assert!(normalize_method("a?b").is_err() && normalize_method("a\0").is_err());
    }

    #[test]
    fn names_are_no_paths() {
        assert!(
            validate_name("a/b").is_err()
                && validate_name("..").is_err()
                && validate_name("a\\b").is_err()
        );
        assert!(validate_name("a.b||c").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn normalised_methods_are_the_shortest_and_stay_below_the_root(
            method in "[a./%:*-]{0,20}",
        ) {
            let normal = normalize_method(&method).unwrap().into_owned();
            let body = normal.strip_prefix('/').unwrap_or(&normal);
            let shortest = body.is_empty()
                || body.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
            proptest::prop_assert!(shortest, "{method:?} became {normal:?}");
            proptest::prop_assert_eq!(normalize_method(&normal).unwrap(), normal.as_str());
            // What is left stood in the method, in this order.
            let mut written = method.split('/');
            proptest::prop_assert!(
                body.is_empty() || body.split('/').all(|kept| written.any(|given| given == kept))
            );
        }

        #[test]
        fn forbidden_bytes_never_pass(before in "[a/.]{0,5}", bad in "[\\x00-\\x1f#?\\x7f]", after in "[a/.]{0,5}") {
            let method = [before, bad, after].concat();
            proptest::prop_assert!(normalize_method(&method).is_err());
        }
    }
}
