//! Connections to the injector as the API server makes them.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::installation::Installation;

/// Where the injector listens, and the name in its certificate.
#[derive(Clone)]
pub(crate) struct Webhook {
    address: SocketAddr,
    name: ServerName<'static>,
}

impl Webhook {
    pub(crate) fn of(installation: &Installation) -> Self {
        let name = format!("dapr-sidecar-injector.{}.svc", installation.namespace);
        Self {
            address: installation.injector.https_address(),
            name: ServerName::try_from(name).unwrap(),
        }
    }

    /// A connection to it, if its certificate is below one of these anchors (PEM).
    pub(crate) async fn connect(self, anchors: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for anchor in CertificateDer::pem_slice_iter(anchors) {
            roots.add(anchor.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(self.name, tcp)
            .await
    }
}
