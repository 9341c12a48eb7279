//! The Redis of the examples, seen from its own side.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::scene::Scene;

/// Runs a command in it with the password that its pod was given, and gives what `redis-cli` prints.
///
/// # Errors
/// If it cannot be run.
pub async fn command(scene: &Scene, words: &[&str]) -> Result<String> {
    run(scene, &[], words).await
}

/// Like [`command`], with another password.
///
/// # Errors
/// If it cannot be run.
pub async fn command_as(scene: &Scene, password: &str, words: &[&str]) -> Result<String> {
    run(scene, &["-a", password, "--no-auth-warning"], words).await
}

async fn run(scene: &Scene, options: &[&str], words: &[&str]) -> Result<String> {
    let mut arguments = vec!["exec", "deployment/redis", "--", "redis-cli"];
    arguments.extend(options);
    arguments.extend(words);
    Ok(scene.kubectl(&arguments).await?.trim().to_owned())
}

/// The fields of a hash; empty if there is none of this key.
///
/// # Errors
/// If Redis cannot be asked.
pub async fn hash(scene: &Scene, key: &str) -> Result<BTreeMap<String, String>> {
    Ok(fields(&command(scene, &["HGETALL", key]).await?))
}

/// Names and values alternate, one a line.
fn fields(printed: &str) -> BTreeMap<String, String> {
    let mut lines = printed.lines().map(str::to_owned);
    let mut fields = BTreeMap::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        fields.insert(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_pairs() {
        let fields = fields("data\n\"x\"\nversion\n1");
        assert_eq!(fields["data"], "\"x\"");
        assert_eq!(fields["version"], "1");
        assert!(super::fields("").is_empty());
    }
}
