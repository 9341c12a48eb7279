//! The transactions of locks, and what is known after each.

use bytes::Bytes;
use trilby_components::lock::Release;

use crate::wire::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, Request, RequestOp,
    TxnRequest, TxnResponse,
};

/// Of a key that is not there.
const NO_REVISION: i64 = 0;

/// Writes the owner with the lease, if nobody is there.
pub(super) fn take(path: Bytes, owner: &str, lease: i64) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare::to_revision(path.clone(), NO_REVISION)],
        success: vec![operation(Request::Put(PutRequest {
            key: path,
            value: Bytes::copy_from_slice(owner.as_bytes()),
            lease,
        }))],
        failure: Vec::new(),
    }
}

/// Removes the owner if it is this one, else says who it is.
pub(super) fn give_back(path: Bytes, owner: &str) -> TxnRequest {
    let owner = Bytes::copy_from_slice(owner.as_bytes());
    let who = RangeRequest {
        key: path.clone(),
        keys_only: true,
        ..RangeRequest::default()
    };
    TxnRequest {
        compare: vec![Compare::to_value(path.clone(), owner)],
        success: vec![operation(Request::DeleteRange(DeleteRangeRequest {
            key: path,
        }))],
        failure: vec![operation(Request::Range(who))],
    }
}

/// Why an owner cannot give back what was found; `None` if it can.
pub(super) fn refusal(found: Option<&KeyValue>, owner: &str) -> Option<Release> {
    match found {
        None => Some(Release::Absent),
        Some(found) if found.value != owner.as_bytes() => Some(Release::Foreign),
        Some(_) => None,
    }
}

/// What became of [`give_back`].
pub(super) fn outcome(answer: &TxnResponse) -> Release {
    let found = answer.responses.first();
    let found = found.and_then(|response| response.range.as_ref());
    match (answer.succeeded, found) {
        (true, _) => Release::Done,
        (false, Some(range)) if !range.kvs.is_empty() => Release::Foreign,
        (false, _) => Release::Absent,
    }
}

fn operation(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::{RangeResponse, ResponseOp};

    use super::*;

    fn lock(owner: &'static str) -> KeyValue {
        KeyValue {
            value: owner.into(),
            ..KeyValue::default()
        }
    }

    #[test]
    fn a_lock_is_taken_where_there_is_none_and_given_back_by_its_owner() {
        let taking = take("r".into(), "me", 7);
        assert_eq!(taking.compare[0].mod_revision, Some(0));
        let put = PutRequest {
            key: "r".into(),
            value: "me".into(),
            lease: 7,
        };
        assert_eq!(taking.success, [operation(Request::Put(put))]);
        let giving = give_back("r".into(), "");
        // Also the empty owner is compared, and not left out.
        assert_eq!(giving.compare[0].value.as_deref(), Some(&b""[..]));
    }

    #[test]
    fn only_its_owner_can_give_back_what_is_there() {
        assert_eq!(refusal(None, "me"), Some(Release::Absent));
        assert_eq!(refusal(Some(&lock("you")), "me"), Some(Release::Foreign));
        assert_eq!(refusal(Some(&lock("me")), "me"), None);
    }

    #[test]
    fn what_changed_meanwhile_is_told() {
        let answer = |succeeded, kvs| TxnResponse {
            succeeded,
            responses: vec![ResponseOp {
                range: Some(RangeResponse {
                    kvs,
                    ..RangeResponse::default()
                }),
            }],
        };
        assert_eq!(outcome(&answer(true, vec![])), Release::Done);
        assert_eq!(outcome(&answer(false, vec![])), Release::Absent);
        assert_eq!(outcome(&answer(false, vec![lock("you")])), Release::Foreign);
    }
}
