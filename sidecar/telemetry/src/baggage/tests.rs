use http::{HeaderMap, HeaderValue};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::{BAGGAGE, Baggage};

fn of(values: &[&str]) -> Result<Option<Baggage>, String> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(BAGGAGE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    Baggage::of(&headers).map_err(|error| error.to_string())
}

fn rewritten(value: &str) -> String {
    let baggage = of(&[value]).unwrap().unwrap();
    baggage.rewritten().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn several_headers_are_one_list() {
    let baggage = of(&["key1=value1", "key2=value2"]).unwrap().unwrap();
    assert_eq!(baggage.text(), "key1=value1,key2=value2");
    assert_eq!(of(&[]).unwrap(), None);
    assert_eq!(of(&[""]).unwrap(), None);
}

#[test]
fn text_stays_as_it_came_and_the_rewritten_form_is_normal() {
    let raw = "a = 1 ;p; q = %41,b=%20x,a=2";
    assert_eq!(of(&[raw]).unwrap().unwrap().text(), raw);
    assert_eq!(rewritten(raw), "a=2,b=%20x");
    assert_eq!(rewritten("a=1;p; q = %41;"), "a=1;p;q=A");
    assert_eq!(rewritten("a=%ff"), "a=%EF%BF%BD");
    assert_eq!(rewritten("a=%25"), "a=%25");
}

#[test]
fn errors_have_the_words_of_upstreams_library() {
    for (bad, error) in [
        (
            "invalid-baggage",
            "invalid baggage list-member: \"invalid-baggage\"",
        ),
        ("=v", "invalid key: \"\""),
        ("k\u{e9}=v", "invalid key: \"k\u{e9}\""),
        ("k=v v", "invalid value: \"v v\""),
        ("k=%zz", "invalid value: invalid URL escape \"%zz\""),
        ("k=%2", "invalid value: invalid URL escape \"%2\""),
        ("k=v;=x", "invalid baggage list-member property: \"=x\""),
        ("a=1,,b=2", "invalid baggage list-member: \"\""),
        (
            "x,y",
            "invalid baggage list-member: \"x\"\ninvalid baggage list-member: \"y\"",
        ),
    ] {
        assert_eq!(
            of(&[bad]),
            Err(format!("invalid baggage header: {error}")),
            "{bad}"
        );
    }
    let seven = of(&["a,b,c,d,e,f,g"]).unwrap_err();
    assert!(seven.ends_with("\nand 2 more invalid member(s)"), "{seven}");
}

#[test]
fn size_and_number_are_limited() {
    let members: Vec<String> = (0..65).map(|n| format!("k{n}=v")).collect();
    assert!(of(&[&members[1..].join(",")]).is_ok());
    let error = of(&[&members.join(",")]).unwrap_err();
    assert_eq!(
        error,
        "invalid baggage header: too many list-members in baggage-string"
    );
    let error = of(&[&format!("k={}", "v".repeat(8191))]).unwrap_err();
    assert_eq!(
        error,
        "invalid baggage header: baggage-string too large: 8193"
    );
    // Short as it came, long when its signs are escaped.
    let growing = format!("k={}", "%ff".repeat(2000));
    assert_eq!(
        of(&[&growing]).unwrap_err(),
        "invalid baggage header: baggage-string too large"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let headers = HeaderMap::from_iter([(BAGGAGE, value)]);
            drop(Baggage::of(&headers));
        }
    }

    #[test]
    fn what_is_right_stays_right_when_rewritten(text in "[a-c%=;, 0-9A-F]{0,40}") {
        let headers = HeaderMap::from_iter([(BAGGAGE, HeaderValue::from_str(&text).unwrap())]);
        if let Ok(Some(baggage)) = Baggage::of(&headers) {
            let again = HeaderMap::from_iter([(BAGGAGE, baggage.rewritten().unwrap())]);
            prop_assert!(Baggage::of(&again).is_ok());
        }
    }
}
