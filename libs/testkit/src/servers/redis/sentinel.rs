//! A master, its replica, and a sentinel that makes the one the other when it has gone.

use std::net::SocketAddr;
use std::process::Command;

use super::Redis;
use crate::eventually::eventually;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// What the sentinel calls the master.
pub const MASTER: &str = "mymaster";

/// One sentinel and two servers.
#[derive(Debug)]
pub struct WatchedRedis {
    servers: [Redis; 2],
    port: Port,
    _sentinel: Process,
    _dir: StateDir,
}

impl WatchedRedis {
    /// Starts them; the first server is the master, and the sentinel knows the other one.
    ///
    /// # Panics
    /// If redis-server is not installed, or they do not find together.
    pub async fn start() -> Self {
        let master = Redis::start().await;
        let (address, port) = (master.address(), Port::free());
        let of = format!("{} {}", address.ip(), address.port());
        let replica = Redis::with(&["--replicaof", &of]).await;
        let dir = StateDir::create("redis-sentinel");
        let watched = Self {
            servers: [master, replica],
            _sentinel: sentinel(&port, &dir, address),
            port,
            _dir: dir,
        };
        eventually("the sentinel knows the replica", async || {
            let known = watched.servers[0].at(watched.address(), &["SENTINEL", "REPLICAS", MASTER]);
            let replica = watched.servers[1].address().port().to_string();
            match known {
                Ok(known)
                    if known.contains(&replica) && known.contains("master-link-status\nok") =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        watched
    }

    /// Where the sentinel listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Makes the other server the master, without a fault.
    ///
    /// # Panics
    /// If the sentinel refuses.
    pub fn failover(&self) {
        let command = ["SENTINEL", "FAILOVER", MASTER];
        let done = self.servers[0].at(self.address(), &command);
        assert_eq!(done.as_deref(), Ok("OK"));
    }

    /// The servers; the first one was the master at the start.
    pub fn servers(&self) -> &[Redis; 2] {
        &self.servers
    }

    /// The servers, to stop one.
    pub fn servers_mut(&mut self) -> &mut [Redis; 2] {
        &mut self.servers
    }
}

fn sentinel(port: &Port, dir: &StateDir, master: SocketAddr) -> Process {
    let file = dir.join("sentinel.conf");
    let text = format!(
        "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER} {} {} 1\n\
         sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 3000\n",
        port.number(),
        dir.path().display(),
        master.ip(),
        master.port()
    );
    std::fs::write(&file, text).expect("the directory is writable");
    let program = programs::system("redis-server").unwrap_or_else(|error| panic!("{error:#}"));
    let mut command = Command::new(program);
    command.arg(file).arg("--sentinel");
    Process::spawn("redis-sentinel", command, Log::at(dir.join("log")))
        .unwrap_or_else(|error| panic!("starting a sentinel: {error}"))
}
