//! Servers that share the keys among them.

use super::Redis;
use crate::eventually::eventually;
use crate::ports::Port;

/// How many servers; with fewer than three there is no majority without one.
const SERVERS: usize = 3;
/// The slots of a cluster.
const SLOTS: usize = 16_384;

/// A cluster of primaries without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<Redis>,
    /// On which they talk to each other.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts one; each server has a third of the slots.
    ///
    /// # Panics
    /// If redis-server is not installed, or they do not find together.
    pub async fn start() -> Self {
        let buses: Vec<Port> = (0..SERVERS).map(|_| Port::free()).collect();
        let mut servers = Vec::new();
        for bus in &buses {
            let bus = bus.number().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            servers.push(Redis::with(&arguments).await);
        }
        let cluster = Self {
            servers,
            _buses: buses,
        };
        cluster.meet().await;
        cluster
    }

    /// The servers.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The servers, to stop one.
    pub fn servers_mut(&mut self) -> &mut [Redis] {
        &mut self.servers
    }

    /// The server that has a slot of this number.
    pub fn owner(&self, slot: u16) -> usize {
        usize::from(slot) * SERVERS / SLOTS
    }

    /// The slot of a key, as the servers compute it.
    ///
    /// # Panics
    /// If the first server does not run.
    pub fn slot(&self, key: &str) -> u16 {
        let slot = self.servers[0].command(&["CLUSTER", "KEYSLOT", key]);
        slot.parse().expect("a number")
    }

    /// Where they listen, as `redisHost` takes it.
    pub fn addresses(&self) -> String {
        let each: Vec<String> = self
            .servers
            .iter()
            .map(|server| server.address().to_string())
            .collect();
        each.join(",")
    }

    async fn meet(&self) {
        for (number, server) in self.servers.iter().enumerate() {
            let first = (number * SLOTS).div_ceil(SERVERS);
            let last = ((number + 1) * SLOTS).div_ceil(SERVERS) - 1;
            let (first, last) = (first.to_string(), last.to_string());
            server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            let epoch = (number + 1).to_string();
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for (other, bus) in self.servers.iter().zip(&self._buses).skip(1) {
            let (port, bus) = (other.address().port(), bus.number());
            let (port, bus) = (port.to_string(), bus.to_string());
            self.servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        for server in &self.servers {
            eventually("the server sees the whole cluster", async || {
                let info = server.command(&["CLUSTER", "INFO"]);
                let all = format!("cluster_known_nodes:{SERVERS}");
                if info.contains("cluster_state:ok") && info.contains(&all) {
                    Ok(())
                } else {
                    Err(info)
                }
            })
            .await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_has_a_third_of_the_slots() {
        let cluster = RedisCluster::start().await;
        for key in ["a", "b", "c", "d", "e", "f"] {
            let owner = cluster.owner(cluster.slot(key));
            assert_eq!(cluster.servers()[owner].command(&["SET", key, "x"]), "OK");
        }
    }
}
