//! The images that clusters of this harness run.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Image, libraries};
use crate::programs;

/// The user of our own images and of the example apps: the one that upstream's images run as.
const USER: &str = "65532";
const PASSWD: &str = "root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Hosts files first, then the cluster's DNS; without this file the C library would choose.
const NAME_SERVICES: &str = "hosts: files dns\n";

/// The image that holds a pod's namespaces.
///
/// # Errors
/// If Kubernetes' programs are not built.
pub fn pause() -> Result<Image> {
    Ok(Image::named("e2e.local/pause:1")
        .file(programs::kubernetes("pause")?, "/pause")?
        .entrypoint(&["/pause"])
        .user("65535:65535"))
}

/// The cluster's name server.
///
/// # Errors
/// If Kubernetes' programs are not built.
pub fn coredns() -> Result<Image> {
    Ok(Image::named("e2e.local/coredns:1")
        .file(programs::kubernetes("coredns")?, "/coredns")?
        .entrypoint(&["/coredns"]))
}

/// `e2e.local/redis:1`: Debian's Redis, `redis-server` and `redis-cli` on the path.
///
/// # Errors
/// If it is not installed.
pub fn redis() -> Result<Image> {
    Ok(Image::named("e2e.local/redis:1")
        .program(programs::system("redis-server")?, "/usr/bin/redis-server")?
        .program(programs::system("redis-cli")?, "/usr/bin/redis-cli")?
        .scratch("/tmp")
        .entrypoint(&["/usr/bin/redis-server", "--save", "", "--dir", "/tmp"])
        .user(USER))
}

/// `e2e.local/python:1`: Debian's Python with its standard library, for example apps whose code comes in a ConfigMap.
///
/// # Errors
/// If it is not installed.
pub fn python() -> Result<Image> {
    // A name without version is a link to the current one; a shim of a version manager earlier in PATH is not wanted.
    let program = std::fs::canonicalize("/usr/bin/python3")
        .context("Debian's python3 is not installed: run `e2e/packages.sh` as root")?;
    let version = program.file_name().context("a program has a name")?;
    let library = Path::new("/usr/lib").join(version);
    let image = Image::named("e2e.local/python:1")
        .program(&program, "/usr/bin/python3")?
        .tree(&library, &library, is_left_out)?;
    let extensions = library.join("lib-dynload");
    extension_modules(image, &extensions)?
        .scratch("/tmp")
        .text("/etc/passwd", PASSWD)
        .text("/etc/nsswitch.conf", NAME_SERVICES)
        .file(CERTIFICATES, CERTIFICATES)
        .map(|image| {
            image
                // The root file system is usually read-only.
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("PYTHONUNBUFFERED", "1")
                .entrypoint(&["/usr/bin/python3"])
                .user(USER)
        })
}

/// Parts of the library that no small app needs, and that are half of it.
fn is_left_out(path: &Path) -> bool {
    const PARTS: &[&str] = &[
        "test",
        "lib2to3",
        "ensurepip",
        "idlelib",
        "tkinter",
        "pydoc_data",
    ];
    let first = path
        .components()
        .next()
        .map(|part| part.as_os_str().to_string_lossy());
    first.is_some_and(|first| PARTS.contains(&&*first) || first.starts_with("config-"))
}

fn extension_modules(mut image: Image, dir: &Path) -> Result<Image> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        for library in libraries::needed_by(&path)? {
            image = image.file(&library, &library)?;
        }
    }
    Ok(image)
}

/// One of our services, as upstream ships it: the program at `/<name>`, user 65532, and no entry point, for injectors
/// put the program's path first among a sidecar's arguments.
///
/// # Errors
/// If it is not built.
pub fn product(name: &str, image: &str) -> Result<Image> {
    service(&programs::product(name)?, image)
}

/// As [`product`], with the program at this path.
///
/// # Errors
/// If it is not there.
pub fn service(program: &Path, image: &str) -> Result<Image> {
    let name = program.file_name().context("a program has a name")?;
    let at = format!("/{}", name.to_string_lossy());
    Ok(Image::named(image)
        .program(program, &at)?
        .file(CERTIFICATES, CERTIFICATES)?
        .text("/etc/passwd", PASSWD)
        .text("/etc/nsswitch.conf", NAME_SERVICES)
        .command(&[&at])
        .user("65532:65532"))
}
