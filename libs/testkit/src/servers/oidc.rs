//! A real OpenID provider.

use std::process::Command;

use anyhow::Context as _;

use crate::eventually::eventually;
use crate::http::Client;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A provider that gives tokens to every client, signed with a key of its own.
#[derive(Debug)]
pub struct Oidc {
    port: Port,
    _process: Process,
    _dir: StateDir,
}

impl Oidc {
    /// Starts one.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        let (port, dir) = (Port::free(), StateDir::create("oidc"));
        let program = programs::peer("servers/oidc").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command.arg(port.number().to_string());
        let process = Process::spawn("oidc", command, Log::at(dir.join("log")))
            .unwrap_or_else(|error| panic!("starting the OpenID provider: {error}"));
        let keys = format!("http://{}/jwks", port.address());
        eventually("the OpenID provider publishes its keys", async || {
            Client::host().get(&keys).await?.success().map(drop)
        })
        .await;
        Self {
            port,
            _process: process,
            _dir: dir,
        }
    }

    /// Its name in tokens, and where its discovery document is.
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port.number())
    }

    /// Where tokens are given.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.issuer())
    }

    /// A token for this audience, got with client credentials.
    ///
    /// # Errors
    /// If it does not give one.
    pub async fn token(&self, audience: &str) -> anyhow::Result<String> {
        let form = format!("grant_type=client_credentials&scope=test&aud={audience}");
        let request = http::Request::post(self.token_url())
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(form.into())?;
        let answer = Client::host().request(request).await?.success()?.json();
        let token = answer["access_token"].as_str();
        Ok(token.context("no token in the answer")?.to_owned())
    }
}
