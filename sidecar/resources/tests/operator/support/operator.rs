//! The operator's side of the contract, as far as this crate uses it.

mod reports;

use std::{collections::BTreeMap, net::SocketAddr, pin::Pin, sync::Arc};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes};
use trilby_grpc::ServeConfig;
use trilby_proto::operator::v1::{
    ComponentUpdateEvent, ComponentUpdateRequest, ConfigurationUpdateEvent,
    ConfigurationUpdateRequest, GetConfigurationRequest, GetConfigurationResponse,
    GetResiliencyRequest, GetResiliencyResponse, HttpEndpointUpdateEvent,
    HttpEndpointUpdateRequest, ListComponentResponse, ListComponentsRequest,
    ListHttpEndpointsRequest, ListHttpEndpointsResponse, ListMcpServersRequest,
    ListMcpServersResponse, ListResiliencyRequest, ListResiliencyResponse,
    ListSubscriptionsRequest, ListSubscriptionsResponse, ListWorkflowAccessPolicyRequest,
    ListWorkflowAccessPolicyResponse, McpServerUpdateEvent, McpServerUpdateRequest,
    ResiliencyUpdateEvent, ResiliencyUpdateRequest, ResourceEventType, SubscriptionUpdateEvent,
    SubscriptionUpdateRequest, WorkflowAccessPolicyUpdateEvent, WorkflowAccessPolicyUpdateRequest,
    operator_server::{Operator, OperatorServer},
};
use trilby_proto::trilby::operator::v1::resource_reports_server::ResourceReportsServer;

use reports::Reports;

/// Messages that a slow subscriber may be behind; more than any test sends.
const CAPACITY: usize = 4096;

pub(crate) struct FakeOperator {
    address: SocketAddr,
    world: World,
    server: Option<(CancellationToken, JoinHandle<()>)>,
}

#[derive(Clone)]
struct World {
    state: Arc<Mutex<State>>,
    components: broadcast::Sender<Option<ComponentUpdateEvent>>,
    configurations: broadcast::Sender<Option<ConfigurationUpdateEvent>>,
    endpoints: broadcast::Sender<Option<HttpEndpointUpdateEvent>>,
    reports: Reports,
}

#[derive(Default)]
struct State {
    components: BTreeMap<String, String>,
    configurations: BTreeMap<String, String>,
    endpoints: BTreeMap<String, String>,
    subscriptions_error: Option<Status>,
    list_error: Option<Status>,
    without_streams: bool,
    late_streams: bool,
    lists: usize,
    streams: usize,
}

impl FakeOperator {
    pub(crate) async fn start() -> Self {
        let mut operator = Self::stopped().await;
        operator.resume().await;
        operator
    }

