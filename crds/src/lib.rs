//! Dapr's custom resource types and the generator of their CRDs.
//!
//! ```text
//! the types of this crate ──schema──▶ CRD ──crdgen──▶ charts/dapr/crds/*.yaml
//!          │
//!          └──serde──▶ what the API server, the operator's stream and files on disk hold
//! ```
//!
//! Decoding is lenient, as upstream's programs are: what is absent or `null` takes its zero value, and unknown fields are
//! ignored. Deciding what a resource means, and refusing one, is the reader's part. Encoding writes every field that the
//! schema requires, even when empty, and leaves out optional ones that are unset.
//!
//! The schema follows the encoded form: a field is required when encoding always writes it. A golden table in
//! `golden/` holds upstream's fields, types, defaults and required-ness, and lists what we add.
//!
//! Absent on purpose: a Kubernetes client, any I/O (but for the generator), conversions into domain types.

mod component;
mod configuration;
mod definition;
mod http_endpoint;
mod lenient;
mod mcp_server;
mod object;
mod reference;
mod resiliency;
mod status;
mod subscription;
mod value;
mod workflow_access_policy;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use component::{Auth, Component, ComponentSpec};
pub use configuration::access_control::{AccessControlSpec, AppOperationAction, AppPolicySpec};
pub use configuration::metrics::{
    MetricHttp, MetricLabel, MetricSpec, MetricsRule, WorkflowMetrics,
};
pub use configuration::mtls::{MtlsSpec, ValidatorSpec};
pub use configuration::pipeline::{HandlerSpec, PipelineSpec, SelectorField, SelectorSpec};
pub use configuration::tracing::{OtelSpec, TracingSpec, ZipkinSpec};
pub use configuration::workflow::{
    NamedConcurrencyLimit, WorkflowSpec, WorkflowStateRetentionPolicy,
};
pub use configuration::{
    ApiAccessRule, ApiLoggingSpec, ApiSpec, ComponentsSpec, Configuration, ConfigurationSpec,
    FeatureSpec, LoggingSpec, NameResolutionSpec, SecretsScope, SecretsSpec, WasmSpec,
};
pub use definition::{Manifest, manifests};
pub use http_endpoint::{ClientTlsSpec, HttpEndpoint, HttpEndpointSpec, TlsDocumentSpec};
pub use mcp_server::{
    McpAuthSpec, McpCatalogSpec, McpEndpointSpec, McpHookSpec, McpHttpSpec, McpMiddlewareSpec,
    McpMutatingHookSpec, McpOauth2Spec, McpOwnerSpec, McpServer, McpServerSpec, McpSpiffeJwtSpec,
    McpSpiffeSpec, McpStdioSpec, McpWorkflowSpec,
};
pub use object::{Object, Spec, scopes_include};
pub use reference::reference;
pub use resiliency::{
    ActorTargetSpec, AppTargetSpec, CircuitBreakerSpec, ComponentTargetSpec, PoliciesSpec,
    PolicyNamesSpec, Resiliency, ResiliencySpec, RetryMatchingSpec, RetrySpec, TargetsSpec,
};
pub use status::{AppStatus, Condition, ConditionType, Reason, ResourceStatus, Truth};
pub use subscription::{
    BulkSubscribeSpec, RouteRuleSpec, RoutesSpec, Subscription, SubscriptionSpec, SubscriptionV1,
    SubscriptionV1Spec,
};
pub use value::{NameValuePair, SecretKeyRef};
pub use workflow_access_policy::{
    ActivityRuleSpec, WorkflowAccessPolicy, WorkflowAccessPolicySpec, WorkflowAccessRuleSpec,
    WorkflowCallerSpec, WorkflowOperation, WorkflowRuleSpec,
};

/// API group of every Dapr resource.
pub const GROUP: &str = "dapr.io";

/// API version of every kind but the newer Subscription.
pub const V1ALPHA1: &str = "v1alpha1";

/// API version of Subscriptions with rules.
pub const V2ALPHA1: &str = "v2alpha1";

/// `apiVersion` of Component and Configuration.
pub const API_VERSION_V1ALPHA1: &str = "dapr.io/v1alpha1";

/// Name of the Configuration that holds the control plane's own settings, in the control plane's namespace.
pub const SYSTEM_CONFIGURATION: &str = "daprsystem";
