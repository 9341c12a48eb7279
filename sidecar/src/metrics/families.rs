//! All families of a sidecar, and how they are made: anew, or taken over where a changed Configuration leaves them as
//! they are.

use std::borrow::Cow;
use std::sync::Arc;

use super::definition::{Definition, Kind};
use super::family::Family;
use super::rules::Rules;
use super::settings::Settings;
use super::value::{Bounds, Counter, Gauge, Histogram, Value};

/// Upstream's buckets of sizes, in bytes: from a KiB to four GiB.
const SIZE_BUCKETS: [f64; 13] = [
    1024.0,
    2048.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

/// A family of any kind.
#[derive(Debug, Clone)]
pub(super) enum AnyFamily {
    Counter(Arc<Family<Counter>>),
    Gauge(Arc<Family<Gauge>>),
    Histogram(Arc<Family<Histogram>>),
}

/// A value that a family of [`AnyFamily`] has.
pub(super) trait Kindred: Value + Sized {
    fn any(family: Arc<Family<Self>>) -> AnyFamily;
    fn of(any: &AnyFamily) -> Option<&Arc<Family<Self>>>;
}

macro_rules! kindred {
    ($value:ident) => {
        impl Kindred for $value {
            fn any(family: Arc<Family<Self>>) -> AnyFamily {
                AnyFamily::$value(family)
            }

            fn of(any: &AnyFamily) -> Option<&Arc<Family<Self>>> {
                match any {
                    AnyFamily::$value(family) => Some(family),
                    _ => None,
                }
            }
        }
    };
}

kindred!(Counter);
kindred!(Gauge);
kindred!(Histogram);

/// Makes families from their definitions.
pub(super) struct Making<'a> {
    settings: &'a Settings,
    previous: &'a [AnyFamily],
    sizes: Bounds,
    none: Bounds,
    made: Vec<AnyFamily>,
}

// === impl AnyFamily ===

impl AnyFamily {
    pub(super) fn definition(&self) -> &'static Definition {
        match self {
            Self::Counter(family) => family.definition(),
            Self::Gauge(family) => family.definition(),
            Self::Histogram(family) => family.definition(),
        }
    }

    pub(super) fn overflowed(&self) -> u64 {
        match self {
            Self::Counter(family) => family.overflowed(),
            Self::Gauge(family) => family.overflowed(),
            Self::Histogram(family) => family.overflowed(),
        }
    }

    /// The app id that its series show.
    pub(super) fn app_id<'a>(&self, app_id: &'a str) -> Cow<'a, str> {
        match self {
            Self::Counter(family) => family.app_id(app_id),
            Self::Gauge(family) => family.app_id(app_id),
            Self::Histogram(family) => family.app_id(app_id),
        }
    }
}

// === impl Making ===

impl<'a> Making<'a> {
    /// Makes what `settings` ask for, and takes over what of `previous` they leave as it is.
    pub(super) fn new(settings: &'a Settings, previous: &'a [AnyFamily]) -> Self {
        Self {
            settings,
            previous,
            sizes: SIZE_BUCKETS.into(),
            none: Bounds::default(),
            made: Vec::new(),
        }
    }

    pub(super) fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The family of a definition, with values of its kind.
    pub(super) fn family<V: Kindred>(&mut self, definition: &'static Definition) -> Arc<Family<V>> {
        let rules = self.rules(definition);
        let bounds = match definition.kind {
            Kind::Counter | Kind::Gauge => &self.none,
            Kind::Size => &self.sizes,
            Kind::Latency => &self.settings.latency_buckets,
        };
        let known = self.previous.iter().filter_map(V::of);
        let mut known = known.filter(|known| {
            known.definition().name == definition.name && known.was_made_with(&rules, bounds)
        });
        let family = match known.next() {
            Some(known) => Arc::clone(known),
            None => Arc::new(Family::new(definition, rules, Arc::clone(bounds))),
        };
        self.made.push(V::any(Arc::clone(&family)));
        family
    }

    pub(super) fn finish(self) -> Arc<[AnyFamily]> {
        self.made.into()
    }

    fn rules(&self, definition: &'static Definition) -> Rules {
        Rules::of(definition, &self.settings.rules).expect("settings hold checked rules only")
    }
}