    /// Knows its address, and listens there only after [`Self::resume`].
    pub(crate) async fn stopped() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self {
            address: listener.local_addr().expect("it is bound"),
            world: World {
                state: Arc::default(),
                components: broadcast::channel(CAPACITY).0,
                configurations: broadcast::channel(CAPACITY).0,
                endpoints: broadcast::channel(CAPACITY).0,
                reports: Reports::default(),
            },
            server: None,
        }
    }

    pub(crate) async fn resume(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a socket option");
        socket.bind(self.address).expect("the port is still free");
        let listener = socket.listen(16).expect("it listens");
        let routes = Routes::new(OperatorServer::new(self.world.clone()))
            .add_service(ResourceReportsServer::new(self.world.clone()));
        let cancel = CancellationToken::new();
        let config = ServeConfig {
            drain: std::time::Duration::from_millis(1),
            ..ServeConfig::new("operator")
        };
        let serve = trilby_grpc::serve(listener, None, routes, (config, cancel.clone()));
        self.server = Some((cancel, tokio::spawn(serve)));
    }

    pub(crate) async fn stop(&mut self) {
        let (cancel, server) = self.server.take().expect("it runs");
        self.end_streams();
        cancel.cancel();
        server.await.expect("it ends well");
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.world.reports
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every stream that is open; clients come again.
    pub(crate) fn end_streams(&self) {
        self.world.reports.end_streams();
        // An error means that nobody listens.
        drop(self.world.components.send(None));
        drop(self.world.configurations.send(None));
        drop(self.world.endpoints.send(None));
    }

    pub(crate) fn apply(&self, json: &str) {
        self.apply_silently(json);
        self.tell(json, ResourceEventType::Updated);
    }

    /// Changes what lists say, without telling the stream.
    pub(crate) fn apply_silently(&self, json: &str) {
        let mut state = self.world.state.lock();
        state.components.insert(name_of(json), json.to_owned());
    }

    pub(crate) fn delete(&self, name: &str) {
        let json = self.world.state.lock().components.remove(name);
        let json = json.expect("the component is there");
        self.tell(&json, ResourceEventType::Deleted);
    }

    fn tell(&self, json: &str, kind: ResourceEventType) {
        let event = ComponentUpdateEvent {
            component: json.to_owned().into(),
            r#type: kind.into(),
        };
        drop(self.world.components.send(Some(event)));
    }

    pub(crate) fn configure(&self, json: &str) {
        let mut state = self.world.state.lock();
        state.configurations.insert(name_of(json), json.to_owned());
        drop(state);
        self.tell_configuration(json, ResourceEventType::Updated);
    }

    pub(crate) fn tell_configuration(&self, json: &str, kind: ResourceEventType) {
        let event = ConfigurationUpdateEvent {
            configuration: json.to_owned().into(),
            r#type: kind.into(),
        };
        drop(self.world.configurations.send(Some(event)));
    }

    pub(crate) fn apply_endpoint(&self, json: &str) {
        let mut state = self.world.state.lock();
        state.endpoints.insert(name_of(json), json.to_owned());
        drop(state);
        self.tell_endpoint(json, ResourceEventType::Updated);
    }

    pub(crate) fn delete_endpoint(&self, name: &str) {
        let json = self.world.state.lock().endpoints.remove(name);
        let json = json.expect("the endpoint is there");
        self.tell_endpoint(&json, ResourceEventType::Deleted);
    }

    fn tell_endpoint(&self, json: &str, kind: ResourceEventType) {
        let event = HttpEndpointUpdateEvent {
            http_endpoints: json.to_owned().into(),
            r#type: kind.into(),
        };
        drop(self.world.endpoints.send(Some(event)));
    }

    /// What lists of subscriptions answer, in the place of saying that this operator does not know them.
    pub(crate) fn fail_subscriptions(&self, status: Option<Status>) {
        self.world.state.lock().subscriptions_error = status;
    }

    pub(crate) fn fail_lists(&self, status: Option<Status>) {
        self.world.state.lock().list_error = status;
    }

    /// From now on it is one that does not know the streams.
    pub(crate) fn forget_streams(&self) {
        self.world.state.lock().without_streams = true;
    }

    /// From now on it answers the call that opens a stream with the first message of the stream.
    pub(crate) fn open_streams_late(&self) {
        self.world.state.lock().late_streams = true;
    }

    pub(crate) fn lists(&self) -> usize {
        self.world.state.lock().lists
    }

    /// How many streams of components are open.
    pub(crate) fn followers(&self) -> usize {
        self.world.components.receiver_count()
    }

    /// How many streams of components were opened so far.
    pub(crate) fn streams(&self) -> usize {
        self.world.state.lock().streams
    }
}

fn name_of(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("tests send JSON");
    value["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

type Events<T> = BoxStream<'static, Result<T, Status>>;

fn events<T: Clone + Send + 'static>(sender: &broadcast::Sender<Option<T>>) -> Events<T> {
    BroadcastStream::new(sender.subscribe())
        .map(|event| event.expect("no test is that far behind"))
        .take_while(|event| std::future::ready(event.is_some()))
        .filter_map(std::future::ready)
        .map(Ok)
        .boxed()
}

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not part of this test"))
}

type Answer<'t, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 't>>;

