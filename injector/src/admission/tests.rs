use base64::{Engine, engine::general_purpose::STANDARD};
use prometheus::Registry;
use serde_json::{Value, from_slice, json};

use super::{Admission, Now};
use crate::{
    injection::{Declarations, testing::cluster},
    metrics::Metrics,
    news::{Notice, Outcome},
    requester::Requesters,
    telling::{Queue, Telling},
};

struct Fixture {
    admission: Admission,
    queue: Queue,
    components: Declarations,
    registry: Registry,
}

impl Fixture {
    fn new() -> Self {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let requesters = Requesters::new("ci:deployer").unwrap();
        let (telling, queue) = Telling::new(&metrics);
        let admission = Admission::new(requesters, cluster(), (metrics, telling));
        Self {
            admission,
            queue,
            components: Declarations::default(),
            registry,
        }
    }

    fn answer(&self, body: &[u8]) -> Value {
        let now = Now {
            trust_anchors: "PEM",
            mtls: true,
            components: &self.components,
            native_sidecars: true,
        };
        from_slice(&self.admission.answer(body, now).unwrap()).unwrap()
    }

    /// What was told since the last time.
    fn told(&mut self) -> Vec<Notice> {
        self.queue.waiting()
    }

    fn review(&self, review: &Value) -> Value {
        self.answer(review.to_string().as_bytes())
    }

    /// Value of a counter with these labels.
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| {
            family.name() == format!("dapr_injector_sidecar_injection_{name}_total")
        });
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .filter(|metric| {
                let found = |(name, value): &(&str, &str)| {
                    metric
                        .get_label()
                        .iter()
                        .any(|label| label.name() == *name && label.value() == *value)
                };
                labels.iter().all(found)
            })
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": object,
        },
    })
}

fn pod(annotations: &Value) -> Value {
    json!({
        "metadata": {"generateName": "checkout-", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
}

#[test]
fn an_annotated_pod_is_patched() {
    let fixture = Fixture::new();
    let pod = pod(&json!({"dapr.io/enabled": "true", "dapr.io/app-id": "checkout"}));
    let answer = fixture.review(&review(&pod));
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert!(answer.get("request").is_none());
    let response = &answer["response"];
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    assert!(response.get("status").is_none() && response.get("warnings").is_none());
    let patch = STANDARD
        .decode(response["patch"].as_str().unwrap())
        .unwrap();
    let operations: Vec<Value> = from_slice(&patch).unwrap();
    assert!(operations.iter().any(|operation| {
        operation["path"] == "/spec/containers/-" && operation["value"]["name"] == "daprd"
    }));
    assert_eq!(fixture.count("succeeded", &[("app_id", "checkout")]), 1.0);
}

#[test]
fn pods_that_do_not_ask_are_left_alone_in_silence() {
    let fixture = Fixture::new();
    for annotations in [json!(null), json!({}), json!({"dapr.io/enabled": "False"})] {
        let answer = fixture.review(&review(&pod(&annotations)));
        assert_eq!(
            answer["response"],
            json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true})
        );
    }
    assert_eq!(fixture.count("failed", &[]), 0.0);
    assert_eq!(fixture.count("succeeded", &[]), 0.0);
}

#[test]
fn a_misspelled_wish_is_told() {
    let answer = Fixture::new().review(&review(&pod(&json!({"dapr.io/enabled": "ture"}))));
    assert_eq!(answer["response"]["allowed"], true);
    let warning = answer["response"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("\"ture\" is neither true nor false"),
        "{warning}"
    );
}

#[test]
fn one_word_asks_and_other_words_for_yes_are_told() {
    let fixture = Fixture::new();
    let answer = |word: &str| {
        let pod = pod(&json!({"dapr.io/enabled": word, "dapr.io/app-id": "a"}));
        fixture.review(&review(&pod))["response"].clone()
    };
    for word in ["true", "TRUE"] {
        assert_eq!(answer(word)["patchType"], "JSONPatch", "{word}");
    }
    for word in ["yes", "1", "on", " true"] {
        let response = answer(word);
        assert!(response.get("patch").is_none(), "{word}");
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.contains("only \"true\" does"), "{warning}");
        let audit = &response["auditAnnotations"]["passed-over"];
        assert_eq!(audit, &response["warnings"][0]);
    }
}

