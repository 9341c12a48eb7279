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

#[cfg(test)]
mod tests {
    use super::truthy;

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