/// In the form that `async_trait` gives a method: it does not see through macros.
macro_rules! absent {
    ($($method:ident($request:ty) -> $response:ty;)*) => {$(
        fn $method<'a, 't>(&'a self, _: Request<$request>) -> Answer<'t, $response>
        where
            'a: 't,
            Self: 't,
        {
            Box::pin(std::future::ready(no()))
        }
    )*};
}

#[async_trait]
impl Operator for World {
    type ComponentUpdateStream = Events<ComponentUpdateEvent>;
    type ConfigurationUpdateStream = Events<ConfigurationUpdateEvent>;
    type SubscriptionUpdateStream = stream::Empty<Result<SubscriptionUpdateEvent, Status>>;
    type HTTPEndpointUpdateStream = Events<HttpEndpointUpdateEvent>;
    type MCPServerUpdateStream = stream::Empty<Result<McpServerUpdateEvent, Status>>;
    type ResiliencyUpdateStream = stream::Empty<Result<ResiliencyUpdateEvent, Status>>;
    type WorkflowAccessPolicyUpdateStream =
        stream::Empty<Result<WorkflowAccessPolicyUpdateEvent, Status>>;

    async fn component_update(
        &self,
        request: Request<ComponentUpdateRequest>,
    ) -> Result<Response<Self::ComponentUpdateStream>, Status> {
        assert_eq!(request.get_ref().namespace, "shop");
        let late = {
            let mut state = self.state.lock();
            if state.without_streams {
                return no();
            }
            state.streams += 1;
            state.late_streams
        };
        let mut events = Box::pin(events(&self.components).peekable());
        if late {
            events.as_mut().peek().await;
        }
        Ok(Response::new(events))
    }

    async fn list_components(
        &self,
        request: Request<ListComponentsRequest>,
    ) -> Result<Response<ListComponentResponse>, Status> {
        assert_eq!(request.get_ref().namespace, "shop");
        let mut state = self.state.lock();
        state.lists += 1;
        if let Some(status) = &state.list_error {
            return Err(status.clone());
        }
        let components = state.components.values();
        Ok(Response::new(ListComponentResponse {
            components: components.map(|json| json.clone().into()).collect(),
        }))
    }

    async fn get_configuration(
        &self,
        request: Request<GetConfigurationRequest>,
    ) -> Result<Response<GetConfigurationResponse>, Status> {
        let name = &request.get_ref().name;
        let state = self.state.lock();
        let found = state.configurations.get(name).ok_or_else(|| {
            Status::unknown(format!(
                "error getting configuration shop/{name}: Configuration.dapr.io \"{name}\" not found"
            ))
        })?;
        Ok(Response::new(GetConfigurationResponse {
            configuration: found.clone().into(),
        }))
    }

    async fn configuration_update(
        &self,
        _request: Request<ConfigurationUpdateRequest>,
    ) -> Result<Response<Self::ConfigurationUpdateStream>, Status> {
        Ok(Response::new(events(&self.configurations)))
    }

    async fn list_http_endpoints(
        &self,
        _request: Request<ListHttpEndpointsRequest>,
    ) -> Result<Response<ListHttpEndpointsResponse>, Status> {
        let state = self.state.lock();
        let endpoints = state.endpoints.values();
        Ok(Response::new(ListHttpEndpointsResponse {
            http_endpoints: endpoints.map(|json| json.clone().into()).collect(),
        }))
    }

    async fn http_endpoint_update(
        &self,
        _request: Request<HttpEndpointUpdateRequest>,
    ) -> Result<Response<Self::HTTPEndpointUpdateStream>, Status> {
        Ok(Response::new(events(&self.endpoints)))
    }

    async fn list_subscriptions_v2(
        &self,
        _request: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsResponse>, Status> {
        match &self.state.lock().subscriptions_error {
            Some(status) => Err(status.clone()),
            None => no(),
        }
    }

    absent! {
        list_subscriptions(()) -> ListSubscriptionsResponse;
        get_resiliency(GetResiliencyRequest) -> GetResiliencyResponse;
        list_resiliency(ListResiliencyRequest) -> ListResiliencyResponse;
        subscription_update(SubscriptionUpdateRequest) -> Self::SubscriptionUpdateStream;
        list_mcp_servers(ListMcpServersRequest) -> ListMcpServersResponse;
        mcp_server_update(McpServerUpdateRequest) -> Self::MCPServerUpdateStream;
        resiliency_update(ResiliencyUpdateRequest) -> Self::ResiliencyUpdateStream;
        list_workflow_access_policy(ListWorkflowAccessPolicyRequest) -> ListWorkflowAccessPolicyResponse;
        workflow_access_policy_update(WorkflowAccessPolicyUpdateRequest)
            -> Self::WorkflowAccessPolicyUpdateStream;
    }
}
