//! Types that are not known when the sidecar is built: they come, and go, while it runs.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Backend, Block};

/// By full, lower-case type: a number that grows each time it comes.
pub type Arrivals = Arc<BTreeMap<String, u64>>;

/// A source of such types. One that it has goes before what the build has under the same name.
#[async_trait]
pub trait TypeSource: Send + Sync {
    /// Waits until it can say whether it has a type, for a limited time.
    ///
    /// # Cancel safety
    /// It may be dropped at any point.
    async fn settled(&self, block: Block, name: &str);

    /// What serves a type now; `name` is in lower case, without the block.
    fn find(&self, block: Block, name: &str) -> Option<Arc<Backend>>;

    /// Where it has looked for a type that it does not have, as the second half of a sentence; `None` for one that it
    /// can never have.
    fn missing(&self, block: Block, name: &str) -> Option<String>;

    /// What it has, as it changes.
    fn arrivals(&self) -> watch::Receiver<Arrivals>;
}
