//! Which traces are recorded: what the caller decided, else a share of them.

use std::fmt;

use crate::context::{SAMPLED, SpanContext};

/// The rate of a Configuration that names none, or no number.
const DEFAULT_RATE: f64 = 1e-4;

/// Decides by the parent, and without one by the trace's id, so that every sidecar decides alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sampler {
    /// Every trace.
    Always,
    /// Traces whose id lies below `bound`, which stands for `share` of them.
    Ratio { share: f64, bound: u64 },
}

/// The rate that a text means.
pub(crate) fn rate(text: &str) -> f64 {
    let spelt = text.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    match text.parse::<f64>() {
        // A number too large to hold is an error to Go, unless infinity was meant.
        Ok(rate) if rate.is_finite() || spelt => rate,
        _ => DEFAULT_RATE,
    }
}

impl Sampler {
    pub(crate) fn new(rate: f64) -> Self {
        if rate >= 1.0 {
            return Self::Always;
        }
        let share = if rate > 0.0 { rate } else { 0.0 };
        // 2^63 as OpenTelemetry's libraries have it: the id's lower half without its last bit.
        let bound = (share * 9_223_372_036_854_775_808.0) as u64;
        Self::Ratio { share, bound }
    }

    /// The flags of a span below `parent`, in the trace `trace_id`.
    pub(crate) fn flags(self, parent: Option<&SpanContext>, trace_id: &[u8; 16]) -> u8 {
        if let Some(parent) = parent {
            return parent.flags;
        }
        let [.., a, b, c, d, e, f, g, h] = *trace_id;
        let position = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        match self {
            Self::Always => SAMPLED,
            Self::Ratio { bound, .. } if position < bound => SAMPLED,
            Self::Ratio { .. } => 0,
        }
    }
}

/// The words that OpenTelemetry's Go library describes its samplers with.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentBased{root:")?;
        match self {
            Self::Always => f.write_str("AlwaysOnSampler")?,
            Self::Ratio { share, .. } => write!(f, "TraceIDRatioBased{{{share}}}")?,
        }
        f.write_str(
            ",remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
             localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_RATE, Sampler, rate};
    use crate::context::SpanContext;

    #[test]
    fn rates_are_read_as_upstream_reads_them() {
        for (text, expected) in [
            ("1", 1.0),
            ("0", 0.0),
            ("0.0", 0.0),
            (".5", 0.5),
            ("1e-2", 0.01),
            ("-1", -1.0),
            ("", DEFAULT_RATE),
            ("half", DEFAULT_RATE),
            (" 1", DEFAULT_RATE),
            ("50%", DEFAULT_RATE),
            ("1e999", DEFAULT_RATE),
            ("inf", f64::INFINITY),
        ] {
            assert!(
                (rate(text) - expected).abs() < 1e-12 || rate(text) == expected,
                "{text}"
            );
        }
        assert!(rate("NaN").is_nan());
    }

    #[test]
    fn the_parent_decides() {
        let parent = |flags| SpanContext {
            flags,
            ..SpanContext::NONE
        };
        assert_eq!(Sampler::Always.flags(Some(&parent(0)), &[1; 16]), 0);
        assert_eq!(Sampler::new(0.0).flags(Some(&parent(3)), &[1; 16]), 3);
    }

    #[test]
    fn the_lower_half_of_the_id_decides_without_a_parent() {
        let half = Sampler::new(0.5);
        let low = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0, 0, 0, 0, 0, 0,
        ];
        let high = [0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!((half.flags(None, &low), half.flags(None, &high)), (1, 0));
        assert_eq!(Sampler::new(f64::NAN).flags(None, &[0; 16]), 0);
    }

    #[test]
    fn descriptions_are_those_of_gos_library() {
        assert!(
            Sampler::new(0.0)
                .to_string()
                .contains("TraceIDRatioBased{0}")
        );
        assert!(
            Sampler::new(1e-4)
                .to_string()
                .contains("TraceIDRatioBased{0.0001}")
        );
        assert!(
            Sampler::new(2.0)
                .to_string()
                .starts_with("ParentBased{root:AlwaysOnSampler,")
        );
    }
}
