//! The certificate of the discovery server: two files, followed while it runs.

use std::{convert::Infallible, fs, io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use trilby_bootstrap::Latch;
use trilby_identity::crypto_provider;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(5);

/// Where certificate chain and key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Keeps a certificate equal to its files.
pub(super) struct Follow {
    files: CertificateFiles,
    content: Content,
    current: Arc<Current>,
}

/// What both files hold.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}: {1}")]
    Read(String, io::Error),
    #[error("{0}")]
    Content(String),
}

impl CertificateFiles {
    /// The server's TLS, as soon as the files are there and usable; `latch` tells what is wrong until then.
    pub(super) async fn wait(&self, latch: &Latch) -> (Arc<ServerConfig>, Follow) {
        loop {
            match self.load() {
                Ok((content, key)) => return self.server(content, key),
                Err(error) => latch.unready(format!("waiting for its certificate: {error}")),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn server(&self, content: Content, key: CertifiedKey) -> (Arc<ServerConfig>, Follow) {
        let current = Arc::new(Current(RwLock::new(Arc::new(key))));
        let provider: Arc<CryptoProvider> = Arc::clone(&crypto_provider());
        // TLS 1.2 and 1.3.
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        let follow = Follow {
            files: self.clone(),
            content,
            current,
        };
        (Arc::new(config), follow)
    }

    fn load(&self) -> Result<(Content, CertifiedKey), Unusable> {
        let content = self.read()?;
        let unusable = |what: &str, error: String| Unusable::Content(format!("{what}: {error}"));
        let chain = CertificateDer::pem_slice_iter(&content.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable("certificate", error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&content.key)
            .map_err(|error| unusable("key", error.to_string()))?;
        let key = CertifiedKey::from_der(chain, key, &crypto_provider())
            .map_err(|error| unusable("certificate and key", error.to_string()))?;
        Ok((content, key))
    }

    fn read(&self) -> Result<Content, Unusable> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| Unusable::Read(path.display().to_string(), error))
        };
        Ok(Content {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }
}

impl Follow {
    /// Takes changes of the files into use, for ever. Files that are missing or do not fit leave the old certificate.
    pub(super) async fn run(mut self) -> Infallible {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(POLL).await;
            match self.files.load() {
                Ok((content, key)) => {
                    complaint.clear();
                    if content != self.content {
                        self.content = content;
                        *self.current.0.write() = Arc::new(key);
                        tracing::info!("certificate of the OpenID Connect server renewed");
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        tracing::warn!(
                            error = text,
                            "certificate of the OpenID Connect server is unusable, the old one stays"
                        );
                        complaint = text;
                    }
                }
            }
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}
