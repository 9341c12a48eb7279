//! How deep a rule is, told before it is parsed: parser and evaluation call themselves, and nobody asks how much stack
//! there is.

/// What a bracket counts, measured against an operator in a row of them.
const BRACKET: usize = 4;
/// The most that may be under way at once: 32 brackets, or a row of 128 operators. A debug build takes an eighth of the
/// stack of a thread for it.
const MOST: usize = 128;

/// Whether `rule` is deeper than it may be. What it takes for deep is at least as deep as the parser will find it.
pub(super) fn is_too_deep(rule: &str) -> bool {
    let mut rest = rule.as_bytes();
    // Operators in a row: of each open bracket, and since the last part ended.
    let (mut open, mut row, mut total) = (Vec::new(), 0_usize, 0_usize);
    while let Some(&byte) = rest.first() {
        let mut taken = 1;
        match byte {
            b'"' | b'\'' => taken = literal(rest),
            b'r' | b'R' if rest.get(1).is_some_and(|next| matches!(next, b'"' | b'\'')) => {
                taken = 1 + raw_literal(&rest[1..]);
            }
            b'/' if rest.get(1) == Some(&b'/') => {
                taken = rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
            }
            b'(' | b'[' | b'{' => {
                total += BRACKET + row;
                open.push(std::mem::take(&mut row));
            }
            b')' | b']' | b'}' => {
                if let Some(before) = open.pop() {
                    total -= BRACKET + before;
                    // What follows a bracket goes on with what stood before it.
                    row = before + 1;
                }
            }
            b',' => row = 0,
            b'&' | b'|' if rest.get(1) == Some(&byte) => {
                row = 0;
                taken = 2;
            }
            b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'?' | b'<' | b'>' | b'=' | b'.' => row += 1,
            b'i' if rest.starts_with(b"in") => row += 1,
            _ => {}
        }
        if total + row > MOST {
            return true;
        }
        rest = &rest[taken..];
    }
    false
}

/// The length of a text in quotes.
fn literal(text: &[u8]) -> usize {
    quoted(text, true)
}

/// The length of a text in quotes in which nothing is escaped.
fn raw_literal(text: &[u8]) -> usize {
    quoted(text, false)
}

fn quoted(text: &[u8], escapes: bool) -> usize {
    let quote = text[0];
    let long = text.starts_with(&[quote; 3]);
    let end: &[u8] = if long { &[quote; 3] } else { &[quote] };
    let mut at = end.len();
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 2,
            // One that does not end on its line is none.
            b'\n' | b'\r' if !long => return at,
            _ if text[at..].starts_with(end) => return at + end.len(),
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::is_too_deep;

    #[test]
    fn brackets_and_rows_count_together() {
        let brackets = |number: usize| "(".repeat(number) + "1" + &")".repeat(number);
        assert!(!is_too_deep(&brackets(32)));
        assert!(is_too_deep(&brackets(33)));
        assert!(!is_too_deep(&"1+".repeat(128)));
        assert!(is_too_deep(&"1+".repeat(129)));
        assert!(is_too_deep(&"(1+1+1+".repeat(20)));
        assert!(is_too_deep(&"a[0]".repeat(129)));
        assert!(is_too_deep(&"1 in ".repeat(129)));
    }

    #[test]
    fn many_parts_beside_each_other_are_not_deep() {
        assert!(!is_too_deep(&"(event.type == 'a') || ".repeat(500)));
        assert!(!is_too_deep(&format!(
            "event.a in [{}]",
            "1.5,".repeat(500)
        )));
    }

    #[test]
    fn texts_and_comments_do_not_count() {
        let brackets = "(".repeat(100);
        for hidden in [
            format!("'{brackets}'"),
            format!(r#""\"{brackets}""#),
            format!(r"r'\' == '{brackets}'"),
            format!("'''a' {brackets}'''"),
            format!("// '{brackets}\n1"),
        ] {
            assert!(!is_too_deep(&hidden), "{hidden}");
            assert!(is_too_deep(&format!("{hidden}{brackets}")), "{hidden}");
        }
        assert!(is_too_deep(&format!("'\n{brackets}")));
        assert!(is_too_deep(&format!("// '\n{brackets}'")));
    }
}
