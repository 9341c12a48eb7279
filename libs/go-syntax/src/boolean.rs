//! Booleans as annotations, environment variables and component metadata spell them.

/// Whether `text` is one of `y`, `yes`, `true`, `t`, `on`, `1`, in any case and trimmed. Everything else,
/// typing errors included, is false: that is upstream's rule for annotations and metadata.
#[must_use]
pub fn truthy(text: &str) -> bool {
    let text = text.trim();
    ["y", "yes", "true", "t", "on", "1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Why a text is not a boolean flag's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid boolean {0:?}: expected true or false")]
pub struct BoolError(String);

/// Reads the value of a boolean flag as Go's `strconv.ParseBool` does.
///
/// # Errors
/// [`BoolError`] for anything but `1 t T true True TRUE` and `0 f F false False FALSE`.
pub fn parse_bool(text: &str) -> Result<bool, BoolError> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(BoolError(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{BoolError, parse_bool, truthy};

    #[test]
    fn flags_take_the_twelve_spellings_of_go() {
        for (text, value) in [("1", true), ("True", true), ("f", false), ("FALSE", false)] {
            assert_eq!(parse_bool(text), Ok(value));
        }
        for text in ["", "yes", "tRUE", " true"] {
            assert_eq!(parse_bool(text), Err(BoolError(text.into())));
        }
    }

    #[test]
    fn only_the_six_words_are_true() {
        for text in ["y", "YES", " true ", "T", "On", "1"] {
            assert!(truthy(text), "{text:?}");
        }
        for text in ["", "no", "false", "0", "2", "yess", "enabled"] {
            assert!(!truthy(text), "{text:?}");
        }
    }
}
