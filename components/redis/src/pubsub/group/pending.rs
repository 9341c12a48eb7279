//! Entries that were given to a consumer and not settled yet.

use std::{collections::BTreeSet, time::Duration};

use ::redis::{Cmd, RedisResult, Value, from_redis_value};
use tracing::warn;
use trilby_components::state::StateError;

use super::{Group, milliseconds};
use crate::pubsub::entry::{Entry, Id, entries};

/// Entries that are looked at with one command.
const PAGE: usize = 100;

/// An entry, as far as the server says who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    id: Id,
    idle: Duration,
}

/// Takes over what has been idle for `patience`, from an id on and so many at most, and says where to go on.
pub(super) async fn take_over(
    group: &Group,
    patience: Duration,
    (from, most): (Id, usize),
    held: &BTreeSet<Id>,
) -> Result<(Vec<Entry>, Option<Id>), StateError> {
    let answer = group.run(&listing(group, from)).await?;
    let pending = read(answer).map_err(|error| StateError::Store(error.to_string()))?;
    let (due, next) = due(&pending, patience, most, held);
    if due.is_empty() {
        return Ok((Vec::new(), next));
    }
    let answer = group.run(&claiming(group, patience, &due)).await?;
    let claimed = entries(answer).map_err(|error| StateError::Store(error.to_string()))?;
    let there: BTreeSet<Id> = claimed.iter().map(|entry| entry.id).collect();
    let missing = due.into_iter().filter(|id| !there.contains(id));
    settle_what_is_gone(group, missing).await?;
    Ok((claimed, next))
}

fn listing(group: &Group, from: Id) -> Cmd {
    let mut list = ::redis::cmd("XPENDING");
    list.arg(&group.topic).arg(&group.name);
    list.arg(from.to_string()).arg("+").arg(PAGE);
    list
}

fn claiming(group: &Group, patience: Duration, ids: &[Id]) -> Cmd {
    let mut claim = ::redis::cmd("XCLAIM");
    claim.arg(&group.topic).arg(&group.name);
    claim.arg(&group.consumer).arg(milliseconds(patience));
    for id in ids {
        claim.arg(id.to_string());
    }
    claim
}

fn read(answer: Value) -> RedisResult<Vec<Pending>> {
    let rows: Vec<(String, String, u64, u64)> = from_redis_value(answer)?;
    let pending = rows.into_iter().filter_map(|(id, _, idle, _)| {
        Some(Pending {
            id: Id::parse(&id)?,
            idle: Duration::from_millis(idle),
        })
    });
    Ok(pending.collect())
}

/// Those of a page that are due, so many at most, and where the next page begins, if there is one.
fn due(
    page: &[Pending],
    patience: Duration,
    most: usize,
    held: &BTreeSet<Id>,
) -> (Vec<Id>, Option<Id>) {
    let mut due = Vec::new();
    for entry in page {
        if entry.idle < patience || held.contains(&entry.id) {
            continue;
        }
        if due.len() == most {
            return (due, Some(entry.id));
        }
        due.push(entry.id);
    }
    let last = page.last().filter(|_| page.len() >= PAGE);
    (due, last.map(|entry| entry.id.next()))
}

/// What was claimed and did not come is another's meanwhile, or not in the stream any more. An older server lets the latter
/// lie for ever.
async fn settle_what_is_gone(
    group: &Group,
    missing: impl Iterator<Item = Id>,
) -> Result<(), StateError> {
    let mut gone = Vec::new();
    for id in missing {
        let mut look = ::redis::cmd("XRANGE");
        look.arg(&group.topic);
        look.arg(id.to_string()).arg(id.to_string());
        if let Value::Array(found) = group.run(&look).await?
            && found.is_empty()
        {
            gone.push(id);
        }
    }
    if !gone.is_empty() {
        warn!(
            topic = group.topic,
            count = gone.len(),
            "messages were removed from the stream before they were handled"
        );
        group.settle(&gone).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PAGE, Pending, due};
    use crate::pubsub::entry::Id;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn id(number: usize) -> Id {
        Id::parse(&format!("1-{number}")).unwrap()
    }

    fn pending(number: usize, seconds: u64) -> Pending {
        Pending {
            id: id(number),
            idle: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn what_is_idle_and_not_held_is_due() {
        let page = [
            pending(1, 10),
            pending(2, 9),
            pending(3, 99),
            pending(4, 11),
        ];
        let found = due(&page, PATIENCE, 9, &[id(3)].into());
        assert_eq!(found, (vec![id(1), id(4)], None));
    }

    #[test]
    fn a_search_goes_on_where_there_was_no_room_any_more() {
        let page = [
            pending(1, 10),
            pending(2, 10),
            pending(3, 0),
            pending(4, 10),
        ];
        let found = due(&page, PATIENCE, 2, &[].into());
        assert_eq!(found, (vec![id(1), id(2)], Some(id(4))));
    }

    #[test]
    fn a_full_page_is_followed_by_another() {
        let page: Vec<_> = (0..PAGE).map(|number| pending(number, 0)).collect();
        let found = due(&page, PATIENCE, 2, &[].into());
        assert_eq!(found, (vec![], Some(id(PAGE))));
    }
}
