//! Configuration over gRPC.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::Status;
use trilby_components::configuration::{Item, Items, Selection};
use trilby_proto::common::v1::ConfigurationItem;
use trilby_proto::runtime::v1::{
    GetConfigurationRequest, GetConfigurationResponse, SubscribeConfigurationRequest,
    SubscribeConfigurationResponse, UnsubscribeConfigurationRequest,
    UnsubscribeConfigurationResponse,
};

use crate::blocks::configuration::{Configuration, Subscription};

/// The messages of a subscription.
pub(super) type Changes =
    Pin<Box<dyn Stream<Item = Result<SubscribeConfigurationResponse, Status>> + Send>>;

pub(super) async fn get(
    configuration: &Configuration,
    request: GetConfigurationRequest,
) -> Result<GetConfigurationResponse, Status> {
    let selection = Selection {
        keys: request.keys,
        metadata: request.metadata.into_iter().collect(),
    };
    let items = configuration.get(&request.store_name, &selection).await?;
    Ok(GetConfigurationResponse {
        items: items.into_iter().map(on_wire).collect(),
    })
}

/// First a message with the id alone, then the changes.
pub(super) async fn subscribe(
    configuration: &Configuration,
    request: SubscribeConfigurationRequest,
) -> Result<Changes, Status> {
    let store = request.store_name;
    let mut keys = request.keys;
    keys.sort();
    let selection = Selection {
        keys,
        metadata: request.metadata.into_iter().collect(),
    };
    let subscription = configuration.follow(&store, selection).await?;
    let first = message(&subscription, Items::new());
    let counted = Counted {
        configuration: configuration.clone(),
        store,
    };
    let changes = stream::unfold(
        (subscription, counted),
        async |(mut subscription, counted)| {
            let items = subscription.next().await?;
            let message = message(&subscription, items);
            Some((Ok(message), (subscription, counted)))
        },
    );
    Ok(Box::pin(stream::iter([Ok(first)]).chain(changes)))
}

pub(super) fn unsubscribe(
    configuration: &Configuration,
    request: &UnsubscribeConfigurationRequest,
) -> UnsubscribeConfigurationResponse {
    let id = &request.id;
    if configuration.end(id) {
        tracing::warn!(
            "Unsubscribing using UnsubscribeConfiguration is deprecated. Disconnect from the SubscribeConfiguration RPC \
             instead."
        );
        return UnsubscribeConfigurationResponse {
            ok: true,
            message: String::new(),
        };
    }
    UnsubscribeConfigurationResponse {
        ok: false,
        message: format!(
            "failed to unsubscribe to configuration request {id}: subscription does not exist"
        ),
    }
}

/// Counts the end of a subscription, however it came.
struct Counted {
    configuration: Configuration,
    store: String,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.configuration.ended(&self.store);
    }
}

fn message(subscription: &Subscription, items: Items) -> SubscribeConfigurationResponse {
    SubscribeConfigurationResponse {
        id: subscription.id().to_owned(),
        items: items.into_iter().map(on_wire).collect(),
    }
}

fn on_wire((key, item): (String, Item)) -> (String, ConfigurationItem) {
    let item = ConfigurationItem {
        value: item.value,
        version: item.version,
        metadata: item.metadata.into_iter().collect(),
    };
    (key, item)
}
