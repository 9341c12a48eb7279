//! A sidecar with a component of each block that keeps something: state in PostgreSQL, settings and locks in Redis, secrets in
//! a file. All servers are real.

use anyhow::Result;
use trilby_testkit::servers::postgres::Postgres;
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;
use trilby_testkit::state_dir::StateDir;

/// The setting that changes, as Redis keeps it: its value and its version.
const SETTING: &str = "colour";
const BEFORE: &str = "blue||1";
const AFTER: &str = "green||2";

/// The sidecar and its servers.
#[derive(Debug)]
pub struct Stores {
    /// It runs, but may not be ready yet.
    pub sidecar: Daprd,
    redis: Redis,
    _postgres: Postgres,
    /// Its files, and what the test adds.
    pub dir: StateDir,
}

impl Stores {
    /// Starts all of it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub async fn start() -> Result<Self> {
        let (redis, postgres) = (Redis::start().await, Postgres::start().await);
        redis.command(&["SET", SETTING, BEFORE]);
        let dir = StateDir::create("stores");
        let secrets = dir.join("secrets.json");
        std::fs::write(&secrets, r#"{"first": "one", "second": "two"}"#)?;
        let resources = dir.join("resources");
        std::fs::create_dir(&resources)?;
        let at = redis.address();
        let (host, port) = (postgres.address().ip(), postgres.address().port());
        let login = format!("host={host} port={port} user=postgres");
        for (name, kind, setting, value) in [
            ("store", "state.postgresql", "connectionString", login),
            (
                "settings",
                "configuration.redis",
                "redisHost",
                at.to_string(),
            ),
            ("locks", "lock.redis", "redisHost", at.to_string()),
            (
                "secrets",
                "secretstores.local.file",
                "secretsFile",
                secrets.display().to_string(),
            ),
        ] {
            let text = format!(
                "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  \
                 version: v1\n  metadata:\n  - name: {setting}\n    value: {value:?}\n"
            );
            std::fs::write(resources.join(format!("{name}.yaml")), text)?;
        }
        let mut sidecar = Daprd::new("stores").arg("--resources-path", resources.display());
        sidecar.launch();
        Ok(Self {
            sidecar,
            redis,
            _postgres: postgres,
            dir,
        })
    }

    /// Changes the setting. A second time, it is written again.
    pub fn change(&self) {
        self.redis.command(&["SET", SETTING, AFTER]);
    }
}
