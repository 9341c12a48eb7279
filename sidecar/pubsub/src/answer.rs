//! What an app's answer to a message means. HTTP and gRPC say the same things, and mean the same by them.
//!
//! | HTTP | gRPC | verdict |
//! |---|---|---|
//! | 2xx, no `status`, `SUCCESS`, or nothing that can be read | OK, `SUCCESS` | taken |
//! | 2xx, `RETRY` or an unknown status | OK, `RETRY` or an unknown status | comes again |
//! | 2xx, `DROP` | OK, `DROP` | dropped |
//! | 404 | `Unimplemented` | dropped: the app does not know the path |
//! | any other | any other error | comes again |
//!
//! What is dropped goes to the dead-letter topic, if there is one. Of several messages, those without an answer of their own
//! come again; so do those whose status is empty, and all of them where the answer cannot be read.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize as _;
use serde_json::value::RawValue;

use crate::json::{self, Members};

/// gRPC's code for what the app does not have.
const UNIMPLEMENTED: i32 = 12;
/// The most of an answer's text that is told, in bytes.
const TOLD: usize = 512;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The app has it: it is acknowledged.
    Success,
    /// It has to come again, for this reason.
    Retry(String),
    /// The app does not want it, for this reason: to the dead-letter topic if there is one, and acknowledged.
    Drop(String),
}

/// A call that ended with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcFailure<'a> {
    /// The code of the status.
    pub code: i32,
    /// What it says.
    pub message: &'a str,
}

/// The answer over HTTP to one message.
#[must_use]
pub fn of_http(status: u16, body: &[u8]) -> Verdict {
    match status {
        200..=299 => of_status(&said(body).unwrap_or_default(), ""),
        _ => refused(status, body),
    }
}

/// The answer over gRPC to one message: the status in it, or how the call failed.
#[must_use]
pub fn of_grpc(answer: Result<i32, GrpcFailure<'_>>) -> Verdict {
    match answer {
        Ok(status) => of_number(status),
        Err(failure) => failed(&failure),
    }
}

/// The answer over HTTP to several messages: a verdict for each id, in their order.
#[must_use]
pub fn bulk_of_http(status: u16, body: &[u8], ids: &[&str]) -> Vec<Verdict> {
    if !(200..=299).contains(&status) {
        return vec![refused(status, body); ids.len()];
    }
    match statuses(body) {
        Ok(statuses) => each(ids, |id| {
            statuses.get(id).map(|status| match status.as_str() {
                "" => Verdict::Retry("the app's status of it is empty".to_owned()),
                status => of_status(status, id),
            })
        }),
        Err(reason) => {
            let reason = format!("the app's answer cannot be read: {reason}");
            vec![Verdict::Retry(reason); ids.len()]
        }
    }
}

/// The answer over gRPC to several messages: a verdict for each id, in their order.
#[must_use]
pub fn bulk_of_grpc(answer: Result<&[(&str, i32)], GrpcFailure<'_>>, ids: &[&str]) -> Vec<Verdict> {
    match answer {
        Ok(statuses) => {
            let statuses: HashMap<&str, i32> = statuses.iter().copied().collect();
            each(ids, |id| statuses.get(id).map(|status| of_number(*status)))
        }
        Err(failure) => vec![failed(&failure); ids.len()],
    }
}

fn each(ids: &[&str], verdict: impl Fn(&str) -> Option<Verdict>) -> Vec<Verdict> {
    let missing = || Verdict::Retry("the app's answer does not name it".to_owned());
    ids.iter()
        .map(|id| verdict(id).unwrap_or_else(missing))
        .collect()
}

fn of_status(status: &str, id: &str) -> Verdict {
    match status {
        "" | "SUCCESS" => Verdict::Success,
        "RETRY" => Verdict::Retry("the app's status is RETRY".to_owned()),
        "DROP" => Verdict::Drop("the app's status is DROP".to_owned()),
        unknown => {
            let of = if id.is_empty() { "" } else { " of it" };
            Verdict::Retry(format!(
                "the app's status{of} is unknown: {:?}",
                told(unknown.as_bytes())
            ))
        }
    }
}

fn of_number(status: i32) -> Verdict {
    match status {
        0 => Verdict::Success,
        1 => of_status("RETRY", ""),
        2 => of_status("DROP", ""),
        unknown => Verdict::Retry(format!("the app's status is unknown: {unknown}")),
    }
}

fn refused(status: u16, body: &[u8]) -> Verdict {
    let reason = format!("the app answered {status}: {}", told(body));
    if status == 404 {
        Verdict::Drop(reason)
    } else {
        Verdict::Retry(reason)
    }
}

fn failed(failure: &GrpcFailure<'_>) -> Verdict {
    let reason = format!(
        "the app answered code {}: {}",
        failure.code,
        told(failure.message.as_bytes())
    );
    if failure.code == UNIMPLEMENTED {
        Verdict::Drop(reason)
    } else {
        Verdict::Retry(reason)
    }
}

/// The beginning of an answer.
fn told(text: &[u8]) -> String {
    let start = text.get(..TOLD).unwrap_or(text);
    json::lossy(start).into_owned()
}

/// The status in an answer's body; `None` where there is none that can be read.
fn said(body: &[u8]) -> Option<String> {
    let text = json::lossy(body);
    // What stands behind the first value does not count.
    let members = Members::deserialize(&mut serde_json::Deserializer::from_str(&text)).ok()?;
    json::member(&members, "status").and_then(|status| json::text_of(status.get()))
}

fn statuses(body: &[u8]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let text = json::lossy(body);
    let members = Members::deserialize(&mut serde_json::Deserializer::from_str(&text))?;
    let entries: Vec<Option<Members<'_>>> = match json::member(&members, "statuses") {
        Some(entries) => serde_json::from_str::<Option<_>>(entries.get())?.unwrap_or_default(),
        None => Vec::new(),
    };
    let text = |entry: &Members<'_>, name| {
        let raw: Option<&&RawValue> = json::member(entry, name);
        raw.and_then(|raw| json::text_of(raw.get()))
    };
    let entries = entries.into_iter().flatten().filter_map(|entry| {
        let status = text(&entry, "status").unwrap_or_default();
        Some((text(&entry, "entryId")?, status))
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests;
