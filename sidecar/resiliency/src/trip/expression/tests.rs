use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Result<Value, NoValue> {
    let lookup = |name: &str| match name {
        "zero" => Some(0),
        "seven" => Some(7),
        "most" => Some(i64::MAX),
        _ => None,
    };
    Expression::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .evaluate(&lookup)
}

fn holds(text: &str) -> bool {
    value(text) == Ok(Value::Bool(true))
}

#[test]
fn precedence_is_that_of_cel() {
    for text in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "10 - 3 - 2 == 5",
        "100 / 10 / 5 == 2",
        "17 % 10 == 7",
        "true || false && false",
        "!false && true",
        "1 < 2 == true",
        "- 3 + 5 == 2",
        "1 > 2 ? false : 2 > 1 ? true : false",
        "false ? true : true || false",
        "\tseven\n> 6",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn every_comparison_compares() {
    for text in ["1 < 2", "2 <= 2", "2 > 1", "2 >= 2", "2 == 2", "1 != 2"] {
        assert!(holds(text), "{text}");
    }
    for text in ["2 < 2", "3 <= 2", "2 > 2", "1 >= 2", "1 == 2", "2 != 2"] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn whole_numbers_divide_toward_zero_and_others_exactly() {
    assert_eq!(value("7 / 2"), Ok(Value::Int(3)));
    assert_eq!(value("-7 / 2"), Ok(Value::Int(-3)));
    assert_eq!(value("double(7) / 2.0"), Ok(Value::Double(3.5)));
    assert_eq!(value("int(3.9)"), Ok(Value::Int(3)));
}

#[test]
fn numbers_are_read_in_every_form() {
    assert_eq!(value("0x1F"), Ok(Value::Int(31)));
    assert_eq!(value("5u"), Ok(Value::Int(5)));
    assert_eq!(value("1.5e1"), Ok(Value::Double(15.0)));
    assert_eq!(value(".5"), Ok(Value::Double(0.5)));
    assert_eq!(value("2e-1"), Ok(Value::Double(0.2)));
}

#[test]
fn numbers_of_both_kinds_are_compared_and_not_added() {
    assert!(holds("seven > 6.5"));
    assert!(holds("6.5 < seven"));
    assert_eq!(value("seven + 1.0"), Err(NoValue::Types("+")));
}

#[test]
fn what_has_no_result_is_an_error_and_no_panic() {
    assert_eq!(value("1 / zero"), Err(NoValue::Arithmetic("/")));
    assert_eq!(value("1 % zero"), Err(NoValue::Arithmetic("%")));
    assert_eq!(value("most + 1"), Err(NoValue::Arithmetic("+")));
    assert_eq!(value("most * most"), Err(NoValue::Arithmetic("*")));
    assert_eq!(value("-(-most - 1)"), Err(NoValue::Arithmetic("-")));
    assert_eq!(value("(-most - 1) / -1"), Err(NoValue::Arithmetic("/")));
    assert_eq!(value("int(1e300)"), Err(NoValue::Arithmetic("int")));
    assert_eq!(value("nine"), Err(NoValue::Unknown("nine".into())));
    assert_eq!(value("!seven"), Err(NoValue::Types("!")));
    assert_eq!(value("seven ? 1 : 2"), Err(NoValue::Types("?")));
    assert_eq!(value("true + true"), Err(NoValue::Types("+")));
}

#[test]
fn a_side_that_decides_makes_up_for_one_without_value() {
    assert!(holds("nine > 1 || true"));
    assert!(holds("true || 1 / zero > 0"));
    assert_eq!(value("nine > 1 && false"), Ok(Value::Bool(false)));
    assert_eq!(
        value("nine > 1 && true"),
        Err(NoValue::Unknown("nine".into()))
    );
}

#[test]
fn mistakes_are_placed() {
    let error = |text| Expression::parse(text).unwrap_err();
    assert_eq!(
        error("1 +"),
        "at character 4: expected a number, a name or a bracket, found the end"
    );
    assert_eq!(error("1 2"), "at character 3: expected the end, found '2'");
    assert_eq!(error("(1"), "at character 3: expected \")\", found the end");
    assert_eq!(
        error("1 > 'a'"),
        "at character 5: expected a number, a name or a bracket, found '\\''"
    );
    assert_eq!(error("12x"), "at character 1: \"12x\" is no number");
    assert_eq!(
        error("99999999999999999999"),
        "at character 1: \"99999999999999999999\" is no number"
    );
    assert!(error("size(1)").contains("\"size\""));
    assert!(error(&"(".repeat(1000)).contains("nested more than"));
}

#[test]
fn long_texts_of_every_shape_are_refused_or_evaluated() {
    let length = 1024;
    for text in [
        "!".repeat(length),
        "-".repeat(length),
        "1?1:".repeat(length / 4),
        "(".repeat(length),
        format!("1{}", "+1".repeat(length / 2 - 1)),
        format!("true{}", "&&true".repeat(length / 6 - 1)),
    ] {
        if let Ok(expression) = Expression::parse(&text) {
            assert!(expression.evaluate(&|_| None).is_ok(), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ -~é]{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            drop(expression.evaluate(&|_| Some(3)));
        }
    }

    #[test]
    fn no_expression_panics(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "1", "0", "a", "true", "1.5", "+", "-", "*", "/", "%", "<", "==", "&&", "||", "!", "(", ")", "?", ":",
                "int(", "double(", " ",
            ]),
            0..40,
        ),
        number in any::<i64>(),
    ) {
        if let Ok(expression) = Expression::parse(&parts.concat()) {
            drop(expression.evaluate(&|_| Some(number)));
        }
    }

    #[test]
    fn arithmetic_is_that_of_whole_numbers(a in -1000i64..1000, b in -1000i64..1000, c in 1i64..50) {
        let lookup = |name: &str| Some(match name { "a" => a, "b" => b, _ => c });
        let value = Expression::parse("(a + b * c) / c - a % c").unwrap().evaluate(&lookup);
        prop_assert_eq!(value, Ok(Value::Int((a + b * c) / c - a % c)));
    }
}
