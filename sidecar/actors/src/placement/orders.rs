//! Orders of placement as events of the client machine.

use std::collections::HashMap;

use trilby_placement_protocol::client::{Delta, Event, HostEntry, HostRef, Tables, TypeDelta};
use trilby_placement_protocol::extension;
use trilby_proto::placement::v1::{Host, PlacementOrder, PlacementTables};

/// What an order means.
///
/// # Errors
/// Why it means nothing.
pub(super) fn event_of(order: PlacementOrder) -> Result<Event, String> {
    match order.operation.as_str() {
        "lock" => Ok(Event::Lock {
            version: version_of(&order)?,
        }),
        "update" => Ok(Event::Update {
            version: version_of(&order)?,
            tables: tables_of(with_tables(order)?)?,
        }),
        "unlock" => Ok(Event::Unlock {
            version: version_of(&order)?,
        }),
        extension::DELTA => Ok(Event::Delta {
            version: order.version,
            delta: delta_of(with_tables(order)?)?,
        }),
        extension::RELEASE => Ok(Event::Release {
            version: order.version,
            types: with_tables(order)?
                .entries
                .into_keys()
                .map(Into::into)
                .collect(),
        }),
        extension::ALIVE => Ok(Event::Alive {
            beat: order.version,
        }),
        other => Err(format!("unknown operation: {other}")),
    }
}

fn with_tables(order: PlacementOrder) -> Result<PlacementTables, String> {
    let missing = || format!("order {} comes without tables", order.operation);
    order.tables.ok_or_else(missing)
}

/// Placement of earlier versions names the round in the table only.
fn version_of(order: &PlacementOrder) -> Result<u64, String> {
    match &order.tables {
        Some(tables) if order.version == 0 && !text(tables).is_empty() => number(tables),
        _ => Ok(order.version),
    }
}

fn number(tables: &PlacementTables) -> Result<u64, String> {
    let text = text(tables);
    let wrong = |_| format!("the table's version {text:?} is no number");
    text.parse().map_err(wrong)
}

#[allow(deprecated, reason = "placement of earlier versions fills it")]
fn text(tables: &PlacementTables) -> &str {
    &tables.version
}

fn tables_of(tables: PlacementTables) -> Result<Tables, String> {
    let replication = replication_of(&tables)?;
    let entries = tables.entries.into_iter();
    Ok(Tables {
        replication,
        entries: entries
            .map(|(entity, table)| (entity.into(), hosts(table.load_map)))
            .collect(),
    })
}

fn delta_of(tables: PlacementTables) -> Result<Delta, String> {
    let (base, replication) = (number(&tables)?, replication_of(&tables)?);
    let types = tables.entries.into_iter().map(|(entity, table)| {
        let change = TypeDelta {
            removed: table.hosts.into_values().map(Into::into).collect(),
            upserted: hosts(table.load_map),
        };
        (entity.into(), change)
    });
    Ok(Delta {
        base,
        replication,
        types: types.collect(),
    })
}

fn replication_of(tables: &PlacementTables) -> Result<u32, String> {
    let factor = tables.replication_factor;
    u32::try_from(factor).map_err(|_| format!("replication factor {factor} is impossible"))
}

fn hosts(load_map: HashMap<String, Host>) -> Vec<HostEntry> {
    let entry = |(key, host): (String, Host)| HostEntry {
        key: key.into(),
        host: HostRef {
            address: host.name.into(),
            app_id: host.id.into(),
            port: host.port,
        },
    };
    load_map.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use trilby_proto::placement::v1::PlacementTable;

    use super::*;

    #[allow(deprecated, reason = "placement of earlier versions fills it")]
    fn order(operation: &str, version: u64, of_table: &str) -> PlacementOrder {
        let table = PlacementTable {
            hosts: HashMap::from([(0, "h1".to_owned())]),
            load_map: HashMap::from([("h2".to_owned(), Host::default())]),
            ..PlacementTable::default()
        };
        PlacementOrder {
            operation: operation.to_owned(),
            version,
            tables: Some(PlacementTables {
                version: of_table.to_owned(),
                entries: HashMap::from([("cat".to_owned(), table)]),
                ..PlacementTables::default()
            }),
        }
    }

    #[test]
    fn the_version_is_the_orders_or_else_the_tables() {
        for (of_order, of_table, expected) in [(3, "", 3), (3, "4", 3), (0, "4", 4), (0, "", 0)] {
            let event = event_of(order("update", of_order, of_table));
            let Ok(Event::Update { version, .. }) = event else {
                panic!("{event:?} is no update")
            };
            assert_eq!(version, expected);
        }
        let error = event_of(order("update", 0, "x")).expect_err("no number");
        assert_eq!(error, "the table's version \"x\" is no number");
    }

    #[test]
    fn a_delta_names_its_base_and_both_kinds_of_changes() {
        let event = event_of(order(extension::DELTA, 5, "4"));
        let Ok(Event::Delta { version: 5, delta }) = event else {
            panic!("{event:?} is no delta")
        };
        assert_eq!(delta.base, 4);
        let change = &delta.types["cat"];
        assert_eq!(&*change.removed[0], "h1");
        assert_eq!(&*change.upserted[0].key, "h2");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let other = event_of(order("dance", 1, "")).expect_err("no order");
        assert_eq!(other, "unknown operation: dance");
        let mut empty = order("update", 1, "");
        empty.tables = None;
        let empty = event_of(empty).expect_err("no tables");
        assert_eq!(empty, "order update comes without tables");
    }
}
