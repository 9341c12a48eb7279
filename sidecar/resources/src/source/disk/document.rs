//! YAML documents of one file.

use serde_json::Value;

/// One document, or why it is none.
pub(super) type Document = Result<Value, String>;

/// Splits a file at lines that start with `---`, and reads each part. Empty parts are left out.
pub(super) fn documents(text: &str) -> Vec<Document> {
    parts(text)
        .into_iter()
        .map(|part| parse(&part))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.starts_with("---") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

/// Reads YAML as Kubernetes' own library does: `yes` is a boolean, `010` is octal, and lines inside quotes are indented
/// as one likes.
pub(super) fn parse(text: &str) -> Document {
    let only_comments = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if only_comments {
        return Ok(Value::Null);
    }
    read(text).or_else(|error| read(&with_quotes_indented(text)).map_err(|_| error))
}

fn read(text: &str) -> Document {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// Indents what is quoted over several lines deeper than its key, as the parser wants it; between quotes, blanks and tabs at
/// the begin of a line are folded away.
fn with_quotes_indented(text: &str) -> String {
    let (mut open, mut indent) = (None, String::new());
    let mut lines = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\t']);
        match open {
            Some(quote) => {
                lines.push_str(&indent);
                lines.push_str(content);
                open = still_open(quote, content);
            }
            None => {
                lines.push_str(line);
                open = opened(content);
                // Deeper than the key, also behind a dash.
                indent = " ".repeat(line.len() - content.len() + 4);
            }
        }
    }
    lines
}

/// The quote of a value that begins in this line and does not end in it.
fn opened(line: &str) -> Option<char> {
    let item = line.trim_start_matches("- ").trim_start();
    let value = match item.split_once(": ") {
        Some((key, value)) if !key.contains(['\'', '"', '#']) => value.trim_start(),
        _ => item,
    };
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    still_open(quote, &value[1..])
}

/// The quote, unless the text behind it closes it.
fn still_open(quote: char, text: &str) -> Option<char> {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quote == '"' => {
                characters.next();
            }
            // Two of them are one that does not close.
            '\'' if quote == '\'' && characters.peek() == Some(&'\'') => {
                characters.next();
            }
            character if character == quote => return None,
            _ => {}
        }
    }
    Some(quote)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::documents;

    #[test]
    fn documents_are_split_at_dashes_and_empty_ones_left_out() {
        let found =
            documents("# only a comment\n---\na: 1\n--- # next\n\n---\nb: [x, \"y\"]\n---\n");
        assert_eq!(found, [Ok(json!({"a": 1})), Ok(json!({"b": ["x", "y"]}))]);
    }

    #[test]
    fn scalars_are_read_as_kubernetes_reads_them() {
        let found = documents("a: yes\nb: 'yes'\nc: 010\nd: 1.5\ne: ~\n");
        assert_eq!(
            found,
            [Ok(
                json!({"a": true, "b": "yes", "c": 8, "d": 1.5, "e": null})
            )]
        );
    }

    #[test]
    fn lines_inside_quotes_are_indented_as_one_likes() {
        let found = documents(
            "- name: routes\n  value: '{\n\t  \"a\": \"it''s\",\n\t\t\"b\": 2\n\t}'\n- key: \"x \\\" \n\ty\"\n",
        );
        let routes = r#"{ "a": "it's", "b": 2 }"#;
        assert_eq!(
            found,
            [Ok(
                json!([{"name": "routes", "value": routes}, {"key": "x \" y"}])
            )]
        );
    }

    #[test]
    fn a_quote_may_end_at_the_begin_of_a_line() {
        let found = documents(
            "spec:\n  metadata:\n  - name: routes\n    value: '{\n  \"a\": 1\n}'\n  - name: m\n",
        );
        let metadata = json!([{"name": "routes", "value": r#"{ "a": 1 }"#}, {"name": "m"}]);
        assert_eq!(found, [Ok(json!({"spec": {"metadata": metadata}}))]);
    }

    #[test]
    fn tabs_elsewhere_are_no_indentation() {
        for text in ["a:\n\tb: 1\n", "a: 'x'\n\tb: 1\n", "a: it's\n\tb: 1\n"] {
            assert!(documents(text)[0].is_err(), "{text:?}");
        }
        let block = documents("a: |\n  it's\n  \tx\n");
        assert_eq!(block, [Ok(json!({"a": "it's\n\tx\n"}))]);
    }

    #[test]
    fn a_bad_document_leaves_the_others_alone() {
        let found = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(found.len(), 3);
        assert!(found[0].is_ok() && found[1].is_err() && found[2].is_ok());
    }

    #[test]
    fn a_large_document_is_no_problem() {
        let large = format!("a: {}\n", "x".repeat(200_000));
        assert!(documents(&large)[0].is_ok());
    }
}
