//! Messages of other sidecars and of placement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use prost::Message as _;
use trilby_actors::{ActorRequest, ActorResponse};
use trilby_placement_protocol::client::{Client, Event, HostEntry, HostRef, Tables};
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::internals::v1::{
    InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponse, ListStringValue,
};
use trilby_proto::placement::v1::PlacementTables;
use trilby_sidecar::blocks::invoke::frames::Incoming;
use trilby_sidecar::blocks::invoke::from_wire_head;
use trilby_sidecar::blocks::invoke::headers::{from_wire, to_http, to_metadata, to_wire};
use trilby_sidecar::payload::Payload;

/// A request of another sidecar, for an application and for an actor.
pub(crate) fn internal_request(data: &[u8]) {
    if let Ok(head) = InternalInvokeRequest::decode(data) {
        drop(from_wire_head(head.clone()));
        drop(ActorRequest::try_from(head));
    }
    if let Ok(response) = InternalInvokeResponse::decode(data) {
        let response = ActorResponse::from(response);
        assert!(response.status >= 100);
    }
}

/// Headers of another sidecar, a line each: `name: value`. What was accepted survives the way back.
pub(crate) fn wire_headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut wire = std::collections::HashMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let values: &mut ListStringValue = wire.entry(name.to_owned()).or_default();
        values.values.push(value.to_owned());
    }
    let (headers, origin) = from_wire(wire);
    let (again, _) = from_wire(to_wire(&headers, origin));
    assert_eq!(again.len(), headers.len(), "{headers:?} {again:?}");
    drop(to_http(headers.clone()));
    drop(to_metadata(headers, origin));
}

/// Pieces of a body: a byte of sequence number and a byte of length before each. The body is all of them in order, or
/// an error.
pub(crate) fn frames(data: &[u8]) {
    let mut pieces = Vec::new();
    let mut rest = data;
    while let [seq, length, behind @ ..] = rest {
        let (piece, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        pieces.push(StreamPayload {
            data: Bytes::copy_from_slice(piece),
            seq: u64::from(*seq),
        });
        rest = behind;
    }
    let in_order = pieces.iter().zip(0..).all(|(piece, seq)| piece.seq == seq);
    let whole: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece.data.to_vec())
        .collect();
    let messages = pieces.into_iter().map(|piece| {
        Ok(InternalInvokeRequestStream {
            request: None,
            payload: Some(piece),
        })
    });
    let body = Incoming::new(None, stream::iter(messages.collect::<Vec<_>>()));
    let body = Payload::Stream(Body::new(body));
    let collected = body.collect(64 * 1024).now_or_never();
    match collected.expect("nothing is waited for") {
        Ok(body) => assert!(in_order && body == whole),
        Err(_) => assert!(!in_order || whole.len() > 64 * 1024),
    }
}

/// A table of placement: every actor has an owner among the hosts of its type, and the round comes to an end.
pub(crate) fn placement_table(data: &[u8]) {
    let Ok(received) = PlacementTables::decode(data) else {
        return;
    };
    let tables = tables(received);
    let types: Vec<Arc<str>> = tables.entries.keys().cloned().collect();
    let hosts = tables.entries.clone();
    let mut client = Client::new(Duration::from_secs(30));
    let now = tokio::time::Instant::now().into_std();
    for event in [
        Event::Connected,
        Event::Hosting(types.clone()),
        Event::Lock { version: 1 },
        Event::Update { version: 1, tables },
        Event::Settled { version: 1 },
        Event::Unlock { version: 1 },
    ] {
        drop(client.step(event, now));
    }
    let routing = client.routing();
    for actor_type in types {
        let owner = routing.owner(&actor_type, "1");
        let among = |owner: &HostRef| hosts[&actor_type].iter().any(|entry| entry.host == *owner);
        assert!(owner.is_none_or(among), "{actor_type}");
    }
}

fn tables(received: PlacementTables) -> Tables {
    let mut entries = BTreeMap::new();
    for (actor_type, table) in received.entries {
        let hosts = table.load_map.into_iter().map(|(key, host)| HostEntry {
            key: key.into(),
            host: HostRef {
                address: host.name.into(),
                app_id: host.id.into(),
                port: host.port,
            },
        });
        entries.insert(Arc::from(actor_type), hosts.collect());
    }
    Tables {
        // Placement says how many; it is trusted with it.
        replication: u32::try_from(received.replication_factor.clamp(0, 100)).unwrap_or(100),
        entries,
    }
}
