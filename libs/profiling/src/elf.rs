//! Build ids and function names out of program files. Files are read in the parts that are needed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;

use object::elf::PF_X;
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SegmentFlags,
    SymbolKind,
};

/// One program file.
pub(crate) struct Elf(ReadCache<File>);

impl Elf {
    /// `None` if it cannot be opened.
    pub(crate) fn open(path: &str) -> Option<Self> {
        File::open(path).ok().map(ReadCache::new).map(Self)
    }

    fn parse(&self) -> Option<ElfFile64<'_, Endianness, &ReadCache<File>>> {
        ElfFile64::parse(&self.0).ok()
    }

    /// In hexadecimal; empty if there is none.
    pub(crate) fn build_id(&self) -> String {
        let elf = self.parse();
        let id = elf.as_ref().and_then(|elf| elf.build_id().ok().flatten());
        id.unwrap_or_default()
            .iter()
            .fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to a String does not fail");
                text
            })
    }

    /// The address that the file gives to the code that is mapped from this offset of it on. That may be a little
    /// before its segment, since whole pages are mapped.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        let elf = self.parse()?;
        let mut segments = elf.segments();
        segments.find_map(|segment| {
            let (start, size) = segment.file_range();
            (is_code(&segment.flags()) && offset < start + size)
                .then(|| segment.address().wrapping_sub(start).wrapping_add(offset))
        })
    }

    /// Adds the names of the functions that `addresses` (in order) are in; they are `shift` above what the file says.
    /// Whether the file has names of its own functions at all, not only of those that others may call.
    pub(crate) fn name(
        &self,
        addresses: &[usize],
        shift: u64,
        names: &mut HashMap<usize, String>,
    ) -> bool {
        let Some(elf) = self.parse() else {
            return false;
        };
        let mut own = false;
        let all = elf.symbols().map(|symbol| (symbol, true));
        let exported = elf.dynamic_symbols().map(|symbol| (symbol, false));
        for (symbol, is_own) in all.chain(exported) {
            if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
                continue;
            }
            own |= is_own;
            let start = symbol.address().wrapping_add(shift) as usize;
            let end = start.saturating_add(symbol.size() as usize);
            let first = addresses.partition_point(|&address| address < start);
            for &address in addresses[first..]
                .iter()
                .take_while(|&&address| address < end)
            {
                if let Ok(name) = symbol.name() {
                    names.entry(address).or_insert_with(|| demangled(name));
                }
            }
        }
        own
    }
}

fn is_code(flags: &SegmentFlags) -> bool {
    matches!(flags, SegmentFlags::Elf { p_flags } if p_flags & PF_X != 0)
}

/// As it is written in source, without the hash of its crate.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use crate::profile::Names;

    #[test]
    fn a_function_of_this_program_has_its_name_and_its_file_a_build_id() {
        let address = super::demangled as *const () as usize;
        let names = Names::of(vec![address, 1]);
        assert_eq!(names.get(address), Some("trilby_profiling::elf::demangled"));
        assert_eq!(names.get(1), None);
        assert_eq!(names.mappings.len(), 1);
        assert!(names.mappings[0].named);
        assert!(names.mappings[0].build_id.len() >= 16, "{names:?}");
    }

    #[test]
    fn what_is_no_program_has_no_names() {
        let elf = super::Elf::open("/proc/self/cmdline").unwrap();
        assert_eq!(elf.build_id(), "");
        assert_eq!(elf.address_of(0), None);
        assert!(!elf.name(&[1], 0, &mut std::collections::HashMap::new()));
    }
}
