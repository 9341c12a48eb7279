//! Asks a process which services it has, by gRPC server reflection: `v1`, or `v1alpha`, which says the same in the same
//! messages.

use tokio_stream::once;
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest::ListServices,
    server_reflection_response::MessageResponse,
};

use crate::connection::Transport;

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// The full names of its services.
///
/// # Errors
/// It has no reflection, or fails.
pub(crate) async fn services(transport: &Transport) -> Result<Vec<String>, Status> {
    match ask(transport, V1).await {
        Err(status) if status.code() == Code::Unimplemented => ask(transport, V1ALPHA).await,
        answered => answered,
    }
}

async fn ask(transport: &Transport, path: &'static str) -> Result<Vec<String>, Status> {
    let mut client = Grpc::new(transport.clone());
    let ready = client.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(ListServices(String::new())),
    };
    let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
    let path = PathAndQuery::from_static(path);
    let asked = client.streaming(Request::new(once(question)), path, codec);
    let answer = asked.await?.into_inner().message().await?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|one| one.name).collect())
        }
        Some(MessageResponse::ErrorResponse(error)) => Err(Status::new(
            Code::from(error.error_code),
            error.error_message,
        )),
        _ => Err(Status::internal(
            "reflection did not answer with a list of services",
        )),
    }
}
