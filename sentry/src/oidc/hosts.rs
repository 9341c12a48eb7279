//! Which addresses discovery answers to.

use http::HeaderMap;

const FORWARDED: &str = "x-forwarded-host";

/// See the module. A name without a port stands for all ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AllowedHosts {
    All,
    These(Vec<String>),
}

impl AllowedHosts {
    /// Nothing, or a star among them, allows all.
    pub(super) fn new(hosts: &[String]) -> Self {
        let hosts: Vec<_> = hosts.iter().map(|host| host.trim().to_owned()).collect();
        let hosts: Vec<_> = hosts.into_iter().filter(|host| !host.is_empty()).collect();
        if hosts.is_empty() || hosts.iter().any(|host| host == "*") {
            return Self::All;
        }
        Self::These(hosts)
    }

    /// Whether a request that went to `asked` is answered. A proxy may say where it went before.
    pub(super) fn admit(&self, asked: &str, headers: &HeaderMap) -> bool {
        let before = headers
            .get(FORWARDED)
            .map(|host| host.to_str().unwrap_or_default());
        match before {
            Some(host) if !host.is_empty() => self.has(host),
            _ => self.has(asked),
        }
    }

    /// The address to show in documents: the one that was asked, if it is one of ours, else the first of ours.
    pub(super) fn own_name<'a>(&'a self, asked: &'a str) -> &'a str {
        match self {
            Self::These(hosts) if !self.has(asked) => &hosts[0],
            _ => asked,
        }
    }

    fn has(&self, host: &str) -> bool {
        let Self::These(hosts) = self else {
            return true;
        };
        let without_port = host.rsplit_once(':').map(|(name, _port)| name);
        let has = |name: &str| hosts.iter().any(|host| host == name);
        has(host) || without_port.is_some_and(|name| has(name.trim_matches(['[', ']'])))
    }
}
