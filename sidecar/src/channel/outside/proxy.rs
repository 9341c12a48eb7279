//! Proxies between here and hosts outside, where the environment names some: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in
//! capitals or not, as Go's client understands them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service as _;

/// What the environment says about proxies; passwords among it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// Of calls to `http://`; empty for none.
    pub http: String,
    /// Of calls to `https://`; empty for none.
    pub https: String,
    /// Hosts, domains and networks that are called directly, separated by commas.
    pub none: String,
}

/// The proxies to use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// A connection to a proxy.
pub(super) enum Proxied {
    /// It leads to the host.
    Tunnel(TcpStream),
    /// It takes requests for the host.
    Forwarding(TcpStream),
}

impl Proxies {
    /// As the variables say.
    pub fn new(variables: &ProxyVariables) -> Self {
        if variables.http.is_empty() && variables.https.is_empty() {
            return Self::default();
        }
        let matcher = Matcher::builder()
            .http(variables.http.clone())
            .https(variables.https.clone())
            .no(variables.none.clone())
            .build();
        Self(Some(Arc::new(matcher)))
    }

    /// The proxy for an address. This machine is never called through one.
    fn of(&self, uri: &Uri) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        let host = uri.host()?.trim_matches(['[', ']']);
        let loopback = host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
        if loopback || host.eq_ignore_ascii_case("localhost") {
            return None;
        }
        matcher.intercept(uri)
    }

    /// What a proxy wants to see on each request that it forwards.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let mut authorization = self.of(uri)?.basic_auth()?.clone();
        authorization.set_sensitive(true);
        Some(authorization)
    }

    /// Connects to the proxy for an address; `None` where there is none.
    ///
    /// # Errors
    /// The proxy is away, refuses, or speaks what is not spoken here.
    pub(super) async fn connect(&self, uri: &Uri) -> io::Result<Option<Proxied>> {
        let Some(proxy) = self.of(uri) else {
            return Ok(None);
        };
        let proxied = match proxy.uri().scheme_str() {
            Some("http") if uri.scheme_str() == Some("https") => tunnel(&proxy, uri).await?,
            Some("http") => Proxied::Forwarding(dial(proxy.uri()).await?),
            other => return Err(unsupported(other)),
        };
        Ok(Some(proxied))
    }
}

fn unsupported(scheme: Option<&str>) -> io::Error {
    let scheme = scheme.unwrap_or_default();
    let text = format!("proxies that speak {scheme} are not there in Trilby, only http ones");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

async fn tunnel(proxy: &Intercept, uri: &Uri) -> io::Result<Proxied> {
    let dial = tower::service_fn(async |proxy: Uri| dial(&proxy).await.map(TokioIo::new));
    let mut tunnel = Tunnel::new(proxy.uri().clone(), dial);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let stream = tunnel.call(uri.clone()).await;
    let stream = stream.map_err(|error| io::Error::other(format!("proxy: {error}")))?;
    Ok(Proxied::Tunnel(stream.into_inner()))
}

async fn dial(proxy: &Uri) -> io::Result<TcpStream> {
    let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, proxy.port_u16().unwrap_or(80))).await;
    let stream =
        stream.map_err(|error| io::Error::new(error.kind(), format!("proxy {host}: {error}")))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn proxies(http: &str, https: &str, none: &str) -> Proxies {
        Proxies::new(&ProxyVariables {
            http: http.to_owned(),
            https: https.to_owned(),
            none: none.to_owned(),
        })
    }

    #[test]
    fn who_is_called_through_a_proxy_is_as_go_has_it() {
        let some = proxies("http://p:1", "q:2", "corp.example,10.0.0.0/8");
        for (uri, through) in [
            ("http://h.example/x", Some("http://p:1/")),
            ("https://h.example/x", Some("http://q:2/")),
            ("http://corp.example", None),
            ("http://a.corp.example", None),
            ("http://10.1.2.3", None),
            ("http://localhost:8080", None),
            ("http://127.0.0.2", None),
            ("https://[::1]:1", None),
        ] {
            let found = some.of(&uri.parse().unwrap());
            let found = found.map(|proxy| proxy.uri().to_string());
            assert_eq!(found.as_deref(), through, "{uri}");
        }
        let uri = Uri::from_static("http://h.example");
        assert!(proxies("", "", "").of(&uri).is_none());
    }

    #[tokio::test]
    async fn a_proxy_that_is_no_http_proxy_is_refused_by_name() {
        let socks = proxies("socks5://127.0.0.1:1", "", "");
        let uri = Uri::from_static("http://h.example");
        let Err(error) = socks.connect(&uri).await else {
            panic!("it cannot be used");
        };
        assert!(error.to_string().contains("speak socks5"), "{error}");
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_by_the_hosts_name_and_with_the_password() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            // As in TLS, who came through the tunnel speaks first.
            let asked = client.read_u8().await.unwrap();
            client.write_u8(asked + 1).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        let proxies = proxies("", &format!("http://me:secret@127.0.0.1:{port}"), "");
        let uri = Uri::from_static("https://h.example/path");
        let Ok(Some(Proxied::Tunnel(mut stream))) = proxies.connect(&uri).await else {
            panic!("there is a way through the proxy");
        };
        stream.write_u8(1).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 2);
        let head = server.await.unwrap();
        assert!(
            head.starts_with("CONNECT h.example:443 HTTP/1.1\r\n"),
            "{head}"
        );
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("proxy-authorization: basic "), "{head}");
    }
}
