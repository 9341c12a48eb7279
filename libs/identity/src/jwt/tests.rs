use super::*;
use crate::testing::jwt;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn read(base: Option<&str>, single: &[(&str, &str)]) -> Result<JwtSvids, JwtError> {
    let tokens = Tokens {
        base: base.map(str::to_owned),
        per_audience: single
            .iter()
            .map(|&(a, t)| (a.to_owned(), t.to_owned()))
            .collect(),
    };
    JwtSvids::read(&tokens, "public", now())
}

fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((1_000_000 + seconds).unsigned_abs())
}

#[test]
fn an_audience_gets_its_own_token_before_the_one_for_all() {
    let (base, own) = (jwt(&["public", "a", "b"], at(600)), jwt(&["a"], at(60)));
    let all = read(Some(&base), &[("a", &own)]).unwrap();
    assert_eq!(all.fetch("a").unwrap().token(), own);
    assert_eq!(all.fetch("b").unwrap().token(), base);
    assert_eq!(all.fetch("b").unwrap().audiences(), ["public", "a", "b"]);
    assert_eq!(all.len(), 2);
}

#[test]
fn without_a_token_for_the_audience_the_reason_is_upstreams() {
    let base = jwt(&["public", "a"], at(600));
    let all = read(Some(&base), &[]).unwrap();
    let text = |audience| all.fetch(audience).unwrap_err().to_string();
    assert_eq!(text(""), "JWT audience is required");
    assert_eq!(
        text("c"),
        "JWT SVID has different audiences than requested: expected c, got public, a"
    );
    let none = read(None, &[]).unwrap();
    assert_eq!(
        none.fetch("a").unwrap_err().to_string(),
        "no JWT SVID available"
    );
    assert!(none.is_empty());
    assert!(read(Some(""), &[]).unwrap().is_empty());
}

#[test]
fn the_base_token_is_for_the_trust_domain_too_and_others_for_their_audience_alone() {
    let class = |result: Result<JwtSvids, JwtError>| result.unwrap_err().class();
    assert_eq!(class(read(Some(&jwt(&["a"], at(600))), &[])), "jwt_aud");
    assert_eq!(class(read(Some(&jwt(&[], at(600))), &[])), "jwt_aud");
    let two = jwt(&["a", "b"], at(600));
    assert_eq!(class(read(None, &[("a", &two)])), "jwt_aud");
    assert_eq!(
        class(read(None, &[("b", &jwt(&["a"], at(600)))])),
        "jwt_aud"
    );
}

#[test]
fn what_is_no_token_of_now_is_refused_without_being_repeated() {
    let old = jwt(&["public"], at(-301));
    for token in ["x", "a.b", "a.!.c", "a.e30.c", "a.b.c.d", &old] {
        let error = read(Some(token), &[]).unwrap_err();
        assert_eq!(error.class(), "jwt_parse", "{token}");
        assert!(
            token.len() < 4 || !error.to_string().contains(token),
            "{error}"
        );
    }
    // Within the skew.
    read(Some(&jwt(&["public"], at(-299))), &[]).unwrap();
}

#[test]
fn the_first_to_expire_decides_also_among_tokens_for_one_audience() {
    let all = read(
        Some(&jwt(&["public"], at(600))),
        &[("a", &jwt(&["a"], at(60))), ("b", &jwt(&["b"], at(300)))],
    );
    assert_eq!(all.unwrap().expiry(), Some(at(60)));
}

#[test]
fn times_out_of_range_are_no_panic() {
    for seconds in [f64::NAN, f64::INFINITY, -1e300, 1e300] {
        assert!(time(seconds) + SKEW > SystemTime::UNIX_EPOCH);
    }
}

#[test]
fn debug_shows_no_token() {
    let token = jwt(&["public"], at(600));
    let all = read(Some(&token), &[]).unwrap();
    let tokens = Tokens {
        base: Some(token.clone()),
        ..Tokens::default()
    };
    assert!(!format!("{all:?} {tokens:?}").contains(&token));
}
