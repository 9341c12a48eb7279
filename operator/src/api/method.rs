//! The methods of `dapr.proto.operator.v1.Operator`.

use tonic::Status;

use crate::resource::Kind;

/// What is asked, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    List(Kind),
    Get(Kind),
    /// A stream of changes.
    Follow(Kind),
    /// Of the version without a namespace.
    ListSubscriptions,
}

const PREFIX: &str = "/dapr.proto.operator.v1.Operator/";

const METHODS: [(&str, Method); 16] = [
    ("ComponentUpdate", Method::Follow(Kind::Component)),
    ("ListComponents", Method::List(Kind::Component)),
    ("GetConfiguration", Method::Get(Kind::Configuration)),
    ("ConfigurationUpdate", Method::Follow(Kind::Configuration)),
    ("ListSubscriptions", Method::ListSubscriptions),
    ("ListSubscriptionsV2", Method::List(Kind::Subscription)),
    ("SubscriptionUpdate", Method::Follow(Kind::Subscription)),
    ("GetResiliency", Method::Get(Kind::Resiliency)),
    ("ListResiliency", Method::List(Kind::Resiliency)),
    ("ResiliencyUpdate", Method::Follow(Kind::Resiliency)),
    ("ListHTTPEndpoints", Method::List(Kind::HttpEndpoint)),
    ("HTTPEndpointUpdate", Method::Follow(Kind::HttpEndpoint)),
    ("ListMCPServers", Method::List(Kind::McpServer)),
    ("MCPServerUpdate", Method::Follow(Kind::McpServer)),
    (
        "ListWorkflowAccessPolicy",
        Method::List(Kind::WorkflowAccessPolicy),
    ),
    (
        "WorkflowAccessPolicyUpdate",
        Method::Follow(Kind::WorkflowAccessPolicy),
    ),
];

impl Method {
    /// The method that a request's path names, with its name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn of(path: &str) -> Result<(&'static str, Self), Status> {
        let name = path.strip_prefix(PREFIX).unwrap_or(path);
        let known = METHODS.into_iter().find(|(method, _)| *method == name);
        known.ok_or_else(|| Status::unimplemented(format!("unknown method {name}")))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_of_the_contract_is_known_and_no_other() {
        let files = FileDescriptorSet::decode(trilby_proto::DESCRIPTOR_SET).unwrap();
        let package =
            |file: &&prost_types::FileDescriptorProto| file.package() == "dapr.proto.operator.v1";
        let file = files.file.iter().find(package).unwrap();
        let mut methods: Vec<_> = file.service[0]
            .method
            .iter()
            .map(|it| (it.name(), it.server_streaming()))
            .collect();
        methods.sort_unstable();
        let mut known = METHODS.map(|(name, method)| (name, matches!(method, Method::Follow(_))));
        known.sort_unstable();
        assert_eq!(methods, known);
        assert_eq!(
            Method::of("/other/ListComponents").unwrap_err().code(),
            tonic::Code::Unimplemented
        );
    }
}
