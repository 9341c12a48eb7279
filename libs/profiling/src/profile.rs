//! From stacks with values to pprof's `Profile`.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mapping::{Mapping, mappings};
use crate::message;

/// What the numbers of a sample count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// In what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Count,
    Nanoseconds,
}

/// Stacks with values, as they were taken: addresses without names.
#[derive(Debug)]
pub(crate) struct Stacks {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) at: SystemTime,
    /// How long it was looked; zero for a state.
    pub(crate) duration: Duration,
    /// Between two samples.
    pub(crate) period: Option<(Kind, i64)>,
    /// What is shown first, where it is not the last kind.
    pub(crate) default: Option<&'static str>,
}

/// One stack.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The thread it is of, where that matters.
    pub(crate) thread: Option<String>,
    /// Innermost first.
    pub(crate) frames: Box<[usize]>,
    /// One of each kind.
    pub(crate) values: Vec<i64>,
}

/// Functions of the profiler itself; they are innermost in every stack of the heap.
const OURS: &str =
    r".*trilby_profiling::.*|_*R?[A-Za-z0-9_]*__rust(c)?.*alloc.*|__rust.*alloc.*|alloc::alloc::.*";

impl Kind {
    pub(crate) const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }
}

impl Unit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

impl Stacks {
    pub(crate) fn new(kinds: &[Kind], at: SystemTime) -> Self {
        Self {
            kinds: kinds.to_vec(),
            samples: Vec::new(),
            at,
            duration: Duration::ZERO,
            period: None,
            default: None,
        }
    }

    pub(crate) fn push(&mut self, frames: Box<[usize]>, values: &[i64]) {
        self.samples.push(Sample {
            thread: None,
            frames,
            values: values.to_vec(),
        });
    }

    pub(crate) fn push_of(&mut self, thread: String, frames: Box<[usize]>, values: &[i64]) {
        self.samples.push(Sample {
            thread: Some(thread),
            frames,
            values: values.to_vec(),
        });
    }

    /// The names of the frames, as far as the files that they are of have symbols. Reads files.
    pub(crate) fn names(&self) -> Names {
        let addresses = self.samples.iter().flat_map(|sample| sample.frames.iter());
        Names::of(addresses.copied().collect())
    }
}

/// Addresses and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) mappings: Vec<Mapping>,
    names: HashMap<usize, String>,
}

impl Names {
    /// Looks the addresses up. Reads files.
    pub(crate) fn of(mut addresses: Vec<usize>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        let mut mappings = mappings();
        mappings.retain(|mapping| {
            let first = addresses.partition_point(|&address| address < mapping.start);
            addresses
                .get(first)
                .is_some_and(|&address| address < mapping.end)
        });
        let mut names = HashMap::new();
        for mapping in &mut mappings {
            mapping.identify(&addresses, &mut names);
        }
        Self { mappings, names }
    }

    /// The function's name.
    pub(crate) fn get(&self, address: usize) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }

    /// The mapping's number, from 1 on; 0 for none.
    fn mapping(&self, address: usize) -> u64 {
        let holds = |mapping: &Mapping| (mapping.start..mapping.end).contains(&address);
        self.mappings
            .iter()
            .position(holds)
            .map_or(0, |at| at as u64 + 1)
    }
}

/// Writes a profile with each string, function and location once.
#[derive(Default)]
struct Builder {
    profile: message::Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<String, u64>,
    locations: HashMap<Place, u64>,
}

/// What a frame is of.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    /// The code at an address.
    Code(usize),
    /// A whole thread: the outermost frame, so that a tree of functions begins with threads.
    Thread(String),
}

/// The profile, ready to be encoded.
pub(crate) fn build(stacks: Stacks, names: &Names) -> message::Profile {
    let mut builder = Builder::default();
    builder.string("");
    builder.head(&stacks);
    for mapping in &names.mappings {
        builder.mapping(mapping);
    }
    for sample in stacks.samples {
        builder.sample(sample, names);
    }
    builder.profile
}

impl Builder {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.strings.get(text) {
            return number;
        }
        let number = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), number);
        number
    }

    fn kind(&mut self, kind: Kind) -> message::ValueType {
        message::ValueType {
            r#type: self.string(kind.name),
            unit: self.string(kind.unit.as_str()),
        }
    }

    fn head(&mut self, stacks: &Stacks) {
        for &kind in &stacks.kinds {
            let kind = self.kind(kind);
            self.profile.sample_type.push(kind);
        }
        if let Some((kind, period)) = stacks.period {
            self.profile.period_type = Some(self.kind(kind));
            self.profile.period = period;
        }
        if let Some(default) = stacks.default {
            self.profile.default_sample_type = self.string(default);
        }
        let since = stacks.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = nanoseconds(since);
        self.profile.duration_nanos = nanoseconds(stacks.duration);
        self.profile.drop_frames = self.string(OURS);
    }

    fn mapping(&mut self, mapping: &Mapping) {
        let id = self.profile.mapping.len() as u64 + 1;
        let mapping = message::Mapping {
            id,
            memory_start: mapping.start as u64,
            memory_limit: mapping.end as u64,
            file_offset: mapping.offset,
            filename: self.string(&mapping.path),
            build_id: self.string(&mapping.build_id),
            has_functions: mapping.named,
        };
        self.profile.mapping.push(mapping);
    }

    fn sample(&mut self, sample: Sample, names: &Names) {
        let frames = sample.frames.iter().copied().map(Place::Code);
        let thread = sample.thread.clone().map(Place::Thread);
        let location_id = frames
            .chain(thread)
            .map(|place| self.location(place, names))
            .collect();
        let label = sample.thread.map(|thread| message::Label {
            key: self.string("thread"),
            str: self.string(&thread),
        });
        self.profile.sample.push(message::Sample {
            location_id,
            value: sample.values,
            label: label.into_iter().collect(),
        });
    }

    fn location(&mut self, place: Place, names: &Names) -> u64 {
        if let Some(&id) = self.locations.get(&place) {
            return id;
        }
        let (mapping_id, address, name) = match &place {
            Place::Code(address) => (
                names.mapping(*address),
                *address as u64,
                names.get(*address).map(str::to_owned),
            ),
            Place::Thread(name) => (0, 0, Some(format!("thread {name}"))),
        };
        let id = self.profile.location.len() as u64 + 1;
        let line = name.map(|name| self.line(&name)).into_iter().collect();
        self.profile.location.push(message::Location {
            id,
            mapping_id,
            address,
            line,
        });
        self.locations.insert(place, id);
        id
    }

    fn line(&mut self, name: &str) -> message::Line {
        if let Some(&function_id) = self.functions.get(name) {
            return message::Line { function_id };
        }
        let function_id = self.profile.function.len() as u64 + 1;
        let name_number = self.string(name);
        self.profile.function.push(message::Function {
            id: function_id,
            name: name_number,
        });
        self.functions.insert(name.to_owned(), function_id);
        message::Line { function_id }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
