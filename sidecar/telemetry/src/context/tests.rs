use http::HeaderValue;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::{SpanContext, is_state};

const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn text(value: &str) -> Option<SpanContext> {
    SpanContext::from_text(&HeaderValue::from_bytes(value.as_bytes()).unwrap())
}

#[test]
fn text_is_read_and_written() {
    let context = text(TEXT).unwrap();
    assert!(context.is_sampled());
    assert_eq!(context.to_text(), TEXT);
    assert_eq!(format!("{context:?}"), TEXT);
}

#[test]
fn later_versions_may_be_longer() {
    let later = format!("cc{}", &TEXT[2..]);
    assert_eq!(text(&later), text(TEXT));
    assert_eq!(text(&format!("{later}-what-comes")), text(TEXT));
    assert_eq!(text(&format!("{later}.what")), None);
}

#[test]
fn malformed_text_is_no_context() {
    let long = format!("{TEXT}-");
    for bad in [
        "",
        "00-zz",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473ü-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        &long,
    ] {
        assert_eq!(text(bad), None, "{bad}");
    }
}

#[test]
fn both_binary_forms_say_the_same_as_the_text() {
    let context = text(TEXT).unwrap();
    let (bare, padded) = (context.to_binary(), context.to_padded_binary());
    assert_eq!((bare.len(), padded.len()), (39, 40));
    assert_eq!(SpanContext::from_binary(&bare), Some(context));
    assert_eq!(SpanContext::from_binary(&padded), Some(context));
}

#[test]
fn a_binary_context_may_end_early_but_needs_a_trace() {
    // Version, tag and trace id only.
    let short = HeaderValue::from_static("AABL+S81d7NNpqPOkp0ODkc2");
    let context = SpanContext::from_binary(&short).unwrap();
    assert_eq!((context.span_id, context.flags), ([0; 8], 0));
    for bad in ["", "AA", "AQBL+S81d7NNpqPOkp0ODkc2", "not base64!"] {
        assert_eq!(
            SpanContext::from_binary(&HeaderValue::from_static(bad)),
            None,
            "{bad}"
        );
    }
}

#[test]
fn state_follows_the_grammar() {
    for good in [
        "a=1",
        "a=1,b=2",
        "t@s=x y",
        " a=1 , b=2",
        "a=1,,b=2",
        "1t@s=v",
    ] {
        assert!(is_state(&HeaderValue::from_static(good)), "{good}");
    }
    for bad in [
        "", ",", "a", "A=1", "a=", "a=1,a=2", "a=b=c", "1=x", "a@1=x", "a=\u{e9}",
    ] {
        assert!(
            !is_state(&HeaderValue::from_bytes(bad.as_bytes()).unwrap()),
            "{bad}"
        );
    }
    let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
    assert!(!is_state(&HeaderValue::from_str(&many.join(",")).unwrap()));
    assert!(is_state(
        &HeaderValue::from_str(&many[1..].join(",")).unwrap()
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_context_survives_every_form(trace_id in any::<[u8; 16]>(), span_id in any::<[u8; 8]>(), flags: u8) {
        let context = SpanContext { trace_id, span_id, flags };
        if context.is_valid() {
            prop_assert_eq!(SpanContext::from_text(&context.to_text()), Some(context));
            prop_assert_eq!(SpanContext::from_binary(&context.to_binary()), Some(context));
        }
    }

    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let read = SpanContext::from_text(&value);
            prop_assert_eq!(read.is_some_and(|context| !context.is_valid()), false);
            drop(SpanContext::from_binary(&value).map(|context| context.to_text()));
            is_state(&value);
        }
        SpanContext::from_bytes(&bytes);
    }

    #[test]
    fn text_that_is_nearly_right_does_not_panic(at in 0_usize..55, byte in 0x20_u8..0x7f) {
        let mut bytes = TEXT.as_bytes().to_vec();
        bytes[at] = byte;
        let read = SpanContext::from_text(&HeaderValue::from_bytes(&bytes).unwrap());
        prop_assert_eq!(read.is_some_and(|context| !context.is_valid()), false);
        bytes.truncate(at);
        prop_assert_eq!(SpanContext::from_text(&HeaderValue::from_bytes(&bytes).unwrap()), None);
    }
}
