use std::fs;

use tempfile::TempDir;

use super::{Found, Manifests};
use crate::kind::{Kind, metadata_of};

struct Folder {
    directory: TempDir,
    manifests: Manifests,
}

impl Folder {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let manifests = Manifests::new(vec![directory.path().to_owned()], None);
        Self {
            directory,
            manifests,
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.path().join(file), text).unwrap();
    }

    /// The components.
    fn names(&mut self) -> Result<Vec<String>, String> {
        let found = self.manifests.read()?;
        Ok(names(&found, Kind::Component))
    }

    fn names_of(&mut self, kind: Kind) -> Vec<String> {
        names(&self.manifests.read().unwrap(), kind)
    }
}

fn names(found: &Found, kind: Kind) -> Vec<String> {
    let all = found.get(&kind).into_iter().flatten();
    all.map(|json| metadata_of(json).unwrap().name).collect()
}

fn component(name: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: state.in-memory\n"
    )
}

#[test]
fn components_are_read_in_the_order_of_files_and_documents() {
    let mut folder = Folder::new();
    folder.write("b.yml", &component("third"));
    folder.write(
        "a.YAML",
        &format!("{}---\n{}", component("first"), component("second")),
    );
    folder.write("notes.txt", &component("not-yaml"));
    fs::create_dir(folder.directory.path().join("c.yaml")).unwrap();
    assert_eq!(folder.names().unwrap(), ["first", "second", "third"]);
}

#[test]
fn every_kind_is_read_and_others_are_left_out() {
    let mut folder = Folder::new();
    let of = |kind: &str, version: &str| {
        format!("apiVersion: dapr.io/{version}\nkind: {kind}\nmetadata:\n  name: x\n---\n")
    };
    let text: String = [
        of("Resiliency", "v1alpha1"),
        of("HTTPEndpoint", "v1alpha1"),
        of("Subscription", "v2alpha1"),
        of("MCPServer", "v1alpha1"),
        of("WorkflowAccessPolicy", "v1alpha1"),
        of("Configuration", "v1alpha1"),
        of("Component", "v9"),
    ]
    .concat();
    folder.write("a.yaml", &text);
    let found = folder.manifests.read().unwrap();
    let kinds: Vec<&str> = found.keys().map(|kind| kind.name()).collect();
    assert_eq!(
        kinds,
        [
            "Resiliency",
            "HTTPEndpoint",
            "Subscription",
            "MCPServer",
            "WorkflowAccessPolicy"
        ]
    );
    assert_eq!(folder.manifests.problems(), []);
}

#[test]
fn a_resiliency_that_is_not_the_first_document_of_its_file_counts() {
    let mut folder = Folder::new();
    let resiliency = component("second").replace("Component", "Resiliency");
    folder.write(
        "a.yaml",
        &format!("{}---\n{resiliency}", component("first")),
    );
    assert_eq!(folder.names_of(Kind::Resiliency), ["second"]);
}

#[test]
fn a_large_document_is_read() {
    let mut folder = Folder::new();
    let large = component("x") + "  metadata:\n  - name: a\n    value: " + &"y".repeat(200_000);
    folder.write("a.yaml", &large);
    assert_eq!(folder.names().unwrap(), ["x"]);
}

#[test]
fn a_document_that_cannot_be_read_is_named_by_file_and_place() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &format!("{}---\nkind: [\n", component("x")));
    folder.write(
        "b.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {}\n",
    );
    assert_eq!(folder.names().unwrap(), ["x"]);
    let problems = folder.manifests.problems();
    let path = |file: &str| folder.directory.path().join(file).display().to_string();
    assert_eq!(problems[0].0, format!("{}#2", path("a.yaml")));
    assert_eq!(
        problems[1],
        (
            format!("{}#1", path("b.yaml")),
            "a Component without a name (metadata.name)".to_owned()
        )
    );
    assert_eq!(folder.manifests.take_failures(), 2);
    folder.names().unwrap();
    assert_eq!(folder.manifests.take_failures(), 0);
    folder.write("a.yaml", &component("x"));
    folder.write("b.yaml", &component("z"));
    folder.names().unwrap();
    assert_eq!(folder.manifests.problems(), []);
}

#[test]
fn one_name_in_two_namespaces_is_no_duplicate() {
    let mut folder = Folder::new();
    folder.manifests.namespace = Some("shop".to_owned());
    let elsewhere = component("x").replace("name: x", "name: x\n  namespace: bank");
    folder.write("a.yaml", &elsewhere);
    folder.write("b.yaml", &component("x"));
    assert_eq!(folder.names().unwrap(), ["x"]);
}

#[test]
fn a_missing_directory_is_named() {
    let error = Manifests::new(vec!["/nowhere".into()], None)
        .read()
        .unwrap_err();
    assert!(error.starts_with("/nowhere: "), "{error}");
}

#[test]
fn a_name_may_be_a_number() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &component("123"));
    assert_eq!(folder.names().unwrap(), ["123"]);
}

#[test]
fn one_name_twice_is_refused() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &component("x"));
    folder.write("b.yaml", &component("x"));
    assert_eq!(
        folder.names().unwrap_err(),
        "duplicate definition of Component name x (state.in-memory/) with existing x (state.in-memory/)"
    );
}

#[test]
fn files_that_come_change_and_go_are_seen() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &component("x"));
    folder.names().unwrap();
    assert!(!folder.manifests.look());
    folder.write("b.yaml", &component("long-name"));
    assert!(folder.manifests.look());
    assert_eq!(folder.names().unwrap(), ["x", "long-name"]);
    fs::remove_file(folder.directory.path().join("a.yaml")).unwrap();
    assert!(folder.manifests.look());
    assert_eq!(folder.names().unwrap(), ["long-name"]);
}

#[test]
fn a_broken_document_leaves_what_the_file_said_in_force() {
    let mut folder = Folder::new();
    folder.write(
        "a.yaml",
        &format!("{}---\n{}", component("x"), component("other")),
    );
    assert_eq!(folder.names().unwrap(), ["x", "other"]);
    folder.write("a.yaml", &format!("{}---\nmetadata: [\n", component("x")));
    assert_eq!(folder.names().unwrap(), ["x", "other"]);
    folder.write("a.yaml", &component("x"));
    assert_eq!(folder.names().unwrap(), ["x"]);
}
