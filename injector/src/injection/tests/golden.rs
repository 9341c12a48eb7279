//! The corpus: pods with what an injection makes of them, in `tests/golden`.
//!
//! A case of `<area>.json` is the usual pod with annotations, parts of a spec, or settings of the installation as the
//! environment says them. `<area>.txt` has, for each, what differs from an injection into the usual pod: a line for each
//! argument, variable, field or operation, and the warnings. To write the files anew after an intended change, run the
//! test with `GOLDEN=write`, and review the difference. `GOLDEN_EXPORT=<file>` writes all pods, settings and patches there,
//! a line of JSON for each, for comparison with another injector.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use serde::Deserialize;

use super::*;
use crate::settings::Settings;

const AREAS: [&str; 7] = [
    "api",
    "app",
    "components",
    "container",
    "control_plane",
    "ours",
    "pods",
];
/// Cases that there are at least.
const ENOUGH: usize = 150;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Beside those that ask for a sidecar.
    #[serde(default)]
    annotations: Map<String, Value>,
    /// Instead of all others.
    annotations_raw: Option<Value>,
    labels: Option<Value>,
    podname: Option<String>,
    /// On top of one container.
    #[serde(default)]
    spec: Map<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    scheduler: bool,
    #[serde(default = "yes")]
    mtls: bool,
    #[serde(default)]
    components: Vec<ComponentCase>,
}

/// A Component that declares a container.
#[derive(Deserialize)]
struct ComponentCase {
    name: String,
    container: String,
    #[serde(default)]
    scopes: Vec<String>,
}

fn yes() -> bool {
    true
}

#[test]
fn injections_are_as_recorded() {
    let usual = lines(&Case::usual());
    let (mut count, mut exported) = (0, String::new());
    for area in AREAS {
        let cases: Vec<Case> =
            serde_json::from_slice(&fs::read(file(area, "json")).unwrap()).unwrap();
        count += cases.len();
        let mut recorded = String::new();
        for case in &cases {
            writeln!(recorded, "== {}", case.name).unwrap();
            recorded.push_str(&difference(&usual, &lines(case)));
            writeln!(exported, "{}", case.export(area)).unwrap();
        }
        compare(&file(area, "txt"), &recorded);
    }
    assert!(count >= ENOUGH, "only {count} cases");
    let mut base = usual.join("\n");
    base.push('\n');
    compare(&file("usual", "txt"), &base);
    if let Ok(path) = env::var("GOLDEN_EXPORT") {
        fs::write(path, exported).unwrap();
    }
}

fn file(name: &str, extension: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(name).with_extension(extension)
}

fn compare(file: &Path, found: &str) {
    if env::var("GOLDEN").is_ok_and(|value| value == "write") {
        fs::write(file, found).unwrap();
    }
    let recorded = fs::read_to_string(file).unwrap_or_default();
    for (line, (recorded, found)) in recorded.lines().zip(found.lines()).enumerate() {
        assert_eq!(recorded, found, "{}:{}", file.display(), line + 1);
    }
    assert_eq!(recorded.len(), found.len(), "{}", file.display());
}

impl Case {
    fn usual() -> Self {
        serde_json::from_value(json!({"name": "usual"})).unwrap()
    }

    fn pod(&self) -> Value {
        let mut pod = pod(&Value::Object(self.annotations.clone()));
        if let Some(annotations) = &self.annotations_raw {
            pod["metadata"]["annotations"] = annotations.clone();
        }
        if let Some(labels) = &self.labels {
            pod["metadata"]["labels"] = labels.clone();
        }
        if let Some(name) = &self.podname {
            pod["metadata"]["name"] = json!(name);
        }
        pod["spec"]
            .as_object_mut()
            .unwrap()
            .extend(self.spec.clone());
        pod
    }

