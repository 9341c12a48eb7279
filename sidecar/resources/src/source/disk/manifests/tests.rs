use std::fs;

use tempfile::TempDir;

use super::Manifests;
use crate::manifest::Received;

struct Folder {
    directory: TempDir,
    manifests: Manifests,
}

impl Folder {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let manifests = Manifests::new(vec![directory.path().to_owned()]);
        Self {
            directory,
            manifests,
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.path().join(file), text).unwrap();
    }

    fn names(&mut self) -> Result<Vec<String>, String> {
        let all = self.manifests.read()?;
        Ok(all.iter().map(|one| one.name().to_owned()).collect())
    }
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
fn other_kinds_and_versions_are_left_out() {
    let mut folder = Folder::new();
    let text = component("x").replace("Component", "Subscription");
    folder.write("a.yaml", &text);
    folder.write("b.yaml", &component("y").replace("v1alpha1", "v9"));
    folder.write(
        "c.yaml",
        &component("z").replace("Component", "Configuration"),
    );
    assert_eq!(folder.names().unwrap(), [""; 0]);
    assert_eq!(folder.manifests.warned.len(), 1);
    let warning = folder.manifests.warned.iter().next().unwrap();
    assert!(
        warning.contains("Subscription \"x\" has no effect"),
        "{warning}"
    );
}

#[test]
fn a_missing_directory_is_named() {
    let error = Manifests::new(vec!["/nowhere".into()]).read().unwrap_err();
    assert!(error.starts_with("/nowhere: "), "{error}");
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
    assert_eq!(folder.manifests.look(), None);
    folder.write("b.yaml", &component("long-name"));
    assert_eq!(folder.manifests.look(), Some(()));
    assert_eq!(folder.names().unwrap(), ["x", "long-name"]);
    fs::remove_file(folder.directory.path().join("a.yaml")).unwrap();
    assert_eq!(folder.manifests.look(), Some(()));
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

#[test]
fn a_document_that_is_no_component_is_broken_under_its_name() {
    let mut folder = Folder::new();
    let text = component("x") + "  metadata: nothing\n";
    folder.write("a.yaml", &text);
    let all = folder.manifests.read().unwrap();
    assert!(
        matches!(&all[..], [Received::Broken { name, .. }] if name == "x"),
        "{all:?}"
    );
}
