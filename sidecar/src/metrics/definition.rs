//! What a family of metrics is: its name, labels and unit, as upstream has them.

/// One family: what a scrape shows under one name. Constants of this type are all that is said of a family
/// anywhere; the recorders, the exposition and the reference page are made from them.
#[derive(Debug)]
pub struct Definition {
    /// The name behind `dapr_`.
    pub name: &'static str,
    /// The line of help.
    pub help: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The labels beside `app_id`, in the order of the alphabet. One called `app_id` takes its place.
    pub labels: &'static [Label],
    /// The most series it has before what is new is counted as [`OTHER`].
    pub limit: usize,
}

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number of events.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A histogram of milliseconds.
    Latency,
    /// A histogram of bytes.
    Size,
}

/// A label of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Who decides how many values it has.
    pub values: Values,
}

/// Who decides how many values a label has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// This program: a handful.
    Few,
    /// Whoever calls: any number.
    Many,
}

/// The value of a label whose own would be one too many, too long, or not printable ASCII.
pub const OTHER: &str = "other";
/// Series of a family, unless it says otherwise.
const LIMIT: usize = 500;

/// A label with a handful of values.
pub(super) const fn few(name: &'static str) -> Label {
    Label {
        name,
        values: Values::Few,
    }
}

/// A label whose values callers choose.
pub(super) const fn many(name: &'static str) -> Label {
    Label {
        name,
        values: Values::Many,
    }
}

impl Definition {
    const fn of(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &'static [Label],
    ) -> Self {
        Self {
            name,
            help,
            kind,
            labels,
            limit: LIMIT,
        }
    }

    pub(super) const fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [Label],
    ) -> Self {
        Self::of(Kind::Counter, name, help, labels)
    }

    pub(super) const fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [Label],
    ) -> Self {
        Self::of(Kind::Gauge, name, help, labels)
    }

    pub(super) const fn latency(
        name: &'static str,
        help: &'static str,
        labels: &'static [Label],
    ) -> Self {
        Self::of(Kind::Latency, name, help, labels)
    }

    pub(super) const fn size(
        name: &'static str,
        help: &'static str,
        labels: &'static [Label],
    ) -> Self {
        Self::of(Kind::Size, name, help, labels)
    }

    /// Another number of series.
    pub(super) const fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Where `app_id` stands among the labels; `None` if the family has one of its own.
    pub(super) fn app_id_at(&self) -> Option<usize> {
        let mut names = self.labels.iter().map(|label| label.name);
        let at = names.clone().take_while(|name| *name < "app_id").count();
        (names.nth(at) != Some("app_id")).then_some(at)
    }
}

impl Kind {
    /// The word in the exposition format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Latency | Self::Size => "histogram",
        }
    }
}
