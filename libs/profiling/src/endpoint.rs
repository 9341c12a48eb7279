//! Go's pprof URLs.

mod index;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use prost::Message as _;

use crate::profile::{Names, Stacks, build};
use crate::{allocator, cpu, gzip, heap, text, threads};

/// What all paths here begin with.
pub const PREFIX: &str = "/debug/pprof/";

/// How long the processor is watched unless `seconds` says so, as Go does.
const SECONDS: u64 = 30;
/// The longest.
const MAX_SECONDS: u64 = 300;
/// The longest list of addresses, in bytes.
const MAX_ADDRESSES: usize = 1024 * 1024;

/// Tests that interrupt threads do so one after the other.
#[cfg(test)]
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type Reply = Response<Full<Bytes>>;

/// A request that cannot be answered as asked.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Refused {
    status: StatusCode,
    text: String,
}

/// What the query asks for.
struct Query {
    seconds: Option<u64>,
    debug: bool,
}

/// Answers a request whose path begins with [`PREFIX`].
///
/// # Cancel safety
/// Dropped, a profile that is being taken ends.
pub async fn answer<B>(request: Request<B>) -> Reply
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    respond(request).await.unwrap_or_else(|refused| {
        let mut reply = plain(format!("{refused}\n"));
        *reply.status_mut() = refused.status;
        // Go's tool then shows the text.
        let name = HeaderName::from_static("x-go-pprof");
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static("1"));
        reply
    })
}

async fn respond<B>(request: Request<B>) -> Result<Reply, Refused>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix(PREFIX).unwrap_or_default();
    let method = request.method();
    let posted = name == "symbol" && method == Method::POST;
    if method != Method::GET && method != Method::HEAD && !posted {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "use GET"));
    }
    let query = Query::read(request.uri().query().unwrap_or_default())?;
    let stacks = match name {
        "" => return Ok(index::page()),
        "cmdline" => return Ok(plain(command_line())),
        "symbol" => return symbols(request).await,
        "profile" => watch(&query).await?,
        "heap" => allocations(&query, "inuse_space")?,
        "allocs" => allocations(&query, "alloc_space")?,
        "goroutine" => {
            query.no_seconds()?;
            threads::stacks().await.map_err(failed)?
        }
        "threadcreate" => {
            query.no_seconds()?;
            threads::names()
        }
        name => return Err(index::missing(name)),
    };
    render(name, stacks, query.debug).await
}

impl Query {
    fn read(query: &str) -> Result<Self, Refused> {
        let mut read = Self {
            seconds: None,
            debug: false,
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "seconds" => read.seconds = Some(seconds(&value)?),
                "debug" => read.debug = !matches!(&*value, "" | "0"),
                _ => {}
            }
        }
        Ok(read)
    }

    fn no_seconds(&self) -> Result<(), Refused> {
        match self.seconds {
            None => Ok(()),
            Some(_) => Err(refused(
                StatusCode::BAD_REQUEST,
                "\"seconds\" is not supported for this profile: take it twice and compare with -diff_base",
            )),
        }
    }
}

fn seconds(text: &str) -> Result<u64, Refused> {
    let seconds = text.parse().ok().filter(|n| (1..=MAX_SECONDS).contains(n));
    seconds.ok_or_else(|| {
        refused(
            StatusCode::BAD_REQUEST,
            format!(
                "invalid value for \"seconds\": {text:?} is not a number from 1 to {MAX_SECONDS}"
            ),
        )
    })
}

async fn watch(query: &Query) -> Result<Stacks, Refused> {
    let seconds = query.seconds.unwrap_or(SECONDS);
    cpu::profile(Duration::from_secs(seconds))
        .await
        .map_err(|error| failed(format!("Could not enable CPU profiling: {error}")))
}

fn allocations(query: &Query, default: &'static str) -> Result<Stacks, Refused> {
    query.no_seconds()?;
    if !allocator::is_sampling() {
        return Err(failed("allocations are not sampled in this process"));
    }
    Ok(heap::stacks(default))
}

/// Names need files, so it is done where waiting for them holds up nobody.
async fn render(name: &str, stacks: Stacks, debug: bool) -> Result<Reply, Refused> {
    let body = tokio::task::spawn_blocking(move || {
        let names = stacks.names();
        if debug {
            return text::render(stacks, &names).into_bytes();
        }
        gzip::wrap(&build(stacks, &names).encode_to_vec())
    });
    let body = body.await.map_err(failed)?;
    if debug {
        return Ok(plain(body));
    }
    let mut reply = typed(body, "application/octet-stream");
    let file = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    reply
        .headers_mut()
        .insert(CONTENT_DISPOSITION, file.map_err(failed)?);
    Ok(reply)
}

/// The names of the addresses in a body or query like `0x1234+0x5678`.
async fn symbols<B>(request: Request<B>) -> Result<Reply, Refused>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let list = if request.method() == Method::POST {
        let body = Limited::new(request.into_body(), MAX_ADDRESSES)
            .collect()
            .await;
        let body = body.map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))?;
        String::from_utf8_lossy(&body.to_bytes()).into_owned()
    } else {
        request.uri().query().unwrap_or_default().to_owned()
    };
    let table = tokio::task::spawn_blocking(move || table(&list));
    Ok(plain(table.await.map_err(failed)?))
}

/// Only whether the number of symbols is zero is asked for; that there are none of an address shows by its absence.
fn table(list: &str) -> String {
    let address = |word: &str| usize::from_str_radix(word.trim().strip_prefix("0x")?, 16).ok();
    let addresses: Vec<usize> = list.split('+').filter_map(address).collect();
    let names = Names::of(addresses.clone());
    let mut text = "num_symbols: 1\n".to_owned();
    for address in addresses {
        if let Some(name) = names.get(address) {
            text.push_str(&format!("{address:#x} {name}\n"));
        }
    }
    text
}

/// The arguments, each but the first after a NUL.
fn command_line() -> Vec<u8> {
    let mut line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    if line.last() == Some(&0) {
        line.pop();
    }
    line
}

fn plain(body: impl Into<Bytes>) -> Reply {
    typed(body, "text/plain; charset=utf-8")
}

fn typed(body: impl Into<Bytes>, content_type: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    reply
}

fn refused(status: StatusCode, text: impl Into<String>) -> Refused {
    Refused {
        status,
        text: text.into(),
    }
}

fn failed(error: impl std::fmt::Display) -> Refused {
    refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

#[cfg(test)]
mod tests;
