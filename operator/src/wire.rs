//! Resources as bytes on the wire.
//!
//! All kinds look alike there: a reply holds resources as field 1, an event one resource as field 1 and what happened
//! to it as field 2. So a resource is encoded once, and every reply and every stream shares those bytes.

use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use trilby_proto::operator::v1::ResourceEventType;

use crate::view::Change;

/// Bytes that gRPC puts before a message: not compressed, and how long it is.
const HEAD: usize = 5;
/// Field 1 of whatever length.
const RESOURCE: u8 = 0x0a;
/// Field 2, a number.
const EVENT_TYPE: u8 = 0x10;
/// Bytes of a length, at most.
const VARINT: usize = 10;

/// A resource as it goes out.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Tag, length and text.
    field: Bytes,
    /// Where in `field` the text begins.
    text: usize,
    /// The same as `field`, where events say something else than replies.
    told: Option<Bytes>,
    /// The event of each change, made when the first stream needs it.
    events: [OnceLock<Bytes>; 3],
}

impl Encoded {
    pub(crate) fn new(json: &[u8]) -> Self {
        let field = field(json);
        Self {
            text: field.len() - json.len(),
            field,
            told: None,
            events: Default::default(),
        }
    }

    /// Events are to say this instead.
    pub(crate) fn told_as(self, json: &[u8]) -> Self {
        Self {
            told: Some(field(json)),
            ..self
        }
    }

    pub(crate) fn json(&self) -> &[u8] {
        &self.field[self.text..]
    }

    /// The message that tells a sidecar of the change, with gRPC's head.
    pub(crate) fn event(&self, change: Change) -> Bytes {
        let (place, number) = match change {
            Change::Created => (0, ResourceEventType::Created),
            Change::Updated => (1, ResourceEventType::Updated),
            Change::Deleted => (2, ResourceEventType::Deleted),
        };
        let event = self.events[place].get_or_init(|| {
            let field = self.told.as_ref().unwrap_or(&self.field);
            let mut event = begin(field.len() + 2);
            event.put_slice(field);
            event.put_u8(EVENT_TYPE);
            event.put_u8(number as u8);
            event.freeze()
        });
        event.clone()
    }
}

/// A resource's text behind its tag and length.
fn field(json: &[u8]) -> Bytes {
    let mut field = BytesMut::with_capacity(1 + VARINT + json.len());
    field.put_u8(RESOURCE);
    put_varint(&mut field, json.len());
    field.put_slice(json);
    field.freeze()
}

/// The reply with these resources, with gRPC's head.
pub(crate) fn reply<'a>(resources: impl Iterator<Item = &'a Encoded> + Clone) -> Bytes {
    let mut reply = begin(resources.clone().map(|resource| resource.field.len()).sum());
    for resource in resources {
        reply.put_slice(&resource.field);
    }
    reply.freeze()
}

/// A message of this length, to be filled.
fn begin(length: usize) -> BytesMut {
    let mut message = BytesMut::with_capacity(HEAD + length);
    message.put_u8(0);
    let length = u32::try_from(length).expect("the API server keeps less than 4 GiB");
    message.put_u32(length);
    message
}

fn put_varint(to: &mut BytesMut, number: usize) {
    let mut rest = number;
    while rest >= 0x80 {
        to.put_u8((rest % 0x80) as u8 | 0x80);
        rest /= 0x80;
    }
    to.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use trilby_proto::operator::v1 as proto;

    use super::*;

    fn message<M: Message + Default>(framed: &Bytes) -> M {
        assert_eq!(framed[0], 0, "not compressed");
        let length = u32::from_be_bytes(framed[1..HEAD].try_into().unwrap());
        assert_eq!(length as usize, framed.len() - HEAD);
        M::decode(&framed[HEAD..]).unwrap()
    }

    #[test]
    fn an_event_is_what_the_generated_types_of_every_kind_read() {
        for json in [
            String::new(),
            "a".repeat(127),
            "b".repeat(128),
            "c".repeat(1 << 20),
        ] {
            let event = Encoded::new(json.as_bytes()).event(Change::Updated);
            let updated = i32::from(ResourceEventType::Updated);
            macro_rules! check {
                ($($event:ident . $field:ident),*) => {$(
                    let read: proto::$event = message(&event);
                    assert_eq!((read.$field, read.r#type), (json.clone().into(), updated));
                )*};
            }
            check!(
                ComponentUpdateEvent.component,
                ConfigurationUpdateEvent.configuration,
                HttpEndpointUpdateEvent.http_endpoints,
                McpServerUpdateEvent.mcp_server,
                ResiliencyUpdateEvent.resiliency,
                SubscriptionUpdateEvent.subscription,
                WorkflowAccessPolicyUpdateEvent.policy
            );
        }
    }

    #[test]
    fn a_reply_is_what_the_generated_types_of_every_kind_read() {
        let resources = [Encoded::new(b"one"), Encoded::new(&[b'x'; 300])];
        let framed = reply(resources.iter());
        let expected = [Bytes::from("one"), Bytes::from("x".repeat(300))];
        macro_rules! check {
            ($($reply:ident . $field:ident),*) => {$(
                let read: proto::$reply = message(&framed);
                assert_eq!(read.$field, expected);
            )*};
        }
        check!(
            ListComponentResponse.components,
            ListHttpEndpointsResponse.http_endpoints,
            ListMcpServersResponse.mcp_servers,
            ListResiliencyResponse.resiliencies,
            ListSubscriptionsResponse.subscriptions,
            ListWorkflowAccessPolicyResponse.policies
        );
        let one = reply(resources[..1].iter());
        let read: proto::GetConfigurationResponse = message(&one);
        assert_eq!(read.configuration, "one");
        let read: proto::GetResiliencyResponse = message(&one);
        assert_eq!(read.resiliency, "one");
    }

    #[test]
    fn events_may_say_something_else_than_replies() {
        let encoded = Encoded::new(b"reply").told_as(b"event");
        let event: proto::ComponentUpdateEvent = message(&encoded.event(Change::Created));
        assert_eq!(event.component, "event");
        let list: proto::ListComponentResponse = message(&reply(std::iter::once(&encoded)));
        assert_eq!(list.components, ["reply"]);
    }

    #[test]
    fn all_streams_share_the_bytes_of_an_event() {
        let encoded = Encoded::new(b"{}");
        let (one, other) = (
            encoded.event(Change::Created),
            encoded.event(Change::Created),
        );
        assert_eq!(one.as_ptr(), other.as_ptr());
        let created: proto::ComponentUpdateEvent = message(&one);
        let deleted: proto::ComponentUpdateEvent = message(&encoded.event(Change::Deleted));
        assert_eq!(
            (created.r#type(), deleted.r#type()),
            (ResourceEventType::Created, ResourceEventType::Deleted)
        );
        assert_eq!(encoded.json(), b"{}");
    }
}
