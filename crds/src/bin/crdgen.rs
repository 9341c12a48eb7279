//! Writes the CRDs into the chart and their reference page, or with `--check` says which of these files are out of date.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use trilby_crds::{manifests, reference};

/// Where the CRDs are, within the repository.
const CRDS: &str = "charts/dapr/crds";
/// Where their reference page is.
const REFERENCE: &str = "docs/reference/resources.md";

const USAGE: &str = "usage: crdgen [--check] [FOLDER]   (default: this repository)";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let check = arguments.first().is_some_and(|first| first == "--check");
    if check {
        arguments.remove(0);
    }
    let folder = match arguments.as_slice() {
        [] => Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        [folder] if !folder.starts_with('-') => PathBuf::from(folder),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let step = if check { verify } else { write };
    match files()
        .iter()
        .try_for_each(|(path, text)| step(&folder.join(path), text))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is generated, and where it belongs.
fn files() -> Vec<(PathBuf, String)> {
    let crds = Path::new(CRDS);
    let crd = |it: &trilby_crds::Manifest| (crds.join(it.file), it.yaml());
    let mut files: Vec<_> = manifests().iter().map(crd).collect();
    files.push((PathBuf::from(REFERENCE), reference()));
    files
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn verify(path: &Path, text: &str) -> io::Result<()> {
    let found = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    if found == text {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} differs from the types: run `cargo run -p trilby-crds`",
        path.display()
    )))
}
