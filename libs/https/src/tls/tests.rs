use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::{Identity, Tls, TlsError, Verification};
use crate::{Client, Error, Limits};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    size: 100,
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn identity(&self) -> Identity {
        let (certificate, key) = self.issue("client");
        Identity {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        }
    }

    /// A server called `consul.example` that asks for a certificate of this authority's.
    async fn serve(&self) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let (certificate, key) = self.issue("consul.example");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    drop(stream.write_all(answer).await);
                    drop(stream.shutdown().await);
                }
            }
        });
        url
    }
}

async fn ask(url: &str, tls: &Tls) -> Result<Bytes, Error> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let response = Client::with_tls(tls).unwrap().send(request, LIMITS).await?;
    Ok(response.into_body())
}

#[tokio::test]
async fn a_server_is_verified_by_the_given_authorities_and_name() {
    let authority = Authority::new();
    let url = authority.serve().await;
    let tls = Tls {
        authorities: Some(authority.pem()),
        identity: Some(authority.identity()),
        server_name: Some("consul.example".to_owned()),
        verification: Verification::Full,
    };
    assert_eq!(ask(&url, &tls).await.unwrap(), "ok");
    let other_name = Tls {
        server_name: None,
        ..tls.clone()
    };
    assert!(ask(&url, &other_name).await.is_err());
    let other_authority = Tls {
        authorities: Some(Authority::new().pem()),
        ..tls.clone()
    };
    assert!(ask(&url, &other_authority).await.is_err());
    let nobody = Tls {
        identity: None,
        ..tls
    };
    assert!(ask(&url, &nobody).await.is_err());
}

#[tokio::test]
async fn an_unverified_server_may_be_anybody() {
    let authority = Authority::new();
    let tls = Tls {
        identity: Some(authority.identity()),
        verification: Verification::Nothing,
        ..Tls::default()
    };
    assert_eq!(ask(&authority.serve().await, &tls).await.unwrap(), "ok");
}

#[test]
fn what_cannot_be_used_is_named() {
    let authority = Authority::new();
    let refusal = |tls: Tls| Client::with_tls(&tls).map(drop).unwrap_err();
    let trusting = |authorities: &[u8]| Tls {
        authorities: Some(authorities.to_vec()),
        ..Tls::default()
    };
    assert!(matches!(refusal(trusting(b"none")), TlsError::Authorities));
    let named = Tls {
        server_name: Some("a b".to_owned()),
        ..trusting(&authority.pem())
    };
    assert!(matches!(refusal(named), TlsError::ServerName(_)));
    let showing = |certificate: &[u8], key: &[u8]| Tls {
        identity: Some(Identity {
            certificate: certificate.to_vec(),
            key: key.to_vec(),
        }),
        ..trusting(&authority.pem())
    };
    let Identity { certificate, key } = authority.identity();
    assert!(matches!(refusal(showing(&certificate, b"")), TlsError::Key));
    assert!(matches!(
        refusal(showing(b"", &key)),
        TlsError::Certificate | TlsError::Pair(_)
    ));
    let other = authority.identity().key;
    assert!(matches!(
        refusal(showing(&certificate, &other)),
        TlsError::Pair(_)
    ));
}

#[test]
fn keys_stay_out_of_the_log() {
    let shown = format!("{:?}", Authority::new().identity());
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
