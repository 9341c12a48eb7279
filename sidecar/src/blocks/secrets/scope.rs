//! Which secrets an application may read (`spec.secrets.scopes` of its Configuration). Pure.

use trilby_crds::{SecretsScope, SecretsSpec};

/// Scopes that cannot be enforced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// Two scopes for one store.
    #[error("multiple secret scopes for store {0:?}: a store may have one")]
    Duplicate(String),
    /// Not `allow` or `deny`.
    #[error("secret scope of store {store:?}: defaultAccess {access:?} is neither allow nor deny")]
    DefaultAccess {
        /// The store.
        store: String,
        /// What is written.
        access: String,
    },
}

/// Scopes that can be enforced. Without any, every secret may be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<SecretsScope>);

impl Scopes {
    /// Takes what is written.
    ///
    /// # Errors
    /// The first scope that cannot be enforced.
    pub fn new(spec: Option<&SecretsSpec>) -> Result<Self, InvalidScopes> {
        let scopes = spec.map(|spec| spec.scopes.clone()).unwrap_or_default();
        check(&scopes)?;
        Ok(Self(scopes))
    }

    /// Whether a secret of a store may be read: a list of allowed secrets decides alone; else one of denied
    /// secrets; else the default, which allows unless it says otherwise.
    pub fn allow(&self, store: &str, name: &str) -> bool {
        let mut scopes = self.0.iter();
        scopes
            .find(|scope| scope.store_name == store)
            .is_none_or(|scope| permits(scope, name))
    }
}

fn check(scopes: &[SecretsScope]) -> Result<(), InvalidScopes> {
    for (index, scope) in scopes.iter().enumerate() {
        if scopes[..index]
            .iter()
            .any(|earlier| earlier.store_name == scope.store_name)
        {
            return Err(InvalidScopes::Duplicate(scope.store_name.clone()));
        }
        let access = scope.default_access.as_deref().unwrap_or_default();
        if !access.is_empty() && !is(access, "allow") && !is(access, "deny") {
            let (store, access) = (scope.store_name.clone(), access.to_owned());
            return Err(InvalidScopes::DefaultAccess { store, access });
        }
    }
    Ok(())
}

fn permits(scope: &SecretsScope, name: &str) -> bool {
    let listed = |list: &[String]| list.iter().any(|entry| entry == name);
    if !scope.allowed_secrets.is_empty() {
        return listed(&scope.allowed_secrets);
    }
    if listed(&scope.denied_secrets) {
        return false;
    }
    let access = scope.default_access.as_deref().unwrap_or_default();
    access.is_empty() || is(access, "allow")
}

fn is(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use trilby_crds::{SecretsScope, SecretsSpec};

    use super::{InvalidScopes, Scopes};

    fn spec(default: &str, allowed: &[&str], denied: &[&str]) -> SecretsSpec {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        SecretsSpec {
            scopes: vec![SecretsScope {
                store_name: "vault".into(),
                default_access: Some(default.into()),
                allowed_secrets: list(allowed),
                denied_secrets: list(denied),
            }],
        }
    }

    #[test]
    fn nothing_written_allows() {
        assert!(Scopes::default().allow("vault", "s"));
        let scopes = Scopes::new(Some(&spec("deny", &[], &[]))).unwrap();
        assert!(scopes.allow("other", "s"));
    }

    #[test]
    fn lists_and_defaults_decide_in_order() {
        for (default, allowed, denied, expected) in [
            ("allow", &[][..], &[][..], true),
            ("deny", &[][..], &[][..], false),
            ("allow", &["other"][..], &[][..], false),
            ("deny", &["s"][..], &[][..], true),
            ("allow", &[][..], &["s"][..], false),
            ("deny", &[][..], &["other"][..], false),
        ] {
            let scopes = Scopes::new(Some(&spec(default, allowed, denied))).unwrap();
            assert_eq!(scopes.allow("vault", "s"), expected, "{scopes:?}");
        }
    }

    #[test]
    fn scopes_that_cannot_be_enforced_are_refused() {
        let mut twice = spec("allow", &[], &[]);
        twice.scopes.push(twice.scopes[0].clone());
        assert_eq!(
            Scopes::new(Some(&twice)),
            Err(InvalidScopes::Duplicate("vault".into()))
        );
        assert!(matches!(
            Scopes::new(Some(&spec("maybe", &[], &[]))),
            Err(InvalidScopes::DefaultAccess { .. })
        ));
        assert!(Scopes::new(Some(&spec("Deny", &[], &[]))).is_ok());
    }
}
