//! Who the replicas are: `--initial-cluster`.

use trilby_grpc::Target;
use trilby_placement_protocol::election::Replica;

/// The most there may be: every one asks all others, several times a second.
const MOST: usize = 9;

/// All replicas, in the order of their names. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    members: Vec<Member>,
    me: Replica,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: String,
    /// Where the others reach it.
    pub address: Target,
}

/// A list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// This replica is not in it.
    #[error("id {id:?} is not in initial-cluster {cluster:?}")]
    NotInCluster {
        /// This replica.
        id: String,
        /// The list as given.
        cluster: String,
    },
    /// One name stands twice in it.
    #[error("initial-cluster names {0:?} twice")]
    Twice(String),
    /// An address that nobody can be reached at.
    #[error("initial-cluster: {0}")]
    Address(#[from] trilby_grpc::client::InvalidTarget),
    /// So many cannot agree quickly.
    #[error("initial-cluster names {0} replicas: at most {MOST} are possible")]
    TooMany(usize),
}

// === impl Cluster ===

impl Cluster {
    /// Reads a comma-separated list of `id=host:port`, of which `id` is this replica. Entries that are not of that form
    /// are skipped, as upstream does.
    ///
    /// # Errors
    /// The list cannot be used.
    pub fn parse(id: &str, list: &str) -> Result<Self, ClusterError> {
        let entries = list
            .split(',')
            .filter_map(|entry| entry.split_once('='))
            .filter(|(_, address)| !address.contains('='))
            .map(|(id, address)| (id.trim(), address.trim()));
        let mut members = Vec::new();
        for (id, address) in entries {
            members.push(Member {
                id: id.to_owned(),
                address: address.parse()?,
            });
        }
        members.sort_by(|one, other| one.id.cmp(&other.id));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(ClusterError::Twice(pair[0].id.clone()));
        }
        if members.len() > MOST {
            return Err(ClusterError::TooMany(members.len()));
        }
        let me = members.iter().position(|member| member.id == id);
        let me = me.ok_or_else(|| ClusterError::NotInCluster {
            id: id.to_owned(),
            cluster: list.to_owned(),
        })?;
        Ok(Self {
            members,
            me: Replica(me),
        })
    }

    /// How many replicas there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// This replica's place.
    pub fn me(&self) -> Replica {
        self.me
    }

    /// This replica.
    pub fn own(&self) -> &Member {
        &self.members[self.me.0]
    }

    /// Everybody, each with its place.
    pub fn members(&self) -> impl Iterator<Item = (Replica, &Member)> {
        let places = (0..).map(Replica);
        places.zip(&self.members)
    }

    /// The place of a name.
    pub fn find(&self, id: &str) -> Option<Replica> {
        let found = self.members().find(|(_, member)| member.id == id);
        found.map(|(replica, _)| replica)
    }

    /// All names, the same text for all who have the same list.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.members.iter().map(|it| it.id.as_str()).collect();
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_stand_in_the_order_of_their_names() {
        let cluster = Cluster::parse("b", "c=h3:3, b=h2:2,a=[::1]:1").expect("usable");
        assert_eq!((cluster.size(), cluster.me()), (3, Replica(1)));
        assert_eq!(cluster.names(), "a,b,c");
        assert_eq!(cluster.own().address.to_string(), "h2:2");
        assert_eq!(cluster.find("c"), Some(Replica(2)));
        assert_eq!(cluster.find("d"), None);
    }

    #[test]
    fn unusable_lists_say_why() {
        let many: Vec<String> = (0..10).map(|n| format!("{n}=h:{n}")).collect();
        for (list, reason) in [
            ("b=h:1", "id \"a\" is not in initial-cluster \"b=h:1\""),
            ("a=h:1,a=h:2", "initial-cluster names \"a\" twice"),
            (
                "a=h",
                "initial-cluster: invalid server address \"h\": expected \"host:port\"",
            ),
            (
                &many.join(","),
                "initial-cluster names 10 replicas: at most 9 are possible",
            ),
        ] {
            let error = Cluster::parse("a", list).expect_err(reason);
            assert_eq!(error.to_string(), reason);
        }
    }
}
