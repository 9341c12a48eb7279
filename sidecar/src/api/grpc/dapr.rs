//! `dapr.proto.runtime.v1.Dapr`: every method, each one line long or named as not there yet.

use std::future::Future;
use std::pin::Pin;

use tonic::{Request, Response, Status, Streaming};
use trilby_proto::common::v1::InvokeResponse;
use trilby_proto::runtime::v1::dapr_server::Dapr;
use trilby_proto::runtime::v1::{
    BulkPublishRequest, BulkPublishResponse, ConversationRequest, ConversationRequestAlpha2,
    ConversationResponse, ConversationResponseAlpha2, DecryptRequest, DecryptResponse,
    DeleteBulkStateRequest, DeleteJobRequest, DeleteJobResponse, DeleteJobsByPrefixRequest,
    DeleteJobsByPrefixRequestAlpha1, DeleteJobsByPrefixResponse, DeleteJobsByPrefixResponseAlpha1,
    DeleteStateRequest, EncryptRequest, EncryptResponse, ExecuteActorStateTransactionRequest,
    ExecuteStateTransactionRequest, GetActorReminderRequest, GetActorReminderResponse,
    GetActorStateRequest, GetActorStateResponse, GetBulkSecretRequest, GetBulkSecretResponse,
    GetBulkStateRequest, GetBulkStateResponse, GetConfigurationRequest, GetConfigurationResponse,
    GetJobRequest, GetJobResponse, GetMetadataRequest, GetMetadataResponse, GetSecretRequest,
    GetSecretResponse, GetStateRequest, GetStateResponse, GetWorkflowRequest, GetWorkflowResponse,
    InvokeActorRequest, InvokeActorResponse, InvokeBindingRequest, InvokeBindingResponse,
    InvokeServiceRequest, ListActorRemindersRequest, ListActorRemindersResponse, ListJobsRequest,
    ListJobsRequestAlpha1, ListJobsResponse, ListJobsResponseAlpha1, PauseWorkflowRequest,
    PublishEventRequest, PurgeWorkflowRequest, QueryStateRequest, QueryStateResponse,
    RaiseEventWorkflowRequest, RegisterActorReminderRequest, RegisterActorTimerRequest,
    ResumeWorkflowRequest, SaveStateRequest, ScheduleJobRequest, ScheduleJobResponse,
    SetMetadataRequest, ShutdownRequest, StartWorkflowRequest, StartWorkflowResponse,
    SubscribeActorEventsRequestAlpha1, SubscribeActorEventsResponseAlpha1,
    SubscribeConfigurationRequest, SubscribeTopicEventsRequestAlpha1, SubtleDecryptRequest,
    SubtleDecryptResponse, SubtleEncryptRequest, SubtleEncryptResponse, SubtleGetKeyRequest,
    SubtleGetKeyResponse, SubtleSignRequest, SubtleSignResponse, SubtleUnwrapKeyRequest,
    SubtleUnwrapKeyResponse, SubtleVerifyRequest, SubtleVerifyResponse, SubtleWrapKeyRequest,
    SubtleWrapKeyResponse, TerminateWorkflowRequest, TryLockRequest, TryLockResponse,
    UnlockRequest, UnlockResponse, UnregisterActorReminderRequest,
    UnregisterActorRemindersByTypeRequest, UnregisterActorRemindersByTypeResponse,
    UnregisterActorTimerRequest, UnsubscribeConfigurationRequest, UnsubscribeConfigurationResponse,
};

use super::spans::describe_store;
use super::{
    GrpcApi, actors, bindings, configuration, crypto, invoke, lock, metadata, publish, secrets,
    state, subscribe,
};
use crate::api::subtle;
use crate::error::ApiError;

/// The answers of a stream that is not there yet: none.
type Absent<T> = tokio_stream::Empty<Result<T, Status>>;

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

/// Writes methods of a block that is not there yet.
macro_rules! absent {
    ($feature:literal: $($method:ident($request:ty) -> $response:ty;)+) => {$(
        fn $method<'life0, 'async_trait>(
            &'life0 self,
            _: Request<$request>,
        ) -> Answer<'async_trait, $response>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(ApiError::not_there_yet($feature).status()) })
        }
    )+};
}

