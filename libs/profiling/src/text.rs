//! Profiles for people: what `?debug=1` answers.

use std::fmt::Write as _;

use crate::profile::{Names, Stacks};

/// Every stack with its values, the largest first.
pub(crate) fn render(mut stacks: Stacks, names: &Names) -> String {
    let mut text = String::new();
    write(&mut text, &mut stacks, names).expect("writing to a String does not fail");
    text
}

fn write(text: &mut String, stacks: &mut Stacks, names: &Names) -> std::fmt::Result {
    stacks
        .samples
        .sort_by_cached_key(|sample| std::cmp::Reverse(sample.values.last().copied()));
    for kind in &stacks.kinds {
        write!(text, "{}/{} ", kind.name, kind.unit.as_str())?;
    }
    writeln!(text, "of {} stacks", stacks.samples.len())?;
    for sample in &stacks.samples {
        writeln!(text)?;
        for value in &sample.values {
            write!(text, "{value} ")?;
        }
        writeln!(text, "{}", sample.thread.as_deref().unwrap_or_default())?;
        for &frame in &sample.frames {
            writeln!(text, "\t{frame:#x} {}", names.get(frame).unwrap_or("?"))?;
        }
    }
    Ok(())
}
