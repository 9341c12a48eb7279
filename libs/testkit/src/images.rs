//! Container images made from files of this machine, without a registry, a daemon or a Dockerfile.
//!
//! ```no_run
//! # use trilby_testkit::images::Image;
//! # fn main() -> anyhow::Result<()> {
//! Image::named("e2e.local/redis:1")
//!     .program("/usr/bin/redis-server", "/redis-server")? // with the libraries it needs
//!     .entrypoint(&["/redis-server"])
//!     .write("redis.tar".as_ref())?;
//! # Ok(())
//! # }
//! ```
//!
//! Give an image a tag other than `latest`: for that one the kubelet asks a registry.

mod archive;
mod libraries;
mod stock;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub use self::stock::{coredns, pause, product, python, redis, service};

/// An image of one layer, under construction.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    /// What is in it, by absolute path.
    entries: BTreeMap<PathBuf, Entry>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    environment: Vec<String>,
    user: String,
}

#[derive(Clone, Debug)]
struct Entry {
    content: Content,
    /// Permission bits.
    mode: u32,
}

#[derive(Clone, Debug)]
enum Content {
    Directory,
    File(PathBuf),
    Text(String),
    Link(PathBuf),
}

impl Image {
    /// An empty image of this name, `host/path:tag`, that runs as root.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entries: BTreeMap::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            user: "0".to_owned(),
        }
    }

    /// The same image by another name.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a file of this machine, with its permissions.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn file(self, source: impl AsRef<Path>, at: impl AsRef<Path>) -> Result<Self> {
        let source = std::fs::canonicalize(&source)
            .with_context(|| source.as_ref().display().to_string())?;
        let meta = source.metadata()?;
        if !meta.is_file() {
            bail!("{} is no file", source.display());
        }
        let mode = meta.permissions().mode() & 0o777;
        Ok(self.entry(at, Content::File(source), mode))
    }

    /// Adds a program or a library, with every shared library that it needs, where it looks for them.
    ///
    /// # Errors
    /// If it, or a library, is missing.
    pub fn program(self, source: impl AsRef<Path>, at: impl AsRef<Path>) -> Result<Self> {
        let libraries = libraries::needed_by(source.as_ref())?;
        let image = self.file(source, at)?;
        libraries
            .into_iter()
            .try_fold(image, |image, library| image.file(&library, &library))
    }

    /// Adds a directory of this machine with all it holds, except what `skip` says of a path relative to it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn tree(mut self, source: &Path, at: &Path, skip: fn(&Path) -> bool) -> Result<Self> {
        let mut pending = vec![PathBuf::new()];
        while let Some(below) = pending.pop() {
            let dir = source.join(&below);
            let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
            for entry in entries {
                let entry = entry?;
                let path = below.join(entry.file_name());
                if skip(&path) {
                    continue;
                }
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    pending.push(path);
                } else if entry.path().is_file() {
                    self = self.file(entry.path(), at.join(&path))?;
                }
            }
        }
        Ok(self)
    }

    /// Adds a file with this content, readable by all.
    #[must_use]
    pub fn text(self, at: impl AsRef<Path>, content: &str) -> Self {
        self.entry(at, Content::Text(content.to_owned()), 0o644)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, at: impl AsRef<Path>, target: impl Into<PathBuf>) -> Self {
        self.entry(at, Content::Link(target.into()), 0o777)
    }

    /// Adds an empty directory that everybody may write, as `/tmp` is.
    #[must_use]
    pub fn scratch(self, at: impl AsRef<Path>) -> Self {
        self.entry(at, Content::Directory, 0o1777)
    }

    /// What it runs, and what a container's arguments are appended to.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(ToString::to_string).collect();
        self
    }

    /// What it runs unless a container has arguments: they replace it.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Runs as this user: a number, or `user:group`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    fn entry(mut self, at: impl AsRef<Path>, content: Content, mode: u32) -> Self {
        let at = at.as_ref();
        assert!(at.is_absolute(), "{} is not absolute", at.display());
        self.entries.insert(at.to_owned(), Entry { content, mode });
        self
    }
}

#[cfg(test)]
mod tests;
