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

/// Reads YAML as Kubernetes' own library does: `yes` is a boolean, `010` is octal.
pub(super) fn parse(text: &str) -> Document {
    let only_comments = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if only_comments {
        return Ok(Value::Null);
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
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
