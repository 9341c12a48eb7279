//! The secret store.

use tonic::{Request, Response, Status, async_trait};
use trilby_proto::components::v1::{
    BulkGetSecretRequest, BulkGetSecretResponse, FeaturesRequest, FeaturesResponse,
    GetSecretRequest, GetSecretResponse, PingRequest, PingResponse, SecretResponse,
    SecretStoreInitRequest, SecretStoreInitResponse, secret_store_server::SecretStore,
};

use super::Served;

#[async_trait]
impl SecretStore for Served {
    async fn init(
        &self,
        request: Request<SecretStoreInitRequest>,
    ) -> Result<Response<SecretStoreInitResponse>, Status> {
        let component = Self::instance(&request);
        let given = request.into_inner().metadata.unwrap_or_default();
        self.initialise(component, given.properties);
        Ok(Response::new(Default::default()))
    }

    async fn features(
        &self,
        _: Request<FeaturesRequest>,
    ) -> Result<Response<FeaturesResponse>, Status> {
        let features = vec![
            "MULTIPLE_KEY_VALUES_PER_SECRET".to_owned(),
            "OTHER".to_owned(),
        ];
        Ok(Response::new(FeaturesResponse { features }))
    }

    async fn get(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        self.check(&request)?;
        let name = request.into_inner().key;
        let secret = self.settings.secrets.get(&name);
        let secret = secret.ok_or_else(|| Status::not_found(format!("there is no {name:?}")))?;
        let data = secret.clone().into_iter().collect();
        Ok(Response::new(GetSecretResponse { data }))
    }

    async fn bulk_get(
        &self,
        request: Request<BulkGetSecretRequest>,
    ) -> Result<Response<BulkGetSecretResponse>, Status> {
        self.check(&request)?;
        let all = self.settings.secrets.clone().into_iter();
        let data = all.map(|(name, secret)| {
            let secrets = secret.into_iter().collect();
            (name, SecretResponse { secrets })
        });
        let data = data.collect();
        Ok(Response::new(BulkGetSecretResponse { data }))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}
