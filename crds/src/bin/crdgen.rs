//! Writes the CRDs into the chart, or with `--check` says which of its files are out of date.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use trilby_crds::{Manifest, manifests};

const USAGE: &str = "usage: crdgen [--check] [FOLDER]   (default folder: the chart's crds/)";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let check = arguments.first().is_some_and(|first| first == "--check");
    if check {
        arguments.remove(0);
    }
    let folder = match arguments.as_slice() {
        [] => Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/dapr/crds"),
        [folder] if !folder.starts_with('-') => PathBuf::from(folder),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let step = if check { verify } else { write };
    match manifests()
        .iter()
        .try_for_each(|manifest| step(&folder, manifest))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let path = folder.join(manifest.file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, manifest.yaml()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn verify(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let path = folder.join(manifest.file);
    let found = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    if found == manifest.yaml() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} differs from the types: run `cargo run -p trilby-crds`",
        path.display()
    )))
}