#[test]
fn an_unauthorised_requester_gets_the_pod_without_sidecar_and_is_told() {
    let fixture = Fixture::new();
    let mut review = review(&pod(
        &json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"}),
    ));
    review["request"]["userInfo"] = json!({"username": "alice", "groups": ["dev"]});
    let response = &fixture.review(&review)["response"];
    assert_eq!(response["allowed"], true);
    assert!(response.get("patch").is_none());
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("alice is not allowed"), "{warning}");
    assert!(warning.len() <= 256);
    let labels = [("app_id", "a"), ("reason", "pod_patch")];
    assert_eq!(fixture.count("failed", &labels), 1.0);
}

#[test]
fn listed_accounts_and_administrators_are_authorised() {
    let fixture = Fixture::new();
    for user in [
        json!({"username": "system:serviceaccount:ci:deployer"}),
        json!({"username": "root", "groups": ["system:masters"]}),
    ] {
        let mut review = review(&pod(
            &json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"}),
        ));
        review["request"]["userInfo"] = user;
        assert_eq!(
            fixture.review(&review)["response"]["patchType"],
            "JSONPatch"
        );
    }
}

#[test]
fn a_pod_without_app_id_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    let response = &fixture.review(&review(&pod(&json!({"dapr.io/enabled": "true"}))))["response"];
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["metadata"], json!({}));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("value for the dapr.io/app-id annotation is empty"),
        "{message}"
    );
    assert!(response["warnings"][0].as_str().unwrap().contains("app-id"));
    assert_eq!(fixture.count("failed", &[("reason", "patch")]), 1.0);
}

#[test]
fn bad_numbers_are_admitted_with_a_warning() {
    let annotations = json!({
        "dapr.io/enabled": "true", "dapr.io/app-id": "a", "dapr.io/app-port": "eighty",
    });
    let response = &Fixture::new().review(&review(&pod(&annotations)))["response"];
    assert_eq!(response["allowed"], true);
    assert_eq!(
        response["warnings"],
        json!(["dapr.io/app-port: \"eighty\" is not a number it can take; ignored"])
    );
}

#[test]
fn other_kinds_are_allowed_and_counted() {
    let fixture = Fixture::new();
    let mut review = review(&json!({}));
    review["request"]["kind"]["kind"] = json!("Deployment");
    let response = &fixture.review(&review)["response"];
    assert_eq!(response["allowed"], true);
    assert_eq!(fixture.count("failed", &[("reason", "pod_patch")]), 1.0);
}

#[test]
fn what_is_no_review_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    let answer = fixture.answer(b"{\"request\": 7}");
    assert_eq!(answer["response"]["uid"], "");
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("invalid type"), "{message}");
    assert!(answer.get("kind").is_none());
}

#[test]
fn a_review_without_request_is_refused() {
    let answer = Fixture::new().review(&json!({
        "apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": null,
    }));
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1beta1");
    assert_eq!(answer["response"]["allowed"], false);
    assert_eq!(
        answer["response"]["status"]["message"],
        "the review holds no request"
    );
}

#[test]
fn an_undecodable_pod_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    for object in [
        json!(null),
        json!("pod"),
        json!({"spec": {"containers": 1}}),
    ] {
        let response = &fixture.review(&review(&object))["response"];
        assert_eq!(response["allowed"], false, "{object}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("could not unmarshal raw object: "),
            "{message}"
        );
    }
}

#[test]
fn long_warnings_are_cut_to_one_line_that_the_api_server_keeps() {
    let value = format!("1\n{}", "x".repeat(400));
    let annotations = json!({
        "dapr.io/enabled": "true", "dapr.io/app-id": "a", "dapr.io/log-level": value,
    });
    let response = &Fixture::new().review(&review(&pod(&annotations)))["response"];
    let warning = response["warnings"][0].as_str().unwrap();
    assert_eq!(warning.chars().count(), 256);
    assert!(!warning.contains('\n'));
}

