//! A real PostgreSQL.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use super::server::{Owner, SHUTDOWN, Server, answer};
use crate::ca::Credential;
use crate::eventually::eventually;
use crate::process::{Log, Process};
use crate::programs;
use crate::small_disk::SmallDisk;

/// The superuser, who also owns the database of the same name. Debian's package makes a user of the system of this
/// name, too.
pub const USER: &str = "postgres";

/// A PostgreSQL server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    owner: Owner,
    password: Option<String>,
    /// `name=value`, as its command line takes them.
    settings: Vec<String>,
}

impl Postgres {
    /// Starts one that trusts everybody.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not come up.
    pub async fn start() -> Self {
        let mut postgres = Self::stopped();
        postgres.resume().await;
        postgres
    }

    /// Starts one that keeps its tables on this disk, and everything else elsewhere: also while the disk is full, it can
    /// write down what it does.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn on(disk: &SmallDisk) -> Self {
        let postgres = Self::start().await;
        let tables = disk.path().join("tables");
        std::fs::create_dir(&tables).expect("everybody may write there");
        postgres.owner.owns(&tables);
        // Each is a transaction of its own, which these have to be.
        postgres.sql(&format!(
            "CREATE TABLESPACE small LOCATION '{}'",
            tables.display()
        ));
        postgres.sql(&format!(
            "ALTER DATABASE {USER} SET default_tablespace = small"
        ));
        postgres
    }

    /// Starts one whose superuser has this password.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn with_password(password: &str) -> Self {
        let mut postgres = Self::made(Some(password));
        postgres.resume().await;
        postgres
    }

    /// Starts one that takes TLS only, from clients that show a certificate of this authority (PEM).
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn with_tls(server: &Credential, clients: &str) -> Self {
        let mut postgres = Self::stopped();
        let hba = "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";
        for (setting, content) in [
            ("ssl_cert_file", server.certificate.as_str()),
            ("ssl_key_file", server.key.as_str()),
            ("ssl_ca_file", clients),
            ("hba_file", hba),
        ] {
            let path = postgres.file(setting, content);
            postgres
                .settings
                .push(format!("{setting}={}", path.display()));
        }
        postgres.settings.push("ssl=on".to_owned());
        postgres.spawn();
        postgres
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Postgres::resume`].
    ///
    /// # Panics
    /// If PostgreSQL is not installed.
    pub fn stopped() -> Self {
        Self::made(None)
    }

    fn made(password: Option<&str>) -> Self {
        let postgres = Self {
            server: Server::stopped("postgres"),
            owner: Owner::of(USER),
            password: password.map(str::to_owned),
            settings: Vec::new(),
        };
        let mut command = postgres.program("initdb");
        let data = postgres.owner.dir(postgres.server.path(), "data");
        command.arg("-D").arg(data);
        command.args(["-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"]);
        match password {
            None => command.args(["-A", "trust"]),
            Some(password) => {
                let file = postgres.file("password", password);
                command.args(["-A", "scram-sha-256", "--pwfile"]).arg(file)
            }
        };
        if let Err(error) = answer(command) {
            panic!("initdb: {error}");
        }
        postgres
    }

    /// One of the server's programs.
    fn program(&self, name: &str) -> Command {
        let program = programs::postgresql(name).unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        self.owner.runs(&mut command);
        command
    }

    /// A file that only the server can read.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        self.owner.file(self.server.path().join(name), content)
    }

    fn data(&self) -> PathBuf {
        self.server.path().join("data")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        self.server.log()
    }

    /// Stops it; its clients are sent away, its data is saved.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        self.server.end(Signal::INT).await;
    }

    /// Ends it as a crash would: what was not written down is recovered at the next start.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn crash(&mut self) {
        self.server.end(Signal::QUIT).await;
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, or does not come up.
    pub async fn resume(&mut self) {
        self.spawn();
        eventually("postgres answers", async || {
            self.try_sql("SELECT 1").map(drop)
        })
        .await;
    }

    fn spawn(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data());
        // No socket beside the port, and nothing that only protects from a loss of power.
        let own = [
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
        ];
        let own = own.map(str::to_owned).into_iter();
        for setting in own.chain(self.settings.iter().cloned()) {
            command.args(["-c", &setting]);
        }
        command.args(["-h", "127.0.0.1", "-p", &self.server.port()]);
        self.server.spawn(command);
    }

    /// Carries out statements as the superuser and gives what `psql` prints: a line a row, `|` between columns.
    ///
    /// # Panics
    /// If they fail.
    pub fn sql(&self, statements: &str) -> String {
        self.try_sql(statements)
            .unwrap_or_else(|error| panic!("postgres {statements}: {error}"))
    }

    /// A session that has carried out these statements and stays, with the transaction that they begin, until it is
    /// dropped.
    ///
    /// # Panics
    /// If it cannot be started, or does not get through them.
    pub async fn session(&self, statements: &str) -> Session {
        let program = programs::postgresql("psql").unwrap_or_else(|error| panic!("{error:#}"));
        let log = Log::at(self.server.path().join("session"));
        let mut command = Command::new(program);
        command
            .args(["-XqAt", "-w", "-U", USER])
            .args(["-h", "127.0.0.1", "-p", &self.server.port()])
            .args(["-c", statements, "-c", "SELECT 'through'"])
            // Far longer than any test; the server ends with it.
            .args(["-c", "SELECT pg_sleep(3600)"]);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        let process = Process::spawn("psql", command, log.clone())
            .unwrap_or_else(|error| panic!("starting psql: {error}"));
        eventually("the session is through", async || match log.text() {
            text if text.contains("through") => Ok(()),
            text => Err(text),
        })
        .await;
        Session(process)
    }

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let program = programs::postgresql("psql").map_err(|error| format!("{error:#}"))?;
        let mut command = Command::new(program);
        command
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-w", "-U", USER])
            .args(["-h", "127.0.0.1", "-p", &self.server.port()])
            .args(["-c", statements]);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        answer(command)
    }
}

/// A session of [`Postgres::session`].
#[derive(Debug)]
pub struct Session(Process);

impl Drop for Session {
    fn drop(&mut self) {
        // It has the server end the statement that it is at, and ends; at SIGTERM, which comes next, the server would
        // not learn of it.
        self.0.signal(Signal::INT);
        self.0.ends_within(SHUTDOWN);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At SIGTERM, which comes next, it would wait for its clients to go by themselves.
        if let Some(process) = self.server.process() {
            process.signal(Signal::INT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_outlives_a_stop_and_a_crash() {
        let mut postgres = Postgres::start().await;
        postgres.sql("CREATE TABLE a (b int); INSERT INTO a VALUES (1)");
        let address = postgres.address();
        postgres.stop().await;
        postgres.resume().await;
        postgres.sql("INSERT INTO a VALUES (2)");
        postgres.crash().await;
        postgres.resume().await;
        assert_eq!(postgres.address(), address);
        assert_eq!(
            postgres.sql("SELECT b, b + 1 FROM a ORDER BY b"),
            "1|2\n2|3"
        );
    }

    #[tokio::test]
    async fn a_password_is_asked_for() {
        let mut postgres = Postgres::with_password("right").await;
        assert_eq!(postgres.sql("SELECT 1"), "1");
        postgres.password = Some("wrong".to_owned());
        assert!(postgres.try_sql("SELECT 1").is_err());
    }
}
