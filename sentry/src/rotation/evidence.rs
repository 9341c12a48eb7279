//! Who said, while asking for a certificate, that it trusts the next root. Kept only while that matters.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use tonic::metadata::MetadataMap;

use super::roots::hex;

/// The most holders that are kept in mind, some 100 bytes each. More only means that a rotation goes on by the lives
/// of certificates instead.
const MAX_HOLDERS: usize = 50_000;

/// What a holder is shared and compared by: the beginning of the SHA-256 of its UID or identity, hexadecimal.
pub(crate) type HolderKey = String;

/// How many characters that has. By the birthday bound, of 50,000 holders two are the same once in 200,000 times.
const KEY_LENGTH: usize = 12;

/// How many characters of a root are shared.
const ROOT_LENGTH: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Evidence(Mutex<Option<Heard>>);

#[derive(Debug)]
struct Heard {
    root: String,
    holders: HashMap<HolderKey, Holder>,
    /// Those who trust the root, and whom other replicas have not been told of.
    unshared: Vec<HolderKey>,
}

#[derive(Debug, Clone)]
struct Holder {
    name: String,
    trusts: bool,
}

/// Who asks for a certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The UID of its pod, else its identity.
    pub(crate) uid: &'a str,
    /// For people.
    pub(crate) name: &'a str,
}

pub(crate) fn holder_key(uid: &str) -> HolderKey {
    let mut key = hex(digest::digest(&digest::SHA256, uid.as_bytes()).as_ref());
    key.truncate(KEY_LENGTH);
    key
}

/// The part of a root's fingerprint that is shared with other replicas.
pub(crate) fn shared_root(fingerprint: &str) -> &str {
    fingerprint.get(..ROOT_LENGTH).unwrap_or(fingerprint)
}

impl Evidence {
    /// Listens for this root from now on, or for none; what was heard about another one is forgotten.
    pub(crate) fn listen(&self, root: Option<&str>) {
        let mut heard = self.0.lock();
        if heard.as_ref().map(|heard| heard.root.as_str()) != root {
            *heard = root.map(|root| Heard {
                root: root.to_owned(),
                holders: HashMap::new(),
                unshared: Vec::new(),
            });
        }
    }

    /// Somebody got a certificate, and said this about the roots that it trusts.
    pub(crate) fn hear(&self, asker: Asker<'_>, metadata: &MetadataMap) {
        let mut heard = self.0.lock();
        let Some(heard) = heard.as_mut() else { return };
        let trusts = trusts(metadata, &heard.root);
        let key = holder_key(asker.uid);
        let is_new = !heard.holders.contains_key(&key);
        if is_new && heard.holders.len() >= MAX_HOLDERS {
            return;
        }
        let name = asker.name.to_owned();
        let before = heard.holders.insert(key.clone(), Holder { name, trusts });
        if trusts && before.is_none_or(|before| !before.trusts) {
            heard.unshared.push(key);
        }
    }

    /// Whether this one is known to trust the root, by what was heard here.
    pub(crate) fn is_trusting(&self, key: &str) -> bool {
        let heard = self.0.lock();
        let holder = heard.as_ref().and_then(|heard| heard.holders.get(key));
        holder.is_some_and(|holder| holder.trusts)
    }

    /// The names of those who asked, and did not say that they trust the root.
    pub(crate) fn untrusting(&self) -> Vec<String> {
        let heard = self.0.lock();
        let holders = heard.iter().flat_map(|heard| heard.holders.values());
        let mut names: Vec<_> = holders
            .filter(|holder| !holder.trusts)
            .map(|holder| holder.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// Those that other replicas have not been told of, with the root that they trust; they are told now.
    pub(crate) fn take_unshared(&self) -> BTreeMap<HolderKey, String> {
        let mut heard = self.0.lock();
        let Some(heard) = heard.as_mut() else {
            return BTreeMap::new();
        };
        let root = shared_root(&heard.root).to_owned();
        let keys = std::mem::take(&mut heard.unshared);
        keys.into_iter().map(|key| (key, root.clone())).collect()
    }

    /// They could not be told after all.
    pub(crate) fn give_back(&self, unshared: BTreeMap<HolderKey, String>) {
        if let Some(heard) = self.0.lock().as_mut() {
            let root = shared_root(&heard.root).to_owned();
            let still = unshared.into_iter().filter(|(_, of)| *of == root);
            heard.unshared.extend(still.map(|(key, _)| key));
        }
    }
}

fn trusts(metadata: &MetadataMap, root: &str) -> bool {
    let said = metadata.get(trilby_identity::TRUST_ANCHORS_METADATA);
    let said = said
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    said.split(',')
        .take(trilby_identity::MAX_TOLD_ANCHORS)
        .any(|anchor| anchor.trim().eq_ignore_ascii_case(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(anchors: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(
            trilby_identity::TRUST_ANCHORS_METADATA,
            anchors.parse().unwrap(),
        );
        metadata
    }

    fn pod(uid: &str) -> Asker<'_> {
        Asker { uid, name: uid }
    }

    #[test]
    fn who_names_the_root_trusts_it_and_is_shared_once() {
        let evidence = Evidence::default();
        evidence.hear(pod("early"), &said("aabbccddee"));
        evidence.listen(Some("aabbccddee"));
        evidence.hear(pod("one"), &said("00, AABBCCDDEE"));
        evidence.hear(pod("two"), &said("00"));
        evidence.hear(pod("three"), &MetadataMap::new());
        assert!(evidence.is_trusting(&holder_key("one")));
        assert!(
            !evidence.is_trusting(&holder_key("early")),
            "nobody listened"
        );
        assert_eq!(evidence.untrusting(), ["three", "two"]);
        let shared = evidence.take_unshared();
        assert_eq!(shared, [(holder_key("one"), "aabbccdd".to_owned())].into());
        assert!(evidence.take_unshared().is_empty());
        evidence.give_back(shared.clone());
        evidence.hear(pod("one"), &said("aabbccddee"));
        assert_eq!(evidence.take_unshared(), shared);
        evidence.hear(pod("two"), &said("aabbccddee"));
        assert_eq!(evidence.untrusting(), ["three"]);
        evidence.listen(Some("other"));
        assert!(
            !evidence.is_trusting(&holder_key("one")),
            "about another root"
        );
    }

    #[test]
    fn no_more_is_kept_in_mind_than_fits() {
        let evidence = Evidence::default();
        evidence.listen(Some("aa"));
        for number in 0..MAX_HOLDERS + 10 {
            evidence.hear(pod(&number.to_string()), &MetadataMap::new());
        }
        assert_eq!(evidence.untrusting().len(), MAX_HOLDERS);
        evidence.hear(pod("0"), &said("aa"));
        assert!(evidence.is_trusting(&holder_key("0")), "known ones change");
    }

    #[test]
    fn a_claim_of_too_many_roots_is_cut() {
        let evidence = Evidence::default();
        evidence.listen(Some("aa"));
        let many = "00,".repeat(trilby_identity::MAX_TOLD_ANCHORS) + "aa";
        evidence.hear(pod("one"), &said(&many));
        assert!(!evidence.is_trusting(&holder_key("one")));
    }
}
