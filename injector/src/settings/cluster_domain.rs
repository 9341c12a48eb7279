//! The cluster's DNS domain, from the search list of this pod.

use std::io;

/// Where the search list is.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What nearly every cluster has.
pub(super) const DEFAULT: &str = "cluster.local";

/// The first domain in alphabetical order of the search list: the others are `<namespace>.svc.<domain>` and
/// `svc.<domain>`. The default where there is none.
pub(super) fn of(resolv_conf: io::Result<String>) -> io::Result<String> {
    let text = resolv_conf?;
    let domain = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("search"))
        .flat_map(str::split_whitespace)
        .min();
    Ok(domain.unwrap_or(DEFAULT).to_owned())
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_alphabetically_first_search_domain_wins() {
        let text = "nameserver 10.0.0.10\nsearch ns.svc.k8s.example svc.k8s.example k8s.example\n";
        assert_eq!(of(Ok(text.into())).unwrap(), "k8s.example");
        assert_eq!(
            of(Ok("nameserver 1.1.1.1".into())).unwrap(),
            "cluster.local"
        );
    }
}
