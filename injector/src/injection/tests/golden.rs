//! Whole patches, kept beside the pods they are for: `tests/golden/<case>/{pod,patch}.json`. To write the patches anew
//! after an intended change, run the test with `GOLDEN=write` and review the difference.

use super::*;

#[test]
fn patches_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 6, "cases are missing");
    for case in cases {
        check(&case);
    }
}

fn check(case: &Path) {
    let pod: Value = serde_json::from_slice(&fs::read(case.join("pod.json")).unwrap()).unwrap();
    let patch = to_value(injected(&pod, &testing::cluster()).operations).unwrap();
    let file = case.join("patch.json");
    if env::var("GOLDEN").is_ok_and(|value| value == "write") {
        let text = serde_json::to_string_pretty(&patch).unwrap();
        fs::write(&file, text + "\n").unwrap();
    }
    let recorded: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(patch, recorded, "{}", case.display());
}
