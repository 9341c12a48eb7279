//! The settings' names and kinds of values, those of a service and its checks in the words of Consul's API.
//!
//! Names are taken in any case, as upstream takes them; a name that is not known is left out and reported, and a
//! value of the wrong kind is an error that says where it stands.

use serde_json::{Map, Value};
use trilby_go_syntax::parse_duration;

/// What a value has to be.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    Flag,
    Whole,
    /// A Go duration, or nanoseconds as upstream has them. Becomes nanoseconds.
    Time,
    /// Whatever it is.
    Any,
    List(&'static Shape),
    /// Names of the user's own.
    Map(&'static Shape),
    Object(&'static [Field]),
}

/// A name as it is told, its name on the wire, its value.
pub(crate) type Field = (&'static str, &'static str, &'static Shape);

/// Everything that can be configured.
#[rustfmt::skip]
pub(crate) static CONFIGURATION: Shape = Shape::Object(&[
    ("client", "client", &CLIENT),
    ("checks", "checks", &Shape::List(&CHECK)),
    ("tags", "tags", &TEXTS),
    ("meta", "meta", &TEXT_MAP),
    ("queryOptions", "queryOptions", &QUERY),
    ("advancedRegistration", "advancedRegistration", &REGISTRATION),
    ("daprPortMetaKey", "daprPortMetaKey", &Shape::Text),
    ("selfRegister", "selfRegister", &Shape::Flag),
    ("selfDeregister", "selfDeregister", &Shape::Flag),
    ("useCache", "useCache", &Shape::Flag),
]);

static TEXTS: Shape = Shape::List(&Shape::Text);
static TEXT_MAP: Shape = Shape::Map(&Shape::Text);

#[rustfmt::skip]
static CLIENT: Shape = Shape::Object(&[
    ("address", "address", &Shape::Text),
    ("scheme", "scheme", &Shape::Text),
    ("datacenter", "datacenter", &Shape::Text),
    ("httpAuth", "httpAuth", &Shape::Object(&[
        ("username", "username", &Shape::Text),
        ("password", "password", &Shape::Text),
    ])),
    ("waitTime", "waitTime", &Shape::Time),
    ("token", "token", &Shape::Text),
    ("tokenFile", "tokenFile", &Shape::Text),
    ("tlsConfig", "tlsConfig", &Shape::Object(&[
        ("address", "address", &Shape::Text),
        ("caFile", "caFile", &Shape::Text),
        ("caPath", "caPath", &Shape::Text),
        ("certFile", "certFile", &Shape::Text),
        ("keyFile", "keyFile", &Shape::Text),
        ("insecureSkipVerify", "insecureSkipVerify", &Shape::Flag),
    ])),
]);

#[rustfmt::skip]
static QUERY: Shape = Shape::Object(&[
    ("namespace", "namespace", &Shape::Text),
    ("partition", "partition", &Shape::Text),
    ("datacenter", "datacenter", &Shape::Text),
    ("token", "token", &Shape::Text),
    ("near", "near", &Shape::Text),
    ("filter", "filter", &Shape::Text),
    ("maxAge", "maxAge", &Shape::Time),
    ("staleIfError", "staleIfError", &Shape::Time),
    ("waitHash", "waitHash", &Shape::Text),
    ("waitIndex", "waitIndex", &Shape::Whole),
    ("waitTime", "waitTime", &Shape::Time),
    ("nodeMeta", "nodeMeta", &TEXT_MAP),
    ("allowStale", "allowStale", &Shape::Flag),
    ("requireConsistent", "requireConsistent", &Shape::Flag),
    ("useCache", "useCache", &Shape::Flag),
    ("relayFactor", "relayFactor", &Shape::Whole),
    ("localOnly", "localOnly", &Shape::Flag),
    ("connect", "connect", &Shape::Flag),
]);

#[rustfmt::skip]
static CHECK: Shape = Shape::Object(&[
    ("args", "ScriptArgs", &TEXTS),
    ("checkID", "CheckID", &Shape::Text),
    ("name", "Name", &Shape::Text),
    ("dockerContainerID", "DockerContainerID", &Shape::Text),
    ("shell", "Shell", &Shape::Text),
    ("interval", "Interval", &Shape::Text),
    ("timeout", "Timeout", &Shape::Text),
    ("ttl", "TTL", &Shape::Text),
    ("http", "HTTP", &Shape::Text),
    ("method", "Method", &Shape::Text),
    ("tcp", "TCP", &Shape::Text),
    ("status", "Status", &Shape::Text),
    ("notes", "Notes", &Shape::Text),
    ("grpc", "GRPC", &Shape::Text),
    ("aliasNode", "AliasNode", &Shape::Text),
    ("aliasService", "AliasService", &Shape::Text),
    ("deregisterCriticalServiceAfter", "DeregisterCriticalServiceAfter", &Shape::Text),
    ("header", "Header", &Shape::Map(&TEXTS)),
    ("tlsSkipVerify", "TLSSkipVerify", &Shape::Flag),
    ("grpcUseTLS", "GRPCUseTLS", &Shape::Flag),
]);

#[rustfmt::skip]
static REGISTRATION: Shape = Shape::Object(&[
    ("kind", "Kind", &Shape::Text),
    ("id", "ID", &Shape::Text),
    ("name", "Name", &Shape::Text),
    ("tags", "Tags", &TEXTS),
    ("port", "Port", &Shape::Whole),
    ("address", "Address", &Shape::Text),
    ("taggedAddresses", "TaggedAddresses", &Shape::Map(&Shape::Object(&[
        ("address", "Address", &Shape::Text),
        ("port", "Port", &Shape::Whole),
    ]))),
    ("enableTagOverride", "EnableTagOverride", &Shape::Flag),
    ("meta", "Meta", &TEXT_MAP),
    ("weights", "Weights", &Shape::Object(&[
        ("passing", "Passing", &Shape::Whole),
        ("warning", "Warning", &Shape::Whole),
    ])),
    ("check", "Check", &CHECK),
    ("checks", "Checks", &Shape::List(&CHECK)),
    ("proxy", "Proxy", &PROXY),
    ("connect", "Connect", &Shape::Object(&[
        ("native", "Native", &Shape::Flag),
        ("sidecarService", "SidecarService", &REGISTRATION),
    ])),
]);

#[rustfmt::skip]
static PROXY: Shape = Shape::Object(&[
    ("destinationServiceName", "DestinationServiceName", &Shape::Text),
    ("destinationServiceID", "DestinationServiceID", &Shape::Text),
    ("localServiceAddress", "LocalServiceAddress", &Shape::Text),
    ("localServicePort", "LocalServicePort", &Shape::Whole),
    ("config", "Config", &Shape::Map(&Shape::Any)),
    ("upstreams", "Upstreams", &Shape::List(&UPSTREAM)),
    ("meshGateway", "MeshGateway", &MESH_GATEWAY),
    ("expose", "Expose", &Shape::Object(&[
        ("checks", "Checks", &Shape::Flag),
        ("paths", "Paths", &Shape::List(&Shape::Object(&[
            ("listenerPort", "ListenerPort", &Shape::Whole),
            ("path", "Path", &Shape::Text),
            ("localPathPort", "LocalPathPort", &Shape::Whole),
            ("protocol", "Protocol", &Shape::Text),
            ("parsedFromCheck", "ParsedFromCheck", &Shape::Flag),
        ]))),
    ])),
]);

#[rustfmt::skip]
static UPSTREAM: Shape = Shape::Object(&[
    ("destinationType", "DestinationType", &Shape::Text),
    ("destinationNamespace", "DestinationNamespace", &Shape::Text),
    ("destinationName", "DestinationName", &Shape::Text),
    ("datacenter", "Datacenter", &Shape::Text),
    ("localBindAddress", "LocalBindAddress", &Shape::Text),
    ("localBindPort", "LocalBindPort", &Shape::Whole),
    ("config", "Config", &Shape::Map(&Shape::Any)),
    ("meshGateway", "MeshGateway", &MESH_GATEWAY),
]);

static MESH_GATEWAY: Shape = Shape::Object(&[("mode", "Mode", &Shape::Text)]);

/// A configuration in the words of the wire.
#[derive(Debug)]
pub(crate) struct Canonical {
    /// Its values; null and absent are the same.
    pub(crate) value: Value,
    /// The names nobody knows, with the way to them: `client.adress`.
    pub(crate) unknown: Vec<String>,
}

/// Reads `value` as `shape` has it.
///
/// # Errors
/// A value of the wrong kind: where it stands, and what it should be.
pub(crate) fn canonical(shape: &Shape, value: &Value) -> Result<Canonical, String> {
    let mut reader = Reader::default();
    let value = reader.read(shape, value)?;
    Ok(Canonical {
        value,
        unknown: reader.unknown,
    })
}

#[derive(Default)]
struct Reader {
    path: Vec<String>,
    unknown: Vec<String>,
}

impl Reader {
    fn read(&mut self, shape: &Shape, value: &Value) -> Result<Value, String> {
        match (shape, value) {
            (Shape::Any, _) | (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => {
                Ok(value.clone())
            }
            (Shape::Whole, Value::Number(number)) if !number.is_f64() => Ok(value.clone()),
            (Shape::Time, value) => self.time(value),
            (Shape::List(of), Value::Array(items)) => self.list(of, items),
            (Shape::Map(of), Value::Object(items)) => self.map(of, items),
            (Shape::Object(fields), Value::Object(items)) => self.object(fields, items),
            _ => Err(self.wrong(shape)),
        }
    }

    fn time(&self, value: &Value) -> Result<Value, String> {
        let time = match value {
            Value::String(text) => parse_duration(text).ok(),
            value => value.as_u64().map(std::time::Duration::from_nanos),
        };
        let nanoseconds = time.and_then(|time| u64::try_from(time.as_nanos()).ok());
        nanoseconds
            .map(Value::from)
            .ok_or_else(|| self.wrong(&Shape::Time))
    }

    fn list(&mut self, of: &Shape, items: &[Value]) -> Result<Value, String> {
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            list.push(self.at(index.to_string(), of, item)?);
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, of: &Shape, items: &Map<String, Value>) -> Result<Value, String> {
        let mut map = Map::new();
        for (name, item) in items.iter().filter(|(_, item)| !item.is_null()) {
            map.insert(name.clone(), self.at(name.clone(), of, item)?);
        }
        Ok(Value::Object(map))
    }

    fn object(
        &mut self,
        fields: &'static [Field],
        items: &Map<String, Value>,
    ) -> Result<Value, String> {
        let mut object = Map::new();
        for (name, item) in items {
            let field = fields
                .iter()
                .find(|field| field.0.eq_ignore_ascii_case(name));
            match field {
                Some((told, wire, shape)) if !item.is_null() => {
                    let read = self.at((*told).to_owned(), shape, item)?;
                    object.insert((*wire).to_owned(), read);
                }
                Some(_) => {}
                None => self.unknown.push(self.path_of(name)),
            }
        }
        Ok(Value::Object(object))
    }

    fn at(&mut self, name: String, shape: &Shape, value: &Value) -> Result<Value, String> {
        self.path.push(name);
        let read = self.read(shape, value);
        self.path.pop();
        read
    }

    fn path_of(&self, name: &str) -> String {
        let path = self.path.iter().map(String::as_str).chain([name]);
        path.collect::<Vec<_>>().join(".")
    }

    fn wrong(&self, shape: &Shape) -> String {
        let wanted = match shape {
            Shape::Text => "a text",
            Shape::Flag => "true or false",
            Shape::Whole => "a whole number",
            Shape::Time => "a duration such as 10s, or nanoseconds",
            Shape::List(_) => "a list",
            Shape::Map(_) | Shape::Object(_) | Shape::Any => "an object",
        };
        match self.path.as_slice() {
            [] => format!("expected {wanted}"),
            path => format!("{}: expected {wanted}", path.join(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CONFIGURATION, Canonical, Value, canonical};

    fn read(value: &Value) -> Canonical {
        canonical(&CONFIGURATION, value).unwrap()
    }

    fn refusal(value: &Value) -> String {
        canonical(&CONFIGURATION, value).unwrap_err()
    }

    #[test]
    fn names_are_taken_in_any_case_but_for_the_users_own() {
        let read = read(&json!({
            "Client": { "TLSConfig": { "CAFile": "a.pem" }, "WAITTIME": "10s" },
            "meta": { "Version": "1" },
            "checks": [{ "CheckId": "a", "ARGS": ["x"], "header": { "X-Own": ["1"] } }],
        }));
        let expected = json!({
            "client": { "tlsConfig": { "caFile": "a.pem" }, "waitTime": 10_000_000_000_u64 },
            "meta": { "Version": "1" },
            "checks": [{ "CheckID": "a", "ScriptArgs": ["x"], "Header": { "X-Own": ["1"] } }],
        });
        assert_eq!(read.value, expected);
        assert!(read.unknown.is_empty(), "{:?}", read.unknown);
    }

    #[test]
    fn an_unknown_name_is_left_out_and_named_with_its_path() {
        let read = read(&json!({
            "adress": "x",
            "client": { "adress": "x" },
            "advancedRegistration": { "connect": { "sidecarService": { "prot": 1 } } },
        }));
        let unknown = [
            "adress",
            "advancedRegistration.connect.sidecarService.prot",
            "client.adress",
        ];
        let mut found = read.unknown;
        found.sort();
        assert_eq!(found, unknown);
        assert_eq!(read.value["client"], json!({}));
    }

    #[test]
    fn a_value_of_the_wrong_kind_says_where_it_stands() {
        assert_eq!(refusal(&json!("x")), "expected an object");
        assert_eq!(
            refusal(&json!({ "checks": [{}, { "interval": 15 }] })),
            "checks.1.interval: expected a text"
        );
        assert_eq!(
            refusal(&json!({ "meta": { "a": 1 } })),
            "meta.a: expected a text"
        );
        assert_eq!(
            refusal(&json!({ "client": { "waitTime": "soon" } })),
            "client.waitTime: expected a duration such as 10s, or nanoseconds"
        );
        assert_eq!(
            refusal(&json!({ "queryOptions": { "relayFactor": 1.5 } })),
            "queryOptions.relayFactor: expected a whole number"
        );
    }

    #[test]
    fn null_is_absent() {
        let read = read(&json!({ "client": null, "selfRegister": null }));
        assert_eq!(read.value, json!({}));
    }
}
