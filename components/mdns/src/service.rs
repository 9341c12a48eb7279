//! What is said of this sidecar. Pure.

use std::net::IpAddr;

use crate::message::{Data, Message, Question, Record};

/// The list of all types of services (RFC 6763, section 9).
const TYPES: &str = "_services._dns-sd._udp.local.";
/// How long what is said is true, in seconds, as upstream says it.
const TTL: u32 = 3200;
/// The same of addresses (RFC 6762, section 10).
const ADDRESS_TTL: u32 = 120;
/// The longest first label of an instance, in bytes.
const LONGEST_LABEL: usize = 63;

/// This sidecar, as others find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    app_id: String,
    name: String,
    instance: String,
    host: String,
    address: IpAddr,
    port: u16,
}

/// The name under which the sidecars of an application are found.
pub(crate) fn service_name(app_id: &str) -> String {
    format!("{}.local.", app_id.trim_matches('.'))
}

impl Service {
    /// The sidecar of `app_id`, in the process with this id on this host.
    pub(crate) fn new(
        app_id: &str,
        (host, pid): (&str, u32),
        (address, port): (IpAddr, u16),
    ) -> Self {
        let name = service_name(app_id);
        let host = host.trim_matches('.');
        Self {
            app_id: app_id.to_owned(),
            instance: format!("{}.{name}", instance_label(host, pid)),
            name,
            host: format!("{host}.local."),
            address,
            port,
        }
    }

    /// The answer to a question, unless it does not concern this sidecar or the asker knows.
    pub(crate) fn answer(&self, question: &Question, asked: &Message) -> Option<Message> {
        let mut answer = Message {
            id: asked.id,
            response: true,
            ..Message::default()
        };
        if question.name == self.name {
            answer.answers.push(self.pointer(TTL));
            answer.additional.push(self.location(TTL, false));
            answer.additional.push(self.text(TTL, false));
            answer.additional.push(self.address(ADDRESS_TTL));
        } else if question.name == self.instance {
            answer.answers = self.everything(TTL, false);
        } else if question.name == TYPES {
            answer.answers.push(self.type_of(TTL));
        } else {
            return None;
        }
        let known = answer.answers.len() == 1 && is_known(&answer.answers[0], asked);
        (!known).then_some(answer)
    }

    /// Said to all when the sidecar comes.
    pub(crate) fn announcement(&self) -> Message {
        Message {
            response: true,
            answers: self.everything(TTL, true),
            ..Message::default()
        }
    }

    /// Said to all when it goes.
    pub(crate) fn goodbye(&self) -> Message {
        Message {
            response: true,
            answers: self.everything(0, true),
            ..Message::default()
        }
    }

    fn everything(&self, ttl: u32, flush: bool) -> Vec<Record> {
        vec![
            self.location(ttl, flush),
            self.text(ttl, flush),
            self.pointer(ttl),
            self.type_of(ttl),
            self.address(ttl.min(ADDRESS_TTL)),
        ]
    }

    fn pointer(&self, ttl: u32) -> Record {
        record(&self.name, ttl, false, Data::Ptr(self.instance.clone()))
    }

    fn type_of(&self, ttl: u32) -> Record {
        record(TYPES, ttl, false, Data::Ptr(self.name.clone()))
    }

    fn location(&self, ttl: u32, flush: bool) -> Record {
        let data = Data::Srv {
            port: self.port,
            target: self.host.clone(),
        };
        record(&self.instance, ttl, flush, data)
    }

    fn text(&self, ttl: u32, flush: bool) -> Record {
        let data = Data::Txt(vec![self.app_id.clone()]);
        record(&self.instance, ttl, flush, data)
    }

    /// It never flushes: the host's own responder may say other addresses of the same name.
    fn address(&self, ttl: u32) -> Record {
        let data = match self.address {
            IpAddr::V4(address) => Data::A(address),
            IpAddr::V6(address) => Data::Aaaa(address),
        };
        record(&self.host, ttl, false, data)
    }
}

fn record(name: &str, ttl: u32, flush: bool, data: Data) -> Record {
    Record {
        name: name.to_owned(),
        flush,
        ttl,
        data,
    }
}

/// `<host>:<pid>`; the host is cut where DNS has no room for it.
fn instance_label(host: &str, pid: u32) -> String {
    let pid = format!(":{pid}");
    let mut host = host.to_owned();
    let room = LONGEST_LABEL - pid.len();
    if host
        .split('.')
        .next_back()
        .is_some_and(|last| last.len() > room)
    {
        let keep = host.rfind('.').map_or(0, |dot| dot + 1) + room;
        while host.len() > keep {
            host.pop();
        }
    }
    host + &pid
}

/// Whether the asker said the same, and that it remembers it for a while (RFC 6762, section 7.1).
fn is_known(answer: &Record, asked: &Message) -> bool {
    asked.answers.iter().any(|known| {
        known.name == answer.name && known.data == answer.data && known.ttl >= answer.ttl / 2
    })
}

#[cfg(test)]
mod tests {
    use super::Service;
    use crate::message::{Data, Message, Question};

    fn service() -> Service {
        let address = "10.0.0.7".parse().unwrap();
        Service::new("orders", ("box", 42), (address, 50002))
    }

    fn ask(name: &str) -> (Question, Message) {
        let message = Message::question(name.to_owned());
        (message.questions[0].clone(), message)
    }

    #[test]
    fn one_message_answers_everything_that_upstream_needs() {
        let (question, asked) = ask("orders.local.");
        let answer = service().answer(&question, &asked).unwrap();
        assert!(answer.response);
        let said: Vec<(&str, &Data)> = answer
            .records()
            .map(|record| (record.name.as_str(), &record.data))
            .collect();
        let instance = "box:42.orders.local.";
        let location = Data::Srv {
            port: 50002,
            target: "box.local.".to_owned(),
        };
        assert_eq!(
            said,
            [
                ("orders.local.", &Data::Ptr(instance.to_owned())),
                (instance, &location),
                (instance, &Data::Txt(vec!["orders".to_owned()])),
                ("box.local.", &Data::A([10, 0, 0, 7].into())),
            ]
        );
    }

    #[test]
    fn other_names_are_not_answered() {
        for name in ["order.local.", "Orders.local.", "x.orders.local.", "local."] {
            let (question, asked) = ask(name);
            assert_eq!(service().answer(&question, &asked), None, "{name}");
        }
    }

    #[test]
    fn an_asker_that_knows_is_not_told_again() {
        let (question, mut asked) = ask("orders.local.");
        asked.answers = service().answer(&question, &asked).unwrap().answers;
        assert_eq!(service().answer(&question, &asked), None);
        asked.answers[0].ttl = 10;
        assert!(service().answer(&question, &asked).is_some());
    }

    #[test]
    fn a_goodbye_takes_everything_back() {
        assert!(service().goodbye().records().all(|record| record.ttl == 0));
    }

    #[test]
    fn a_host_with_a_long_name_is_announced_all_the_same() {
        let address = "10.0.0.7".parse().unwrap();
        for host in ["h".repeat(63), format!("a.{}", "h".repeat(63))] {
            let service = Service::new("orders", (&host, 4_000_000), (address, 50002));
            assert!(service.announcement().encode().is_ok(), "{host}");
        }
    }
}
