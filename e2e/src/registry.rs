//! Images into a registry, for a cluster that is not of our own making.

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use trilby_testkit::images::Image;
use trilby_testkit::programs;
use trilby_testkit::state_dir::StateDir;

/// Pushes images under their names. A registry on this machine is spoken to without TLS. Credentials are those of
/// `skopeo login`, `podman login` or `docker login`.
///
/// # Errors
/// If `skopeo` is missing, or the registry refuses one; the text has its reason.
pub async fn push(images: &[Image], say: &dyn Fn(&str)) -> Result<()> {
    let skopeo = programs::system("skopeo").context("pushing images needs skopeo")?;
    let dir = StateDir::create("push");
    for (number, image) in images.iter().enumerate() {
        say(&format!(
            "pushing image {} of {}: {}",
            number + 1,
            images.len(),
            image.name()
        ));
        let archive = dir.join("image.tar");
        image.write(&archive)?;
        let mut command = Command::new(&skopeo);
        command.args(["copy", "--quiet", "--insecure-policy"]);
        if is_local(image.name()) {
            command.arg("--dest-tls-verify=false");
        }
        command
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!("docker://{}", image.name()));
        let output = command.output().await.context("running skopeo")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{} cannot be pushed: {}; is REGISTRY right, and are you logged in (skopeo login)?",
                image.name(),
                reason.trim()
            );
        }
    }
    Ok(())
}

fn is_local(image: &str) -> bool {
    let host = image.split(['/', ':']).next();
    host.is_some_and(|host| host == "localhost" || host.starts_with("127."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        assert!(is_local("localhost:5000/redis:7"));
        assert!(is_local("127.0.0.1:5000/redis:7"));
        assert!(!is_local("registry.example/localhost/redis:7"));
        assert!(!is_local("localhost.example/redis:7"));
    }
}
