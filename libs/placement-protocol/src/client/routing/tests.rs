use std::{collections::BTreeMap, sync::Arc};

use super::*;

fn entry(key: &str) -> HostEntry {
    HostEntry {
        key: key.into(),
        host: HostRef {
            address: key.into(),
            app_id: "app".into(),
            port: 0,
        },
    }
}

fn tables(types: &[(&str, &[&str])]) -> Tables {
    let entries: BTreeMap<Arc<str>, Vec<HostEntry>> = types
        .iter()
        .map(|(actor_type, hosts)| {
            (
                (*actor_type).into(),
                hosts.iter().map(|host| entry(host)).collect(),
            )
        })
        .collect();
    Tables {
        replication: 100,
        entries,
    }
}

fn after(types: &[(&str, &[&str])]) -> Routing {
    Routing::default().with(1, &tables(types)).0
}

fn moved(from: &Routing, to: &Tables) -> Vec<String> {
    from.with(2, to).1.iter().map(ToString::to_string).collect()
}

#[test]
fn owner_follows_the_ring() {
    let routing = after(&[("A", &["10.0.0.3:50002", "10.0.0.1:50002", "10.0.0.2:50002"])]);
    for (id, host) in [("1", 3), ("2", 3), ("3", 2), ("actor-1", 1)] {
        let owner = routing.owner("A", id).expect("the type is hosted");
        assert_eq!(&*owner.address, format!("10.0.0.{host}:50002"));
    }
}

#[test]
fn nothing_can_be_looked_up_before_the_first_table() {
    assert_eq!(Routing::default().hosts_of("A"), Err(Held::NoTable));
}

#[test]
fn moving_types_are_held_until_released() {
    let routing = after(&[("A", &["h1"])]);
    assert_eq!(routing.hosts_of("A"), Err(Held::Moving));
    assert!(matches!(routing.released().hosts_of("A"), Ok(Some(_))));
}

#[test]
fn unhosted_type_has_no_hosts() {
    let routing = after(&[("A", &["h1"])]);
    assert_eq!(routing.hosts_of("B"), Ok(None));
    assert_eq!(routing.owner("B", "1"), None);
}

#[test]
fn added_removed_and_different_types_move() {
    let from = after(&[
        ("gone", &["h1"]),
        ("same", &["h1", "h2"]),
        ("wider", &["h1"]),
    ]);
    let to = tables(&[
        ("new", &["h1"]),
        ("same", &["h2", "h1"]),
        ("wider", &["h1", "h2"]),
    ]);
    assert_eq!(moved(&from, &to), ["gone", "new", "wider"]);
}

#[test]
fn change_of_app_or_port_moves_a_type() {
    let from = after(&[("A", &["h1"])]);
    for change in [
        HostRef {
            address: "h1".into(),
            app_id: "other".into(),
            port: 0,
        },
        HostRef {
            address: "h1".into(),
            app_id: "app".into(),
            port: 7,
        },
        HostRef {
            address: "elsewhere".into(),
            app_id: "app".into(),
            port: 0,
        },
    ] {
        let mut to = tables(&[("A", &["h1"])]);
        to.entries.insert(
            "A".into(),
            vec![HostEntry {
                key: "h1".into(),
                host: change,
            }],
        );
        assert_eq!(moved(&from, &to), ["A"]);
    }
}

#[test]
fn other_replication_moves_everything() {
    let from = after(&[("A", &["h1"]), ("B", &["h1"])]);
    let mut to = tables(&[("A", &["h1"]), ("B", &["h1"])]);
    to.replication = 7;
    assert_eq!(moved(&from, &to), ["A", "B"]);
}

#[test]
fn unmoved_type_keeps_its_route() {
    let from = after(&[("A", &["h1"])]);
    let (to, _) = from.with(2, &tables(&[("A", &["h1"]), ("B", &["h1"])]));
    assert!(Arc::ptr_eq(&from.types["A"], &to.types["A"]));
    assert_eq!((to.types["A"].since, to.types["B"].since), (1, 2));
    assert!(
        Arc::ptr_eq(&to.types["A"].ring, &to.types["B"].ring),
        "same hosts, same ring"
    );
}
