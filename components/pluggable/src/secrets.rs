//! A secret store that is a process of its own.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tonic::Status;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    registry::{ComponentContext, InitError},
    secret::{MULTIPLE_KEY_VALUES, Secret, SecretError, SecretStore},
};
use trilby_proto::components::v1::{
    BulkGetSecretRequest, FeaturesRequest, GetSecretRequest, MetadataRequest,
    SecretStoreInitRequest, secret_store_client::SecretStoreClient,
};

use crate::{
    connection::Transport,
    errors,
    session::{MAX_ANSWER, Properties, Session, limited},
};

/// The store.
struct PluggableSecrets {
    session: Session,
    multiple_values: bool,
}

fn client(transport: Transport) -> SecretStoreClient<Transport> {
    SecretStoreClient::new(transport).max_decoding_message_size(MAX_ANSWER)
}

async fn init(transport: Transport, properties: Properties) -> Result<(), Status> {
    let request = SecretStoreInitRequest {
        metadata: Some(MetadataRequest { properties }),
    };
    client(transport).init(request).await.map(drop)
}

/// Connects and initialises the store.
///
/// # Errors
/// Its process is away, or refuses.
pub(crate) async fn create(
    socket: PathBuf,
    context: ComponentContext,
    metadata: Metadata,
) -> Result<Arc<dyn SecretStore>, InitError> {
    let start = Session::start(socket, (&context.name, &metadata), |transport, given| {
        Box::pin(init(transport, given))
    });
    let session = start.await?;
    let features = session
        .call(async |transport| {
            client(transport)
                .features(limited(FeaturesRequest {}))
                .await
        })
        .await
        .map_err(|status| errors::init(&status))?
        .features;
    Ok(Arc::new(PluggableSecrets {
        session,
        multiple_values: features.iter().any(|one| one == MULTIPLE_KEY_VALUES),
    }))
}

#[async_trait]
impl SecretStore for PluggableSecrets {
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        let request = GetSecretRequest {
            key: name.to_owned(),
            metadata: metadata.clone().into_iter().collect(),
        };
        let answer = self
            .session
            .call(async |transport| client(transport).get(limited(request.clone())).await);
        let answer = answer.await.map_err(|status| errors::secret(&status))?;
        Ok(answer.data.into_iter().collect())
    }

    async fn bulk_get(
        &self,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let request = BulkGetSecretRequest {
            metadata: metadata.clone().into_iter().collect(),
        };
        let answer = self
            .session
            .call(async |transport| client(transport).bulk_get(limited(request.clone())).await);
        let answer = answer.await.map_err(|status| errors::secret(&status))?;
        let secrets = answer.data.into_iter();
        Ok(secrets
            .map(|(name, secret)| (name, secret.secrets.into_iter().collect()))
            .collect())
    }

    fn capabilities(&self) -> Vec<&'static str> {
        let multiple = self.multiple_values.then_some(MULTIPLE_KEY_VALUES);
        multiple.into_iter().collect()
    }

    async fn close(&self) {
        self.session.close();
    }
}