    /// The environment of the injector, the chart's defaults included.
    fn environment(&self) -> BTreeMap<String, String> {
        let defaults = [
            ("NAMESPACE", "dapr-system"),
            ("SIDECAR_IMAGE", "registry.example/daprd:1.18.0"),
            ("SIDECAR_IMAGE_PULL_POLICY", "IfNotPresent"),
            ("KUBE_CLUSTER_DOMAIN", "cluster.local"),
        ];
        let mut all: BTreeMap<_, _> = defaults
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        all.extend(self.env.clone());
        all
    }

    fn injection(&self) -> Result<Injection, Refusal> {
        let environment = self.environment();
        let settings = Settings::read(|name| environment.get(name).cloned()).unwrap();
        let mut components = Declarations::default();
        for component in &self.components {
            let declaration = Declaration::read(&component.container, component.scopes.clone());
            components.set(("shop", &component.name), Some(declaration));
        }
        let live = Live {
            mtls: self.mtls,
            components: &components,
            ..live()
        };
        inject(
            &decoded(&self.pod()),
            &settings.cluster(self.scheduler, true),
            live,
        )
    }

    fn export(&self, area: &str) -> Value {
        let components: Vec<_> = self
            .components
            .iter()
            .map(|component| {
                json!({"name": component.name, "container": component.container, "scopes": component.scopes})
            })
            .collect();
        let (patch, refusal) = match self.injection() {
            Ok(injection) => (to_value(injection.operations).unwrap(), Value::Null),
            Err(refusal) => (Value::Null, json!(refusal.to_string())),
        };
        json!({
            "area": area, "name": self.name, "pod": self.pod(), "env": self.environment(),
            "scheduler": self.scheduler, "mtls": self.mtls, "components": components,
            "patch": patch, "refusal": refusal,
        })
    }
}

/// An injection, line by line.
fn lines(case: &Case) -> Vec<String> {
    let injection = match case.injection() {
        Ok(injection) => injection,
        Err(refusal) => return vec![format!("refused: {refusal}")],
    };
    if injection.operations.is_empty() {
        return vec!["nothing is done".to_owned()];
    }
    let mut lines = Vec::new();
    for operation in to_value(&injection.operations).unwrap().as_array().unwrap() {
        let (path, value) = (operation["path"].as_str().unwrap(), &operation["value"]);
        if value["name"] == "daprd" {
            lines.push(format!("{path}:"));
            sidecar_lines(value, &mut lines);
        } else {
            lines.push(format!("{path}: {value}"));
        }
    }
    lines.extend(
        injection
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines
}

fn sidecar_lines(container: &Value, lines: &mut Vec<String>) {
    for (field, value) in container.as_object().unwrap() {
        match value {
            Value::Array(items) if field == "args" => {
                let args: Vec<_> = items.iter().map(|item| item.as_str().unwrap()).collect();
                lines.extend(flags(&args).map(|flag| format!("  args: {flag}")));
            }
            Value::Array(items) => {
                lines.extend(items.iter().map(|item| format!("  {field}: {item}")))
            }
            value => lines.push(format!("  {field}: {value}")),
        }
    }
}

/// Options with their values.
fn flags<'a>(args: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    let is_option = |arg: &str| arg.starts_with("--");
    args.chunk_by(move |_, next| !is_option(next))
        .map(|chunk| chunk.join(" "))
}

/// Lines that are only in one of the two, in order: `-` only in `old`, `+` only in `new`. One line says all there is.
fn difference(old: &[String], new: &[String]) -> String {
    if let [whole] = new {
        return format!("{whole}\n");
    }
    // Length of the longest common part of what begins at each pair of lines.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, j) in (0..old.len())
        .rev()
        .flat_map(|i| (0..new.len()).rev().map(move |j| (i, j)))
    {
        common[i][j] = match old[i] == new[j] {
            true => common[i + 1][j + 1] + 1,
            false => common[i + 1][j].max(common[i][j + 1]),
        };
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            writeln!(text, "- {}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(text, "+ {}", new[j]).unwrap();
            j += 1;
        }
    }
    text
}
