//! Takes what sidecars say about resources.

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Streaming};
use trilby_proto::trilby::operator::v1::{
    ReportRequest, ReportResponse, resource_reports_server::ResourceReports,
};

use super::{Reply, authorization::identify, stream};
use crate::reports::Reports;

/// The service.
pub(crate) struct ReportsApi {
    reports: Reports,
    shutdown: CancellationToken,
}

impl ReportsApi {
    pub(crate) fn new(reports: Reports, shutdown: CancellationToken) -> Self {
        Self { reports, shutdown }
    }
}

#[tonic::async_trait]
impl ResourceReports for ReportsApi {
    async fn report(&self, request: Request<Streaming<ReportRequest>>) -> Reply<ReportResponse> {
        let id = identify(request.extensions())?;
        let sidecar = self.reports.connect(id.namespace(), id.app_id());
        let mut messages = request.into_inner();
        loop {
            let message = tokio::select! {
                () = self.shutdown.cancelled() => return Err(stream::ending()),
                message = messages.message() => message?,
            };
            match message {
                Some(message) => sidecar.take(message.states),
                None => return Ok(Response::new(ReportResponse {})),
            }
        }
    }
}
