//! Over TLS: which authorities are trusted.

use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    secret::{SecretError, SecretStore as _},
};
use trilby_components_vault::VaultSecrets;
use trilby_testkit::servers::vault::{ROOT_TOKEN, Vault};

/// What a read of a secret that is not there comes to: not found, when the server was trusted.
async fn read(vault: &Vault, more: &[(&str, &str)]) -> Result<(), SecretError> {
    let address = format!("https://{}", vault.address());
    let pairs = [("vaultAddr", address.as_str()), ("vaultToken", ROOT_TOKEN)];
    let metadata = Metadata::new(pairs.iter().chain(more).copied()).unwrap();
    let store = VaultSecrets::new(&metadata).await.unwrap();
    match store.get("none", &RequestMetadata::new()).await {
        Err(SecretError::NotFound(_)) => Ok(()),
        Err(other) => Err(other),
        Ok(found) => panic!("nobody put {found:?} there"),
    }
}

#[tokio::test]
async fn the_server_is_trusted_by_any_of_the_three_places_and_not_without() {
    let vault = Vault::with_tls().await;
    let file = vault.authority();
    let pem = std::fs::read_to_string(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&file, folder.path().join("ca.pem")).unwrap();
    let (file, folder) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
    for (key, value) in [
        ("caPem", pem.as_str()),
        ("caPath", folder),
        ("caCert", file),
        ("skipVerify", "true"),
    ] {
        assert_eq!(read(&vault, &[(key, value)]).await, Ok(()), "{key}");
    }
    for unverified in [&[][..], &[("skipVerify", "yes")]] {
        let refused = read(&vault, unverified).await.unwrap_err();
        assert!(refused.is_transient(), "{refused}");
    }
}

#[tokio::test]
async fn the_servers_name_may_be_another_than_the_addresss() {
    let vault = Vault::with_tls().await;
    let file = vault.authority().display().to_string();
    let authority = ("caCert", file.as_str());
    let named = [authority, ("tlsServerName", "localhost")];
    assert_eq!(read(&vault, &named).await, Ok(()));
    let named = [authority, ("tlsServerName", "vault.example")];
    let refused = read(&vault, &named).await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}
