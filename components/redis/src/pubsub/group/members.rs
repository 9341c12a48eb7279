//! The consumers of a group: their names, and the end of those that died.

use std::{collections::BTreeMap, time::Duration};

use ::redis::{RedisResult, Value, from_redis_value};
use tracing::debug;
use trilby_components::state::StateError;

use super::Group;

/// Digits behind the group's name.
const DIGITS: usize = 16;
/// A consumer that lives reads every second, or holds something.
const DEAD_AFTER: Duration = Duration::from_hours(1);
/// Consumers that one look removes at most.
const MOST_REMOVED: usize = 100;

/// A name that no other consumer has.
pub(super) fn new_name(group: &str) -> String {
    let number: u64 = rand::random();
    format!("{group}-{number:016x}")
}

/// Removes consumers that died and hold nothing any more.
pub(super) async fn sweep(group: &Group, patience: Duration) {
    if let Err(error) = try_sweep(group, patience).await {
        debug!(topic = group.topic, %error, "consumers that died are not removed");
    }
}

async fn try_sweep(group: &Group, patience: Duration) -> Result<(), StateError> {
    let mut list = ::redis::cmd("XINFO");
    list.arg("CONSUMERS").arg(&group.topic).arg(&group.name);
    let answer = group.run(&list).await?;
    let members = members(answer).map_err(|error| StateError::Store(error.to_string()))?;
    let dead_after = DEAD_AFTER.max(patience.saturating_mul(2));
    let dead = members
        .into_iter()
        .filter(|member| member.name != group.consumer && member.is_dead(&group.name, dead_after));
    for member in dead.take(MOST_REMOVED) {
        group.remove(&member.name).await?;
    }
    Ok(())
}

fn members(answer: Value) -> RedisResult<Vec<Member>> {
    let rows: Vec<BTreeMap<String, Value>> = from_redis_value(answer)?;
    Ok(rows.into_iter().filter_map(Member::read).collect())
}

/// A consumer, as the server describes it.
#[derive(Debug)]
struct Member {
    name: String,
    held: u64,
    idle: Duration,
}

impl Member {
    fn read(mut row: BTreeMap<String, Value>) -> Option<Self> {
        let mut number = |name: &str| from_redis_value::<u64>(row.remove(name)?).ok();
        let (held, idle) = (number("pending")?, number("idle")?);
        Some(Self {
            held,
            idle: Duration::from_millis(idle),
            name: from_redis_value(row.remove("name")?).ok()?,
        })
    }

    /// Only one that has a name of ours: upstream's keep theirs, and so does anybody else.
    fn is_dead(&self, group: &str, after: Duration) -> bool {
        let number = self.name.strip_prefix(group);
        let number = number.and_then(|rest| rest.strip_prefix('-'));
        let ours = number.is_some_and(|number| {
            number.len() == DIGITS && number.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        ours && self.held == 0 && self.idle >= after
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::redis::Value;

    use super::{Member, members, new_name};

    #[test]
    fn consumers_are_read_from_the_servers_answer() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = vec![
            text("name"),
            text("app-1"),
            text("pending"),
            Value::Int(3),
            text("idle"),
            Value::Int(2000),
            text("inactive"),
            Value::Int(-1),
        ];
        let answer = Value::Array(vec![Value::Array(row)]);
        let found = members(answer).unwrap();
        let [member] = found.as_slice() else {
            panic!("there is one: {found:?}");
        };
        let idle = Duration::from_secs(2);
        assert_eq!(
            (&*member.name, member.held, member.idle),
            ("app-1", 3, idle)
        );
    }

    #[test]
    fn only_consumers_of_ours_that_hold_nothing_die() {
        let after = Duration::from_secs(9);
        let is_dead = |name: String, held, idle| {
            let idle = Duration::from_secs(idle);
            Member { name, held, idle }.is_dead("app", after)
        };
        assert!(is_dead(new_name("app"), 0, 9));
        assert!(!is_dead(new_name("app"), 0, 8), "it may live");
        assert!(!is_dead(new_name("app"), 1, 9), "what it holds is not lost");
        for other in ["app", "app-1", "app-000000000000000g", "apple"] {
            assert!(!is_dead(other.to_owned(), 0, 9), "{other} is not ours");
        }
        assert_ne!(new_name("app"), new_name("app"));
    }
}