#[tonic::async_trait]
impl Dapr for GrpcApi {
    async fn invoke_service(
        &self,
        request: Request<InvokeServiceRequest>,
    ) -> Result<Response<InvokeResponse>, Status> {
        invoke::invoke_service(&self.blocks, request).await
    }

    async fn get_state(
        &self,
        request: Request<GetStateRequest>,
    ) -> Result<Response<GetStateResponse>, Status> {
        let store = &request.get_ref().store_name;
        describe_store(request.extensions(), ("state", store), "GetState");
        state::get(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_bulk_state(
        &self,
        request: Request<GetBulkStateRequest>,
    ) -> Result<Response<GetBulkStateResponse>, Status> {
        state::bulk_get(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn save_state(&self, request: Request<SaveStateRequest>) -> Result<Response<()>, Status> {
        let store = &request.get_ref().store_name;
        describe_store(request.extensions(), ("state", store), "SaveState");
        state::save(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn query_state_alpha1(
        &self,
        request: Request<QueryStateRequest>,
    ) -> Result<Response<QueryStateResponse>, Status> {
        state::query(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn delete_state(
        &self,
        request: Request<DeleteStateRequest>,
    ) -> Result<Response<()>, Status> {
        let store = &request.get_ref().store_name;
        describe_store(request.extensions(), ("state", store), "DeleteState");
        state::delete(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn delete_bulk_state(
        &self,
        request: Request<DeleteBulkStateRequest>,
    ) -> Result<Response<()>, Status> {
        state::bulk_delete(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn execute_state_transaction(
        &self,
        request: Request<ExecuteStateTransactionRequest>,
    ) -> Result<Response<()>, Status> {
        state::transact(&self.blocks.state, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let store = &request.get_ref().store_name;
        describe_store(request.extensions(), ("secrets", store), "GetSecret");
        secrets::get(&self.blocks.secrets, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_bulk_secret(
        &self,
        request: Request<GetBulkSecretRequest>,
    ) -> Result<Response<GetBulkSecretResponse>, Status> {
        secrets::bulk(&self.blocks.secrets, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn try_lock_alpha1(
        &self,
        request: Request<TryLockRequest>,
    ) -> Result<Response<TryLockResponse>, Status> {
        lock::try_lock(&self.blocks.lock, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn unlock_alpha1(
        &self,
        request: Request<UnlockRequest>,
    ) -> Result<Response<UnlockResponse>, Status> {
        lock::unlock(&self.blocks.lock, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn invoke_binding(
        &self,
        request: Request<InvokeBindingRequest>,
    ) -> Result<Response<InvokeBindingResponse>, Status> {
        let name = &request.get_ref().name;
        describe_store(request.extensions(), ("bindings", name), "InvokeBinding");
        bindings::invoke(&self.blocks.bindings, request).await
    }

    async fn get_configuration_alpha1(
        &self,
        request: Request<GetConfigurationRequest>,
    ) -> Result<Response<GetConfigurationResponse>, Status> {
        self.get_configuration(request).await
    }

    async fn get_configuration(
        &self,
        request: Request<GetConfigurationRequest>,
    ) -> Result<Response<GetConfigurationResponse>, Status> {
        configuration::get(&self.blocks.configuration, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn subscribe_configuration_alpha1(
        &self,
        request: Request<SubscribeConfigurationRequest>,
    ) -> Result<Response<configuration::Changes>, Status> {
        self.subscribe_configuration(request).await
    }

    async fn subscribe_configuration(
        &self,
        request: Request<SubscribeConfigurationRequest>,
    ) -> Result<Response<configuration::Changes>, Status> {
        configuration::subscribe(&self.blocks.configuration, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn unsubscribe_configuration_alpha1(
        &self,
        request: Request<UnsubscribeConfigurationRequest>,
    ) -> Result<Response<UnsubscribeConfigurationResponse>, Status> {
        self.unsubscribe_configuration(request).await
    }

    async fn unsubscribe_configuration(
        &self,
        request: Request<UnsubscribeConfigurationRequest>,
    ) -> Result<Response<UnsubscribeConfigurationResponse>, Status> {
        let ended = configuration::unsubscribe(&self.blocks.configuration, request.get_ref());
        Ok(Response::new(ended))
    }

    async fn encrypt_alpha1(
        &self,
        request: Request<Streaming<EncryptRequest>>,
    ) -> Result<Response<Self::EncryptAlpha1Stream>, Status> {
        crypto::encrypt(&self.blocks.crypto, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn decrypt_alpha1(
        &self,
        request: Request<Streaming<DecryptRequest>>,
    ) -> Result<Response<Self::DecryptAlpha1Stream>, Status> {
        crypto::decrypt(&self.blocks.crypto, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn subtle_get_key_alpha1(
        &self,
        request: Request<SubtleGetKeyRequest>,
    ) -> Result<Response<SubtleGetKeyResponse>, Status> {
        let done = subtle::get_key(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_encrypt_alpha1(
        &self,
        request: Request<SubtleEncryptRequest>,
    ) -> Result<Response<SubtleEncryptResponse>, Status> {
        let done = subtle::encrypt(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_decrypt_alpha1(
        &self,
        request: Request<SubtleDecryptRequest>,
    ) -> Result<Response<SubtleDecryptResponse>, Status> {
        let done = subtle::decrypt(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_wrap_key_alpha1(
        &self,
        request: Request<SubtleWrapKeyRequest>,
    ) -> Result<Response<SubtleWrapKeyResponse>, Status> {
        let done = subtle::wrap_key(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_unwrap_key_alpha1(
        &self,
        request: Request<SubtleUnwrapKeyRequest>,
    ) -> Result<Response<SubtleUnwrapKeyResponse>, Status> {
        let done = subtle::unwrap_key(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_sign_alpha1(
        &self,
        request: Request<SubtleSignRequest>,
    ) -> Result<Response<SubtleSignResponse>, Status> {
        let done = subtle::sign(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn subtle_verify_alpha1(
        &self,
        request: Request<SubtleVerifyRequest>,
    ) -> Result<Response<SubtleVerifyResponse>, Status> {
        let done = subtle::verify(&self.blocks.crypto, request.into_inner()).await?;
        Ok(Response::new(done))
    }

    async fn invoke_actor(
        &self,
        request: Request<InvokeActorRequest>,
    ) -> Result<Response<InvokeActorResponse>, Status> {
        actors::invoke(&self.blocks.actors, request)
            .await
            .map(Response::new)
    }

    async fn get_actor_state(
        &self,
        request: Request<GetActorStateRequest>,
    ) -> Result<Response<GetActorStateResponse>, Status> {
        actors::get_state(&self.blocks.actors, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn execute_actor_state_transaction(
        &self,
        request: Request<ExecuteActorStateTransactionRequest>,
    ) -> Result<Response<()>, Status> {
        actors::transact(&self.blocks.actors, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_metadata(
        &self,
        _: Request<GetMetadataRequest>,
    ) -> Result<Response<GetMetadataResponse>, Status> {
        Ok(Response::new(metadata::get(&self.blocks)))
    }

    async fn publish_event(
        &self,
        request: Request<PublishEventRequest>,
    ) -> Result<Response<()>, Status> {
        publish::publish(&self.blocks.pubsub, request)
            .await
            .map(Response::new)
    }

    async fn bulk_publish_event_alpha1(
        &self,
        request: Request<BulkPublishRequest>,
    ) -> Result<Response<BulkPublishResponse>, Status> {
        self.bulk_publish_event(request).await
    }

    async fn bulk_publish_event(
        &self,
        request: Request<BulkPublishRequest>,
    ) -> Result<Response<BulkPublishResponse>, Status> {
        publish::bulk(&self.blocks.pubsub, request)
            .await
            .map(Response::new)
    }

    async fn subscribe_topic_events_alpha1(
        &self,
        request: Request<Streaming<SubscribeTopicEventsRequestAlpha1>>,
    ) -> Result<Response<Self::SubscribeTopicEventsAlpha1Stream>, Status> {
        subscribe::subscribe(&self.blocks.subscriptions, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn set_metadata(
        &self,
        request: Request<SetMetadataRequest>,
    ) -> Result<Response<()>, Status> {
        metadata::set(&self.blocks, request.into_inner());
        Ok(Response::new(()))
    }

    async fn shutdown(&self, request: Request<ShutdownRequest>) -> Result<Response<()>, Status> {
        let headers = request.metadata().clone().into_headers();
        self.shutdown.ask((&headers).into());
        Ok(Response::new(()))
    }

    absent! {
        "the timers of actors":
            register_actor_timer(RegisterActorTimerRequest) -> ();
            unregister_actor_timer(UnregisterActorTimerRequest) -> ();
    }

    absent! {
        "the scheduler, which keeps actor reminders,":
            register_actor_reminder(RegisterActorReminderRequest) -> ();
            unregister_actor_reminder(UnregisterActorReminderRequest) -> ();
            unregister_actor_reminders_by_type(UnregisterActorRemindersByTypeRequest)
                -> UnregisterActorRemindersByTypeResponse;
            list_actor_reminders(ListActorRemindersRequest) -> ListActorRemindersResponse;
            get_actor_reminder(GetActorReminderRequest) -> GetActorReminderResponse;
    }

    type SubscribeTopicEventsAlpha1Stream = subscribe::Events;
    type SubscribeActorEventsAlpha1Stream = Absent<SubscribeActorEventsResponseAlpha1>;
    type SubscribeConfigurationAlpha1Stream = configuration::Changes;
    type SubscribeConfigurationStream = configuration::Changes;
    type EncryptAlpha1Stream = crypto::Answers<EncryptResponse>;
    type DecryptAlpha1Stream = crypto::Answers<DecryptResponse>;

    absent! {
        "hosting actors over a gRPC stream":
            subscribe_actor_events_alpha1(Streaming<SubscribeActorEventsRequestAlpha1>) -> Self::SubscribeActorEventsAlpha1Stream;
    }
    absent! {
        "the workflow API":
            start_workflow_alpha1(StartWorkflowRequest) -> StartWorkflowResponse;
            get_workflow_alpha1(GetWorkflowRequest) -> GetWorkflowResponse;
            purge_workflow_alpha1(PurgeWorkflowRequest) -> ();
            terminate_workflow_alpha1(TerminateWorkflowRequest) -> ();
            pause_workflow_alpha1(PauseWorkflowRequest) -> ();
            resume_workflow_alpha1(ResumeWorkflowRequest) -> ();
            raise_event_workflow_alpha1(RaiseEventWorkflowRequest) -> ();
            start_workflow_beta1(StartWorkflowRequest) -> StartWorkflowResponse;
            get_workflow_beta1(GetWorkflowRequest) -> GetWorkflowResponse;
            purge_workflow_beta1(PurgeWorkflowRequest) -> ();
            terminate_workflow_beta1(TerminateWorkflowRequest) -> ();
            pause_workflow_beta1(PauseWorkflowRequest) -> ();
            resume_workflow_beta1(ResumeWorkflowRequest) -> ();
            raise_event_workflow_beta1(RaiseEventWorkflowRequest) -> ();
    }
    absent! {
        "the jobs API":
            schedule_job_alpha1(ScheduleJobRequest) -> ScheduleJobResponse;
            schedule_job(ScheduleJobRequest) -> ScheduleJobResponse;
            get_job_alpha1(GetJobRequest) -> GetJobResponse;
            get_job(GetJobRequest) -> GetJobResponse;
            delete_job_alpha1(DeleteJobRequest) -> DeleteJobResponse;
            delete_job(DeleteJobRequest) -> DeleteJobResponse;
            delete_jobs_by_prefix_alpha1(DeleteJobsByPrefixRequestAlpha1) -> DeleteJobsByPrefixResponseAlpha1;
            delete_jobs_by_prefix(DeleteJobsByPrefixRequest) -> DeleteJobsByPrefixResponse;
            list_jobs_alpha1(ListJobsRequestAlpha1) -> ListJobsResponseAlpha1;
            list_jobs(ListJobsRequest) -> ListJobsResponse;
    }
    absent! {
        "the conversation API":
            converse_alpha1(ConversationRequest) -> ConversationResponse;
            converse_alpha2(ConversationRequestAlpha2) -> ConversationResponseAlpha2;
    }
}
