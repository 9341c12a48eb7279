//! The shared libraries that a program needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::programs;

/// Paths under which the dynamic linker will look; none for a static program.
pub(super) fn needed_by(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new(programs::system("ldd")?)
        .arg(program)
        .output()
        .with_context(|| format!("ldd {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !complaint.contains("not a dynamic executable") {
        bail!("ldd {}: {}", program.display(), complaint.trim());
    }
    parse(&text).with_context(|| format!("ldd {}", program.display()))
}

/// Lines read `name => path (address)`, `path (address)` for the linker itself, or `name (address)` for what the
/// kernel provides.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let (name, found) = line.split_once("=>").unwrap_or((line, line));
        let found = found.split(" (").next().unwrap_or_default().trim();
        if found == "not found" {
            bail!("the library {} is missing", name.trim());
        }
        if found.starts_with('/') {
            paths.push(found.into());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_linker_are_found() {
        let text = "\tlinux-vdso.so.1 (0x7ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let paths = parse(text).unwrap();
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(paths, expected.map(PathBuf::from));
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibodd.so.1 => not found\n").unwrap_err();
        assert_eq!(error.to_string(), "the library libodd.so.1 is missing");
    }

    #[test]
    fn a_static_program_needs_none() {
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
    }
}
