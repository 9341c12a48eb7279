//! Unix sockets that replace the TCP ports of the APIs (`--unix-domain-socket`).

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket's file; it is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// Listens on `dapr-<app id>-<api>.socket` in `folder`. A file that a sidecar left behind is replaced.
///
/// # Errors
/// The file cannot be made, or somebody listens there.
pub fn listen_unix(
    folder: &Path,
    app_id: &str,
    api: &str,
) -> io::Result<(UnixListener, SocketFile)> {
    let path = folder.join(format!("dapr-{app_id}-{api}.socket"));
    remove_abandoned(&path)?;
    let listener = UnixListener::bind(&path).map_err(|error| named(&path, &error))?;
    Ok((listener, SocketFile(path)))
}

/// A killed sidecar leaves its file; nobody answers there any more.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "an abandoned socket is replaced");
            std::fs::remove_file(path).map_err(|error| named(path, &error))
        }
        _ => Ok(()),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    let text = format!("cannot listen on {}: {error}", path.display());
    io::Error::new(error.kind(), text)
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, socket = %self.0.display(), "socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listen_unix;

    #[tokio::test]
    async fn socket_is_named_for_app_and_api_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, file) = listen_unix(folder.path(), "cart", "http").unwrap();
        assert!(file.path().ends_with("dapr-cart-http.socket"));
        drop(listener);
        drop(file);
        assert!(!folder.path().join("dapr-cart-http.socket").exists());
    }

    #[tokio::test]
    async fn abandoned_socket_is_replaced_and_a_served_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, file) = listen_unix(folder.path(), "cart", "grpc").unwrap();
        let taken = listen_unix(folder.path(), "cart", "grpc").unwrap_err();
        assert!(
            taken.to_string().contains("dapr-cart-grpc.socket"),
            "{taken}"
        );
        drop(listener);
        std::mem::forget(file);
        listen_unix(folder.path(), "cart", "grpc").unwrap();
    }

    #[test]
    fn folder_that_is_missing_is_named() {
        let error = listen_unix("/no/such/folder".as_ref(), "cart", "http").unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
