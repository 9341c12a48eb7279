//! Certificates of authorities in files, for [`Tls::authorities`](crate::Tls::authorities).

use std::{io, path::Path};

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Unreadable {
    /// The file or folder.
    pub path: String,
    /// What the system says.
    pub reason: io::Error,
}

fn unreadable(path: &Path, reason: io::Error) -> Unreadable {
    let path = path.display().to_string();
    Unreadable { path, reason }
}

/// A file's content.
///
/// # Errors
/// It cannot be read.
pub async fn in_file(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let content = tokio::fs::read(path).await;
    content.map_err(|error| unreadable(path, error))
}

/// The files of a folder, one after the other; folders in it are left out.
///
/// # Errors
/// The folder, or one of its files, cannot be read.
pub async fn in_folder(folder: &Path) -> Result<Vec<u8>, Unreadable> {
    let failed = |error| unreadable(folder, error);
    let mut files = tokio::fs::read_dir(folder).await.map_err(failed)?;
    let mut all = Vec::new();
    while let Some(file) = files.next_entry().await.map_err(failed)? {
        if file.path().is_file() {
            all.extend(in_file(&file.path()).await?);
            all.push(b'\n');
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pem", "b.pem"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let all = String::from_utf8(in_folder(folder.path()).await.unwrap()).unwrap();
        let mut lines: Vec<_> = all.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["a.pem", "b.pem"]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let path = Path::new("/nowhere/ca.pem");
        let refused = in_file(path).await.unwrap_err().to_string();
        assert!(refused.starts_with("/nowhere/ca.pem: "), "{refused}");
        assert!(in_folder(path).await.is_err());
    }
}
