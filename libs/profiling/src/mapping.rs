//! The files that are mapped as code into this process.

use std::collections::HashMap;
use std::fs;

use crate::elf::Elf;

/// A range of addresses and the file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    pub(crate) path: String,
    /// In hexadecimal; empty if the file has none.
    pub(crate) build_id: String,
    /// Whether the file has names of its functions.
    pub(crate) named: bool,
}

/// Every mapping of code.
pub(crate) fn mappings() -> Vec<Mapping> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(parse).collect()
}

/// Reads one line of `/proc/self/maps`: `start-end permissions offset device inode path`.
fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions, offset) = (words.next()?, words.next()?, words.next()?);
    if !permissions.contains('x') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some(Mapping {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        path: words.nth(2).unwrap_or_default().to_owned(),
        build_id: String::new(),
        named: false,
    })
}

impl Mapping {
    /// Reads the file's build id, and the names of those addresses that are in it. `addresses` are in order.
    pub(crate) fn identify(&mut self, addresses: &[usize], names: &mut HashMap<usize, String>) {
        let Some(elf) = self.path.starts_with('/').then(|| self.open()).flatten() else {
            return;
        };
        self.build_id = elf.build_id();
        let first = addresses.partition_point(|&address| address < self.start);
        let last = addresses.partition_point(|&address| address < self.end);
        // Where the file says the code is → where it is here.
        let Some(shift) = elf
            .address_of(self.offset)
            .map(|address| (self.start as u64).wrapping_sub(address))
        else {
            return;
        };
        let wanted = &addresses[first..last];
        self.named = elf.name(wanted, shift, names);
    }

    /// The program's own file is reached even if another one has its name by now.
    fn open(&self) -> Option<Elf> {
        let own = fs::read_link("/proc/self/exe").ok()?;
        let is_own = own.to_str() == Some(&self.path);
        let path = if is_own { "/proc/self/exe" } else { &self.path };
        Elf::open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mapping, mappings, parse};

    #[test]
    fn only_mappings_of_code_are_taken() {
        let line = "55d0c000-55d0f000 r-xp 0000a000 08:01 131 /usr/bin/daprd";
        assert_eq!(
            parse(line),
            Some(Mapping {
                start: 0x55d0_c000,
                end: 0x55d0_f000,
                offset: 0xa000,
                path: "/usr/bin/daprd".to_owned(),
                build_id: String::new(),
                named: false,
            })
        );
        assert_eq!(parse(&line.replace("r-x", "r--")), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_test_is_in_a_mapping() {
        let here = parse as *const () as usize;
        assert!(
            mappings()
                .iter()
                .any(|mapping| (mapping.start..mapping.end).contains(&here))
        );
    }
}
