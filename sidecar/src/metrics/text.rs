//! Prometheus' text format, written a piece at a time: what a scrape holds in memory does not grow with the
//! number of series. Floats are spelled as Go does, since the bounds of buckets are label values.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::definition::Definition;
use super::families::AnyFamily;
use super::family::Family;
use super::labels::values;
use super::value::{Line, Value};

/// A piece is written when it is at least as long, in bytes.
const PIECE: usize = 16 * 1024;

/// Where all families say how often their limit was met. Not one of upstream's.
pub(super) static OVERFLOW: Definition = Definition::counter(
    "runtime_metrics_overflow_total",
    "Recordings for which a metric had no series left; they are counted under the label value \"other\".",
    &[super::definition::few("metric")],
);

/// One scrape.
pub(super) struct Scrape {
    families: Arc<[AnyFamily]>,
    app_id: Arc<str>,
    family: usize,
    series: usize,
}

impl Scrape {
    pub(super) fn new(families: Arc<[AnyFamily]>, app_id: Arc<str>) -> Self {
        Self {
            families,
            app_id,
            family: 0,
            series: 0,
        }
    }

    /// Writes the next series, or moves on; `false` at the end.
    fn step(&mut self, out: &mut String) -> bool {
        let Some(family) = self.families.get(self.family) else {
            return self.overflow(out);
        };
        let app_id = family.app_id(&self.app_id);
        let written = match family {
            AnyFamily::Counter(family) => self.series_of(family, &app_id, out),
            AnyFamily::Gauge(family) => self.series_of(family, &app_id, out),
            AnyFamily::Histogram(family) => self.series_of(family, &app_id, out),
        };
        if written {
            self.series += 1;
        } else {
            self.family += 1;
            self.series = 0;
        }
        true
    }

    /// Writes the next series of a family, if there is one.
    fn series_of<V: Value>(&self, family: &Family<V>, app_id: &str, out: &mut String) -> bool {
        let Some(series) = family.at(self.series) else {
            return false;
        };
        let definition = family.definition();
        if self.series == 0 {
            head(out, definition);
        }
        let labels = Labels {
            definition,
            app_id,
            key: series.key(),
        };
        series.lines(|line| labels.line(out, line));
        true
    }

    /// The last piece.
    fn overflow(&mut self, out: &mut String) -> bool {
        if self.family > self.families.len() {
            return false;
        }
        self.family += 1;
        let overflowed = self
            .families
            .iter()
            .map(|family| (family.definition().name, family.overflowed()))
            .filter(|(_, times)| *times > 0);
        for (index, (name, times)) in overflowed.enumerate() {
            if index == 0 {
                head(out, &OVERFLOW);
            }
            let times = i64::try_from(times).unwrap_or(i64::MAX);
            let labels = Labels {
                definition: &OVERFLOW,
                app_id: &self.app_id,
                key: &format!("dapr_{name}"),
            };
            labels.line(out, Line::Whole(times));
        }
        true
    }
}

impl Iterator for Scrape {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = String::with_capacity(PIECE + PIECE / 4);
        while out.len() < PIECE && self.step(&mut out) {}
        (!out.is_empty()).then(|| out.into())
    }
}

fn head(out: &mut String, definition: &Definition) {
    let (name, help) = (definition.name, definition.help);
    put(out, format_args!("# HELP dapr_{name} "));
    for character in help.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    put(
        out,
        format_args!("\n# TYPE dapr_{name} {}\n", definition.kind.word()),
    );
}

/// Writing to memory cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

/// The labels of one series.
struct Labels<'a> {
    definition: &'static Definition,
    app_id: &'a str,
    key: &'a str,
}

impl Labels<'_> {
    fn line(&self, out: &mut String, line: Line<'_>) {
        let suffix = match line {
            Line::Whole(_) => "",
            Line::Bucket(..) => "_bucket",
            Line::Sum(_) => "_sum",
            Line::Count(_) => "_count",
        };
        put(out, format_args!("dapr_{}{suffix}{{", self.definition.name));
        self.write(out);
        if let Line::Bucket(bound, _) = line {
            out.push_str(",le=\"");
            match bound {
                Some(bound) => go_float(out, *bound),
                None => out.push_str("+Inf"),
            }
            out.push('"');
        }
        out.push_str("} ");
        match line {
            Line::Whole(value) => put(out, format_args!("{value}")),
            Line::Bucket(_, value) | Line::Count(value) => put(out, format_args!("{value}")),
            Line::Sum(value) => go_float(out, value),
        }
        out.push('\n');
    }

    fn write(&self, out: &mut String) {
        let app_id_at = self.definition.app_id_at();
        let mut first = true;
        let mut label = |name: &str, value: &str| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            out.push_str(name);
            out.push_str("=\"");
            escape(out, value);
            out.push('"');
        };
        let labels = self.definition.labels.iter();
        // Without labels the key is one empty value.
        for (index, (known, value)) in labels.zip(values(self.key)).enumerate() {
            if app_id_at == Some(index) {
                label("app_id", self.app_id);
            }
            label(known.name, value);
        }
        if app_id_at == Some(self.definition.labels.len()) {
            label("app_id", self.app_id);
        }
    }
}

fn escape(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// A float as Go's `%g` prints it: with an exponent from a million up and below a ten-thousandth.
fn go_float(out: &mut String, value: f64) {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        put(out, format_args!("{value}"));
        return;
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            put(out, format_args!("{mantissa}e{sign}{digits:0>2}"));
        }
        None => out.push_str(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::go_float;

    #[test]
    fn floats_are_spelled_as_go_does() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (1024.0, "1024"),
            (100_000.0, "100000"),
            (1_048_576.0, "1.048576e+06"),
            (4_294_967_296.0, "4.294967296e+09"),
            (0.00005, "5e-05"),
            (1e21, "1e+21"),
        ] {
            let mut out = String::new();
            go_float(&mut out, value);
            assert_eq!(out, text);
        }
    }
}