#[test]
fn what_is_not_as_its_author_may_think_is_told_on_the_owner_but_not_of_a_dry_run() {
    let mut fixture = Fixture::new();
    let mut asking = pod(&json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"}));
    asking["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout", "uid": "7", "controller": true,
    }]);
    let mut outcome = |object: &Value, changes: &dyn Fn(&mut Value)| {
        let mut review = review(object);
        changes(&mut review["request"]);
        fixture.review(&review);
        let told = fixture.told();
        let outcomes: Vec<_> = told.iter().map(|notice| notice.outcome).collect();
        let owners = told.into_iter().map(|notice| notice.regarding.name);
        assert!(owners.flatten().all(|owner| owner == "checkout"));
        outcomes
    };
    let unlisted = |request: &mut Value| request["userInfo"]["username"] = json!("alice");
    let dry = |request: &mut Value| {
        request["userInfo"]["username"] = json!("alice");
        request["dryRun"] = json!(true);
    };
    assert_eq!(outcome(&asking, &|_| {}), []);
    assert_eq!(outcome(&asking, &unlisted), [Outcome::PassedOver]);
    assert_eq!(outcome(&asking, &dry), []);
    let mut odd = asking.clone();
    odd["metadata"]["annotations"]["dapr.io/app-prot"] = json!("1");
    assert_eq!(outcome(&odd, &|_| {}), [Outcome::Warned]);
    let mut bad = asking.clone();
    bad["metadata"]["annotations"]["dapr.io/app-id"] = json!("Not_Valid");
    assert_eq!(outcome(&bad, &|_| {}), [Outcome::Refused]);
}

#[test]
fn unknown_components_refuse_only_the_pods_that_ask_for_them() {
    let mut fixture = Fixture::new();
    fixture.components = Declarations::unknown("no rights");
    let mut annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"});
    let answer = fixture.review(&review(&pod(&annotations)));
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    annotations["dapr.io/inject-pluggable-components"] = json!("true");
    let response = &fixture.review(&review(&pod(&annotations)))["response"];
    let reason = "error when fetching components: no rights";
    assert_eq!(response["status"]["message"], reason);
    let audit = &response["auditAnnotations"]["refused"];
    assert_eq!(audit, &format!("dapr: {reason}"));
}

#[test]
fn more_warnings_than_the_api_server_hands_on_end_with_a_word_about_it() {
    let mut annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"});
    for number in 0..200 {
        annotations[format!("dapr.io/{}-{number}", "x".repeat(50))] = json!("");
    }
    let response = &Fixture::new().review(&review(&pod(&annotations)))["response"];
    let warnings: Vec<&str> = response["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w.as_str().unwrap())
        .collect();
    assert!(warnings.iter().map(|warning| warning.len()).sum::<usize>() <= 4096);
    assert!(warnings.last().unwrap().contains("more warnings"));
    let audit = response["auditAnnotations"]["warnings"].as_str().unwrap();
    assert!(audit.len() <= 4096);
}

#[test]
fn a_review_that_is_cut_off_anywhere_is_refused() {
    let fixture = Fixture::new();
    let pod = pod(&json!({"dapr.io/enabled": "true", "dapr.io/app-id": "a"}));
    let whole = review(&pod).to_string();
    for end in 1..whole.len() {
        let answer = fixture.answer(&whole.as_bytes()[..end]);
        assert_eq!(answer["response"]["allowed"], false, "{}", &whole[..end]);
        assert!(answer["response"]["status"]["message"].is_string());
    }
    assert_eq!(
        fixture.answer(whole.as_bytes())["response"]["allowed"],
        true
    );
}

#[test]
fn deeply_nested_reviews_are_refused_and_do_not_end_the_process() {
    let fixture = Fixture::new();
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let answer = fixture.answer(deep(100_000).as_bytes());
    assert_eq!(answer["response"]["allowed"], false);
    let object = format!("{{\"metadata\": {{\"annotations\": {}}}}}", deep(100_000));
    let body = review(&json!("OBJECT"))
        .to_string()
        .replace("\"OBJECT\"", &object);
    let answer = fixture.answer(body.as_bytes());
    assert_eq!(answer["response"]["allowed"], false);
}
