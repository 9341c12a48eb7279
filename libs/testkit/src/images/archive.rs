//! An image as an OCI archive: one uncompressed layer, its configuration, a manifest and an index.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{Content, Entry, Image};

impl Image {
    /// Writes the image as an OCI archive, for `ctr images import`.
    ///
    /// # Errors
    /// If a source cannot be read or the archive not be written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let what = || format!("writing the image {} to {}", self.name, archive.display());
        let layer_file = archive.with_extension("layer");
        let layer = self.write_layer(&layer_file).with_context(what)?;
        let outcome = self
            .write_archive(archive, &layer_file, &layer)
            .with_context(what);
        std::fs::remove_file(&layer_file).with_context(what)?;
        outcome
    }

    fn write_layer(&self, path: &Path) -> Result<Blob> {
        let mut sink = Digesting::new(BufWriter::new(File::create(path)?));
        let mut tar = Builder::new(&mut sink);
        for dir in self.directories() {
            append(
                &mut tar,
                &dir,
                &Entry {
                    content: Content::Directory,
                    mode: 0o755,
                },
            )?;
        }
        for (path, entry) in &self.entries {
            append(&mut tar, path, entry).with_context(|| format!("adding {}", path.display()))?;
        }
        tar.into_inner()?.flush()?;
        Ok(sink.finish("application/vnd.oci.image.layer.v1.tar"))
    }

    /// Every directory that an entry is in and that is none itself, parents first.
    fn directories(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = self
            .entries
            .keys()
            .flat_map(|path| path.ancestors().skip(1))
            .filter(|dir| dir.parent().is_some() && !self.entries.contains_key(*dir))
            .map(Path::to_owned)
            .collect();
        dirs.sort();
        dirs.dedup();
        dirs
    }

    fn write_archive(&self, archive: &Path, layer_file: &Path, layer: &Blob) -> Result<()> {
        let config = self.config(layer);
        let config_blob = Blob::of(&config, "application/vnd.oci.image.config.v1+json");
        let manifest = to_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config_blob.descriptor(),
            "layers": [layer.descriptor()],
        }));
        let manifest_blob = Blob::of(&manifest, "application/vnd.oci.image.manifest.v1+json");
        let mut entry = manifest_blob.descriptor();
        entry["annotations"] = json!({"io.containerd.image.name": self.name});
        let index = to_bytes(&json!({"schemaVersion": 2, "manifests": [entry]}));

        let mut tar = Builder::new(BufWriter::new(File::create(archive)?));
        append_bytes(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append_bytes(&mut tar, &config_blob.path(), &config)?;
        append_bytes(&mut tar, &manifest_blob.path(), &manifest)?;
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(layer.size);
        tar.append_data(&mut header, layer.path(), File::open(layer_file)?)?;
        append_bytes(&mut tar, "index.json", &index)?;
        tar.into_inner()?.flush()?;
        Ok(())
    }

    fn config(&self, layer: &Blob) -> Vec<u8> {
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        to_bytes(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": self.environment,
                "User": self.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        }))
    }
}

/// A content-addressed part of the archive.
struct Blob {
    /// `sha256:<hex>`.
    digest: String,
    /// Bytes.
    size: u64,
    media_type: &'static str,
}

impl Blob {
    fn of(content: &[u8], media_type: &'static str) -> Self {
        let mut sink = Digesting::new(io::sink());
        sink.write_all(content).expect("a sink takes everything");
        sink.finish(media_type)
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }
}

/// Digests what passes through to another writer.
struct Digesting<W> {
    inner: W,
    context: digest::Context,
    size: u64,
}

impl<W> Digesting<W> {
    fn new(inner: W) -> Self {
        let context = digest::Context::new(&digest::SHA256);
        Self {
            inner,
            context,
            size: 0,
        }
    }

    fn finish(self, media_type: &'static str) -> Blob {
        let bytes = self.context.finish();
        let hex: String = bytes
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Blob {
            digest: format!("sha256:{hex}"),
            size: self.size,
            media_type,
        }
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn append<W: Write>(tar: &mut Builder<W>, path: &Path, entry: &Entry) -> Result<()> {
    let name = path.strip_prefix("/")?;
    match &entry.content {
        Content::Directory => {
            let mut header = header(EntryType::Directory, entry.mode);
            tar.append_data(&mut header, name, io::empty())?;
        }
        Content::Text(text) => {
            let mut header = header(EntryType::Regular, entry.mode);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes())?;
        }
        Content::File(source) => {
            let file = File::open(source)?;
            let mut header = header(EntryType::Regular, entry.mode);
            header.set_size(file.metadata()?.len());
            tar.append_data(&mut header, name, file)?;
        }
        Content::Link(target) => {
            let mut header = header(EntryType::Symlink, entry.mode);
            tar.append_link(&mut header, name, target)?;
        }
    }
    Ok(())
}

fn append_bytes<W: Write>(tar: &mut Builder<W>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644);
    header.set_size(content.len() as u64);
    Ok(tar.append_data(&mut header, name, content)?)
}

/// Owned by root, without a time: the same content is the same image.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn to_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
