//! What the API server asks the injector.

use serde_json::Value;
use trilby_injector::answer_as_installed;

/// A review of a pod: whatever it says, the answer is one that the API server takes.
pub(crate) fn injection(data: &[u8]) {
    let answer = answer_as_installed(data).expect("an answer can be written");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let response = &answer["response"];
    let allowed = response["allowed"].as_bool().expect("an answer decides");
    assert_eq!(allowed, response["status"].is_null());
    assert!(allowed || response["patch"].is_null());
    assert_eq!(response["patch"].is_null(), response["patchType"].is_null());
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let lengths = warnings.map(|warning| {
        let text = warning.as_str().expect("a warning is a text");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 256);
        text.len()
    });
    assert!(lengths.sum::<usize>() <= 4096);
}
