use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::Value;

use super::Image;
use crate::state_dir::StateDir;

/// What an archive holds, by path.
fn entries(image: &Image) -> BTreeMap<String, Vec<u8>> {
    let dir = StateDir::create("unit-image");
    let path = dir.join("image.tar");
    image.write(&path).unwrap();
    assert!(!dir.join("image.layer").exists());
    contents(&std::fs::read(&path).unwrap())
}

fn contents(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        })
        .collect()
}

fn blob<'a>(entries: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
    let content = &entries[&format!("blobs/{digest}")];
    assert_eq!(descriptor["size"], content.len());
    content
}

#[test]
fn the_index_leads_to_every_part() {
    let image = Image::named("e2e.local/x:1")
        .text("/etc/motd", "hello")
        .entrypoint(&["/x"])
        .command(&["-v"])
        .env("A", "b")
        .user("7")
        .renamed("e2e.local/y:2");
    let entries = entries(&image);
    let index: Value = serde_json::from_slice(&entries["index.json"]).unwrap();
    let descriptor = &index["manifests"][0];
    assert_eq!(
        descriptor["annotations"]["io.containerd.image.name"],
        "e2e.local/y:2"
    );
    let manifest: Value = serde_json::from_slice(blob(&entries, descriptor)).unwrap();
    let config: Value = serde_json::from_slice(blob(&entries, &manifest["config"])).unwrap();
    assert_eq!(config["config"]["Entrypoint"][0], "/x");
    assert_eq!(config["config"]["Cmd"][0], "-v");
    assert_eq!(config["config"]["Env"][0], "A=b");
    assert_eq!(config["config"]["User"], "7");
    assert_eq!(
        config["rootfs"]["diff_ids"][0],
        manifest["layers"][0]["digest"]
    );
    let layer = contents(blob(&entries, &manifest["layers"][0]));
    assert_eq!(layer["etc/motd"], b"hello");
    assert!(layer.contains_key("etc"), "{:?}", layer.keys());
}

#[test]
fn the_same_content_is_the_same_image() {
    let image =
        |text| entries(&Image::named("e2e.local/x:1").text("/a", text))["index.json"].clone();
    assert_eq!(image("one"), image("one"));
    assert_ne!(image("one"), image("two"));
}

#[test]
fn a_program_comes_with_its_libraries() {
    let image = Image::named("e2e.local/sh:1")
        .program("/bin/sh", "/sh")
        .unwrap();
    let has = |name: &str| image.entries.keys().any(|path| path.ends_with(name));
    assert!(has("sh") && has("libc.so.6"), "{:?}", image.entries.keys());
}

#[test]
fn a_missing_file_is_named() {
    let error = Image::named("e2e.local/x:1")
        .file("/no/such/file", "/x")
        .unwrap_err();
    assert!(format!("{error:#}").contains("/no/such/file"));
}
