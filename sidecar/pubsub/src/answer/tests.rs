use super::*;

#[derive(Debug, PartialEq)]
enum Kind {
    Success,
    Retry,
    Drop,
}
use Kind::{Drop, Retry, Success};

fn kind(verdict: &Verdict) -> Kind {
    match verdict {
        Verdict::Success => Success,
        Verdict::Retry(_) => Retry,
        Verdict::Drop(_) => Drop,
    }
}

#[test]
fn answers_over_http() {
    for (status, body, expected) in [
        (200, "", Success),
        (204, "", Success),
        (200, r#"{"status":"SUCCESS"}"#, Success),
        (200, r#"{"status":""}"#, Success),
        (200, r#"{"status":null}"#, Success),
        (200, r#"{"status":5}"#, Success),
        (200, r#"{"other":"RETRY"}"#, Success),
        (200, "OK", Success),
        (200, "[1]", Success),
        (200, "\u{0}", Success),
        (200, r#"{"status":"RETRY"}"#, Retry),
        (200, r#"{"Status":"RETRY"} and more"#, Retry),
        (200, r#"{"status":"retry"}"#, Retry),
        (299, r#"{"status":"DROP"}"#, Drop),
        (404, "", Drop),
        (404, r#"{"status":"RETRY"}"#, Drop),
        (500, r#"{"status":"SUCCESS"}"#, Retry),
        (301, "", Retry),
        (100, "", Retry),
        (429, "", Retry),
    ] {
        assert_eq!(
            kind(&of_http(status, body.as_bytes())),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn answers_over_grpc() {
    for (status, expected) in [(0, Success), (1, Retry), (2, Drop), (3, Retry), (-1, Retry)] {
        assert_eq!(kind(&of_grpc(Ok(status))), expected, "{status}");
    }
    for (code, expected) in [(12, Drop), (5, Retry), (14, Retry), (2, Retry)] {
        let failure = GrpcFailure {
            code,
            message: "no",
        };
        assert_eq!(kind(&of_grpc(Err(failure))), expected, "{code}");
    }
}

#[test]
fn what_the_app_does_not_know_is_dropped_over_either_transport() {
    let grpc = of_grpc(Err(GrpcFailure {
        code: 12,
        message: "",
    }));
    assert_eq!(kind(&grpc), kind(&of_http(404, b"")));
}

#[test]
fn several_answers_over_http() {
    let kinds = |status, body: &str| -> Vec<Kind> {
        let verdicts = bulk_of_http(status, body.as_bytes(), &["a", "b", "c", "d", "e"]);
        verdicts.iter().map(kind).collect()
    };
    let body = r#"{"statuses":[{"entryId":"b","status":"DROP"},{"entryId":"a","status":"SUCCESS"},
        {"entryId":"c","status":""},{"entryId":"x","status":"SUCCESS"},{"entryId":"e","status":"odd"},null]}"#;
    assert_eq!(kinds(200, body), [Success, Drop, Retry, Retry, Retry]);
    for body in [
        "",
        "OK",
        "{}",
        r#"{"statuses":null}"#,
        r#"{"statuses":[1]}"#,
    ] {
        assert_eq!(
            kinds(200, body),
            [Retry, Retry, Retry, Retry, Retry],
            "{body}"
        );
    }
    assert_eq!(kinds(404, body), [Drop, Drop, Drop, Drop, Drop]);
    assert_eq!(kinds(500, body), [Retry, Retry, Retry, Retry, Retry]);
}

#[test]
fn several_answers_over_grpc() {
    let kinds = |answer| -> Vec<Kind> {
        let verdicts = bulk_of_grpc(answer, &["a", "b", "c"]);
        verdicts.iter().map(kind).collect()
    };
    assert_eq!(
        kinds(Ok(&[("b", 2), ("a", 0), ("x", 0)])),
        [Success, Drop, Retry]
    );
    let failure = |code| Err(GrpcFailure { code, message: "" });
    assert_eq!(kinds(failure(12)), [Drop, Drop, Drop]);
    assert_eq!(kinds(failure(14)), [Retry, Retry, Retry]);
}

#[test]
fn long_answers_are_told_in_part() {
    let Verdict::Retry(reason) = of_http(500, &[0xff; 100_000]) else {
        panic!("an error comes again");
    };
    assert!(reason.len() < 2000, "{}", reason.len());
}
