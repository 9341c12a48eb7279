//! The metadata of `state.etcd` beyond its connection.

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::Schema;

/// Metadata of the state store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// How many operations a transaction may have: what the servers have as `--max-txn-ops`.
    #[serde(default = "max_txn_ops")]
    max_txn_ops: u32,
}

impl Schema for Settings {}

fn max_txn_ops() -> u32 {
    128
}

impl Settings {
    /// How many operations a transaction may have.
    pub(super) fn max_operations(&self) -> usize {
        self.max_txn_ops as usize
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::metadata::Metadata;

    use super::Settings;

    #[test]
    fn there_is_a_default() {
        for (pairs, expected) in [(&[][..], 128), (&[("maxTxnOps", "7")][..], 7)] {
            let metadata = Metadata::new(pairs.iter().copied()).unwrap();
            let settings: Settings = metadata.decode().unwrap();
            assert_eq!(settings.max_operations(), expected);
        }
    }
}
