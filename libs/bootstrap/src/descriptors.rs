//! How many files and sockets the process may have open.
//!
//! The limit that a process starts with is often 1024, which is for programs that use select(2); ours do not. They may
//! raise it up to their hard limit, as Go's runtime does for its programs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the limit as far as the process may.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(&limit) else {
        return;
    };
    let (from, to) = (limit.current, raised.current);
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => debug!(from, to, "raised the limit of open files"),
        Err(error) => warn!(%error, from, to, "could not raise the limit of open files"),
    }
}

/// What the limit becomes, unless it is the highest already. Without a number there is no limit.
fn raised(limit: &Rlimit) -> Option<Rlimit> {
    (limit.current != limit.maximum).then_some(Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_highest_that_is_allowed() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let lower = Rlimit {
            current: maximum.map_or(Some(1 << 20), |maximum| Some(maximum - 1)),
            maximum,
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn the_highest_limit_stays() {
        for maximum in [Some(4096), None] {
            let limit = Rlimit {
                current: maximum,
                maximum,
            };
            assert!(raised(&limit).is_none());
        }
    }
}
