//! Keys that the server said have changed, until they are read.
//!
//! The connection writes into it whether or not anybody reads: a key is kept once however often it changes, and too many
//! keys are forgotten, which is told.

use std::collections::BTreeSet;

use ::redis::{PushInfo, PushKind, Value};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Keys that are kept at most; each is read again anyway, so that nothing is lost but the knowledge which they were.
const MOST_KEPT: usize = 4_096;

/// What has been heard and not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Heard {
    kept: Mutex<Kept>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    keys: BTreeSet<Vec<u8>>,
    overflowed: bool,
    lost: bool,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// These keys have changed.
    Keys(Vec<Vec<u8>>),
    /// More have changed than can be named.
    TooMany,
    /// The connection is gone.
    Lost,
}

impl Heard {
    /// Takes what the connection got. `prefix` stands before the key in the name of a channel.
    pub(super) fn hear(&self, push: &PushInfo, prefix: &[u8]) {
        let channel = match (&push.kind, push.data.as_slice()) {
            (PushKind::Message, [channel, ..]) | (PushKind::PMessage, [_, channel, ..]) => channel,
            (PushKind::Disconnection, _) => {
                self.kept.lock().lost = true;
                return self.news.notify_one();
            }
            _ => return,
        };
        if let Value::BulkString(channel) = channel
            && let Some(key) = channel.strip_prefix(prefix)
        {
            self.kept.lock().keep(key);
            self.news.notify_one();
        }
    }

    /// Waits for news.
    pub(super) async fn next(&self) -> News {
        loop {
            let news = self.news.notified();
            if let Some(news) = self.kept.lock().take() {
                return news;
            }
            news.await;
        }
    }
}

impl Kept {
    fn keep(&mut self, key: &[u8]) {
        if self.keys.len() >= MOST_KEPT && !self.keys.contains(key) {
            self.overflowed = true;
        } else {
            self.keys.insert(key.to_vec());
        }
    }

    fn take(&mut self) -> Option<News> {
        if self.lost {
            return Some(News::Lost);
        }
        let keys = std::mem::take(&mut self.keys);
        if std::mem::take(&mut self.overflowed) {
            return Some(News::TooMany);
        }
        (!keys.is_empty()).then(|| News::Keys(keys.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use ::redis::{PushInfo, PushKind, Value};

    use super::{Heard, MOST_KEPT, News};

    const PREFIX: &[u8] = b"__keyspace@0__:";

    fn change(heard: &Heard, key: &str) {
        let channel = [PREFIX, key.as_bytes()].concat();
        let data = vec![
            Value::BulkString(channel),
            Value::BulkString(b"set".to_vec()),
        ];
        let push = PushInfo {
            kind: PushKind::Message,
            data,
        };
        heard.hear(&push, PREFIX);
    }

    #[tokio::test]
    async fn a_key_is_kept_once_and_other_channels_are_none() {
        let heard = Heard::default();
        for key in ["a", "b", "a"] {
            change(&heard, key);
        }
        let other = PushInfo {
            kind: PushKind::PMessage,
            data: vec![Value::Nil, Value::BulkString(b"other".to_vec())],
        };
        heard.hear(&other, PREFIX);
        let keys = vec![b"a".to_vec(), b"b".to_vec()];
        assert_eq!(heard.next().await, News::Keys(keys));
    }

    #[tokio::test]
    async fn too_many_keys_and_the_end_of_the_connection_are_told() {
        let heard = Heard::default();
        for number in 0..=MOST_KEPT {
            change(&heard, &number.to_string());
        }
        assert_eq!(heard.next().await, News::TooMany);
        change(&heard, "a");
        assert_eq!(heard.next().await, News::Keys(vec![b"a".to_vec()]));
        let push = PushInfo {
            kind: PushKind::Disconnection,
            data: Vec::new(),
        };
        heard.hear(&push, PREFIX);
        assert_eq!(heard.next().await, News::Lost);
    }
}
