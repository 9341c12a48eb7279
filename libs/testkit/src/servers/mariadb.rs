//! A real MariaDB.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use super::server::{Owner, SHUTDOWN, Server, answer};
use crate::ca::Credential;
use crate::eventually::eventually;
use crate::process::{Log, Process};
use crate::programs;

/// The superuser, without a password. Others are a test's own to make.
pub const USER: &str = "root";
/// The user of the system that Debian's package makes for the server.
const OWNER: &str = "mysql";

/// The directory of temporary tables.
const TEMPORARY: &str = "tmp";

/// A MariaDB server; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct Mariadb {
    server: Server,
    owner: Owner,
    /// Arguments beside those that every one has.
    settings: Vec<String>,
}

impl Mariadb {
    /// Starts one.
    ///
    /// # Panics
    /// If MariaDB is not installed or does not come up.
    pub async fn start() -> Self {
        let mut mariadb = Self::stopped();
        mariadb.resume().await;
        mariadb
    }

    /// Starts one that takes TLS as well, with this certificate.
    ///
    /// # Panics
    /// As [`Mariadb::start`].
    pub async fn with_tls(credential: &Credential) -> Self {
        let mut mariadb = Self::stopped();
        for (setting, content) in [
            ("ssl-cert", &credential.certificate),
            ("ssl-key", &credential.key),
        ] {
            let path = mariadb.server.path().join(setting);
            let path = mariadb.owner.file(path, content);
            let setting = format!("--{setting}={}", path.display());
            mariadb.settings.push(setting);
        }
        mariadb.resume().await;
        mariadb
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Mariadb::resume`].
    ///
    /// # Panics
    /// If MariaDB is not installed.
    pub fn stopped() -> Self {
        let mariadb = Self {
            server: Server::stopped("mariadb"),
            owner: Owner::of(OWNER),
            settings: Vec::new(),
        };
        let data = mariadb.owner.dir(mariadb.server.path(), "data");
        mariadb.owner.dir(mariadb.server.path(), TEMPORARY);
        let mut command = mariadb.program("mariadb-install-db");
        command
            .args(["--no-defaults", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", data.display()));
        if let Err(error) = answer(command) {
            panic!("mariadb-install-db: {error}");
        }
        mariadb
    }

    fn program(&self, name: &str) -> Command {
        let program = programs::system(name).unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        self.owner.runs(&mut command);
        // Where temporary tables go: their names are those of a process, and servers take those of others for left-overs.
        command.env("TMPDIR", self.server.path().join(TEMPORARY));
        command
    }

    fn data(&self) -> PathBuf {
        self.server.path().join("data")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its socket, while it runs.
    pub fn socket(&self) -> PathBuf {
        self.data().join("socket")
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
        self.server.end(Signal::TERM).await;
    }

    /// Ends it as a crash would: what was not written down is recovered at the next start.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn crash(&mut self) {
        self.server.end(Signal::KILL).await;
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, or does not come up.
    pub async fn resume(&mut self) {
        let mut command = self.program("mariadbd");
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1"])
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--port={}", self.server.port()))
            // Nothing that only protects from a loss of power.
            .arg("--innodb-flush-log-at-trx-commit=2")
            .arg("--innodb-buffer-pool-size=32M")
            .args(&self.settings);
        self.server.spawn(command);
        eventually("mariadb answers", async || {
            self.try_sql("SELECT 1").map(drop)
        })
        .await;
    }

    /// Carries out statements as the superuser and gives what the client prints: a line a row, tabs between columns.
    ///
    /// # Panics
    /// If they fail.
    pub fn sql(&self, statements: &str) -> String {
        self.try_sql(statements)
            .unwrap_or_else(|error| panic!("mariadb {statements}: {error}"))
    }

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let mut client = client(&self.server.port())?;
        client.args(["-e", statements]);
        answer(client)
    }

    /// A session that has carried out these statements and stays, with the transaction that they begin, until it is
    /// dropped.
    ///
    /// # Panics
    /// If it cannot be started, or does not get through them.
    pub async fn session(&self, statements: &str) -> Session {
        let port = self.server.port();
        let log = Log::at(self.server.path().join("session"));
        let mut command = client(&port).unwrap_or_else(|error| panic!("{error}"));
        // The last statement lasts far longer than any test; the server ends with it.
        let all = format!(
            "{statements}; SELECT CONCAT('through ', CONNECTION_ID()) AS told; SELECT SLEEP(3600)"
        );
        command.args(["--unbuffered", "-e", &all]);
        let process = Process::spawn("mariadb", command, log.clone())
            .unwrap_or_else(|error| panic!("starting the client: {error}"));
        let line = log.wait_for("through").await;
        let id = line
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        Session { process, port, id }
    }
}

/// A client of the server at this port, as the superuser.
fn client(port: &str) -> Result<Command, String> {
    let program = programs::system("mariadb").map_err(|error| format!("{error:#}"))?;
    let mut command = Command::new(program);
    command
        .args(["--no-defaults", "--batch", "--skip-column-names", "--raw"])
        .args(["--default-character-set=utf8mb4", "--user", USER])
        .args(["--host=127.0.0.1", "--port", port]);
    Ok(command)
}

/// A session of [`Mariadb::session`].
#[derive(Debug)]
pub struct Session {
    process: Process,
    port: String,
    /// By which the server knows it.
    id: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        // While it is at a statement, the server does not learn that its client is gone.
        if let Ok(mut killer) = client(&self.port) {
            killer.args(["-e", &format!("KILL {}", self.id)]);
            answer(killer).ok();
        }
        self.process.ends_within(SHUTDOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_outlives_a_stop_and_a_crash() {
        let mut mariadb = Mariadb::start().await;
        mariadb.sql("CREATE DATABASE d; CREATE TABLE d.a (b int); INSERT INTO d.a VALUES (1)");
        let address = mariadb.address();
        mariadb.stop().await;
        mariadb.resume().await;
        mariadb.sql("INSERT INTO d.a VALUES (2)");
        mariadb.crash().await;
        mariadb.resume().await;
        assert_eq!(mariadb.address(), address);
        assert_eq!(
            mariadb.sql("SELECT b, b + 1 FROM d.a ORDER BY b"),
            "1\t2\n2\t3"
        );
    }

    #[tokio::test]
    async fn a_session_ends_with_its_value() {
        let mariadb = Mariadb::start().await;
        let session = mariadb.session("SELECT 1").await;
        let sleeping =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
        eventually("it sleeps", async || match mariadb.sql(sleeping) {
            count if count == "1" => Ok(()),
            count => Err(count),
        })
        .await;
        drop(session);
        eventually("it is gone", async || match mariadb.sql(sleeping) {
            count if count == "0" => Ok(()),
            count => Err(count),
        })
        .await;
    }
}
