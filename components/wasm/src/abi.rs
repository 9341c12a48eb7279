//! The host functions of the HTTP handler ABI, module `http_handler`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use tracing::{Level, debug, error, info, warn};
use wasmi::{Caller, Error, Linker, errors::HostError, errors::LinkerError};

use crate::exchange::{BUFFER_RESPONSE, Exchange, FEATURES, header, header_name, names};
use crate::guest::State;
use crate::memory::{parts, slice, slice_mut, text, write, write_all};

const MODULE: &str = "http_handler";
/// Set in the answer to `read_body` at the end of the body.
const END: i64 = 1 << 32;

type Guest<'a> = Caller<'a, State>;

/// The guest wants to read the request's body, which is still on its way. The call goes on once it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyWanted {
    /// Where the guest wants it.
    pub(crate) start: u32,
    /// How much of it.
    pub(crate) limit: u32,
}

impl fmt::Display for BodyWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request is not there yet")
    }
}

impl HostError for BodyWanted {}

/// Which of two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

/// Whose headers: a message's, or its trailers.
fn kind(kind: u32) -> Result<(Message, bool), Error> {
    match kind {
        0 => Ok((Message::Request, false)),
        1 => Ok((Message::Response, false)),
        2 => Ok((Message::Request, true)),
        3 => Ok((Message::Response, true)),
        other => Err(Error::new(format!("unsupported header kind: {other}"))),
    }
}

fn body_kind(kind: u32) -> Result<Message, Error> {
    match kind {
        0 => Ok(Message::Request),
        1 => Ok(Message::Response),
        other => Err(Error::new(format!("unsupported body kind: {other}"))),
    }
}

/// Gives guests everything of this module.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<(), LinkerError> {
    linker
        .func_wrap(MODULE, "enable_features", enable_features)?
        .func_wrap(MODULE, "get_config", get_config)?
        .func_wrap(MODULE, "log_enabled", log_enabled)?
        .func_wrap(MODULE, "log", log)?
        .func_wrap(MODULE, "get_method", get_method)?
        .func_wrap(MODULE, "set_method", set_method)?
        .func_wrap(MODULE, "get_uri", get_uri)?
        .func_wrap(MODULE, "set_uri", set_uri)?
        .func_wrap(MODULE, "get_protocol_version", get_protocol_version)?
        .func_wrap(MODULE, "get_source_addr", get_source_addr)?
        .func_wrap(MODULE, "get_header_names", get_header_names)?
        .func_wrap(MODULE, "get_header_values", get_header_values)?
        .func_wrap(MODULE, "set_header_value", set_header_value)?
        .func_wrap(MODULE, "add_header_value", add_header_value)?
        .func_wrap(MODULE, "remove_header", remove_header)?
        .func_wrap(MODULE, "read_body", read_body)?
        .func_wrap(MODULE, "write_body", write_body)?
        .func_wrap(MODULE, "get_status_code", get_status_code)?
        .func_wrap(MODULE, "set_status_code", set_status_code)?;
    Ok(())
}

fn enable_features(mut guest: Guest<'_>, features: u32) -> u32 {
    let state = guest.data_mut();
    state.features |= features & FEATURES;
    state.features
}

fn get_config(mut guest: Guest<'_>, start: u32, limit: u32) -> Result<u32, Error> {
    let (memory, state) = parts(&mut guest)?;
    write(
        memory,
        (start, limit),
        state.compiled.told.config.as_bytes(),
    )
}

fn log_enabled(level: i32) -> u32 {
    let enabled = match level {
        -1 => tracing::enabled!(Level::DEBUG),
        0 => tracing::enabled!(Level::INFO),
        1 => tracing::enabled!(Level::WARN),
        2 => tracing::enabled!(Level::ERROR),
        _ => false,
    };
    u32::from(enabled)
}

fn log(mut guest: Guest<'_>, level: i32, start: u32, length: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut guest)?;
    let component = &state.compiled.told.component;
    let message = String::from_utf8_lossy(slice(memory, start, length)?);
    match level {
        -1 => debug!(component, "{message}"),
        0 => info!(component, "{message}"),
        1 => warn!(component, "{message}"),
        2 => error!(component, "{message}"),
        _ => {}
    }
    Ok(())
}

fn get_method(mut guest: Guest<'_>, start: u32, limit: u32) -> Result<u32, Error> {
    let (memory, state) = parts(&mut guest)?;
    write(
        memory,
        (start, limit),
        state.exchange.method.as_str().as_bytes(),
    )
}

fn set_method(mut guest: Guest<'_>, start: u32, length: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut guest)?;
    before_next(&state.exchange, "set method")?;
    let method = Method::from_bytes(slice(memory, start, length)?);
    state.exchange.method = method.map_err(|error| Error::new(error.to_string()))?;
    Ok(())
}

fn get_uri(mut guest: Guest<'_>, start: u32, limit: u32) -> Result<u32, Error> {
    let (memory, state) = parts(&mut guest)?;
    write(memory, (start, limit), state.exchange.path().as_bytes())
}

fn set_uri(mut guest: Guest<'_>, start: u32, length: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut guest)?;
    before_next(&state.exchange, "set uri")?;
    let path = text(memory, start, length)?;
    state.exchange.set_path(path).map_err(Error::new)
}

fn get_protocol_version(mut guest: Guest<'_>, start: u32, limit: u32) -> Result<u32, Error> {
    let (memory, state) = parts(&mut guest)?;
    let version = match state.exchange.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    };
    write(memory, (start, limit), version.as_bytes())
}

fn get_source_addr(mut guest: Guest<'_>, start: u32, limit: u32) -> Result<u32, Error> {
    let (memory, state) = parts(&mut guest)?;
    write(memory, (start, limit), state.exchange.source.as_bytes())
}

fn get_header_names(
    mut guest: Guest<'_>,
    whose: u32,
    start: u32,
    limit: u32,
) -> Result<i64, Error> {
    let (memory, state) = parts(&mut guest)?;
    match kind(whose)? {
        (_, true) => Ok(0),
        (message, false) => {
            let names = names(state.exchange.headers_of(message));
            write_all(memory, (start, limit), &names)
        }
    }
}

fn get_header_values(
    mut guest: Guest<'_>,
    whose: u32,
    name: u32,
    name_length: u32,
    start: u32,
    limit: u32,
) -> Result<i64, Error> {
    let (memory, state) = parts(&mut guest)?;
    let name = header_name(text(memory, name, name_length)?).map_err(Error::new)?;
    match kind(whose)? {
        (_, true) => Ok(0),
        (message, false) => {
            let values = state.exchange.headers_of(message).get_all(name);
            let values: Vec<_> = values.iter().map(HeaderValue::as_bytes).collect();
            write_all(memory, (start, limit), &values)
        }
    }
}

/// A header as the guest has it, and the headers that it is for.
fn change_of_header<'a>(
    guest: &'a mut Guest<'_>,
    whose: u32,
    (name, name_length): (u32, u32),
    (value, value_length): (u32, u32),
) -> Result<(&'a mut HeaderMap, HeaderName, HeaderValue), Error> {
    let (memory, state) = parts(guest)?;
    let name = text(memory, name, name_length)?;
    let (name, value) = header(name, slice(memory, value, value_length)?).map_err(Error::new)?;
    Ok((changeable(state, whose)?, name, value))
}

fn set_header_value(
    mut guest: Guest<'_>,
    whose: u32,
    name: u32,
    name_length: u32,
    value: u32,
    value_length: u32,
) -> Result<(), Error> {
    let (name, value) = ((name, name_length), (value, value_length));
    let (headers, name, value) = change_of_header(&mut guest, whose, name, value)?;
    headers.insert(name, value);
    Ok(())
}

fn add_header_value(
    mut guest: Guest<'_>,
    whose: u32,
    name: u32,
    name_length: u32,
    value: u32,
    value_length: u32,
) -> Result<(), Error> {
    let (name, value) = ((name, name_length), (value, value_length));
    let (headers, name, value) = change_of_header(&mut guest, whose, name, value)?;
    headers.append(name, value);
    Ok(())
}

fn remove_header(
    mut guest: Guest<'_>,
    whose: u32,
    name: u32,
    name_length: u32,
) -> Result<(), Error> {
    let (memory, state) = parts(&mut guest)?;
    let name = header_name(text(memory, name, name_length)?).map_err(Error::new)?;
    changeable(state, whose)?.remove(name);
    Ok(())
}

fn read_body(mut guest: Guest<'_>, whose: u32, start: u32, limit: u32) -> Result<i64, Error> {
    let (memory, state) = parts(&mut guest)?;
    read_into(memory, state, (body_kind(whose)?, start, limit))
}

/// Reads the request's body, now that it is there.
pub(crate) fn read_request(
    memory: &mut [u8],
    state: &mut State,
    wanted: BodyWanted,
) -> Result<i64, Error> {
    read_into(
        memory,
        state,
        (Message::Request, wanted.start, wanted.limit),
    )
}

fn read_into(
    memory: &mut [u8],
    state: &mut State,
    (message, start, limit): (Message, u32, u32),
) -> Result<i64, Error> {
    if limit == 0 {
        return Err(Error::new("buf_limit==0 reading body"));
    }
    let room = slice_mut(memory, start, limit)?;
    let content = match message {
        Message::Request if state.exchange.after_next => {
            return Err(Error::new("can't read request body after next handler"));
        }
        Message::Request if state.exchange.body.original.is_none() => {
            return Err(Error::host(BodyWanted { start, limit }));
        }
        Message::Request => &mut state.exchange.body,
        Message::Response => {
            response_is_open(state, "read response body")?;
            &mut state.exchange.response_body
        }
    };
    let (length, end) = content.read(room);
    Ok(length as i64 | if end { END } else { 0 })
}

fn write_body(mut guest: Guest<'_>, whose: u32, start: u32, length: u32) -> Result<(), Error> {
    let (memory, state) = parts(&mut guest)?;
    let bytes = slice(memory, start, length)?;
    let content = match body_kind(whose)? {
        Message::Request => {
            before_next(&state.exchange, "write request body")?;
            &mut state.exchange.body
        }
        Message::Response => {
            response_is_open(state, "write response body")?;
            &mut state.exchange.response_body
        }
    };
    content.write(bytes).map_err(Error::new)
}

fn get_status_code(guest: Guest<'_>) -> u32 {
    u32::from(guest.data().exchange.status.as_u16())
}

fn set_status_code(mut guest: Guest<'_>, status: u32) -> Result<(), Error> {
    let state = guest.data_mut();
    response_is_open(state, "set status code")?;
    let code = u16::try_from(status).ok();
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    state.exchange.status = code.ok_or_else(|| Error::new(format!("no status: {status}")))?;
    Ok(())
}

impl Exchange {
    fn headers_of(&self, message: Message) -> &HeaderMap {
        match message {
            Message::Request => &self.headers,
            Message::Response => &self.response_headers,
        }
    }
}

/// The headers of a message that can still be changed.
fn changeable(state: &mut State, whose: u32) -> Result<&mut HeaderMap, Error> {
    match kind(whose)? {
        (_, true) => Err(Error::new("trailers are not supported")),
        (Message::Request, false) => {
            before_next(&state.exchange, "change request header")?;
            Ok(&mut state.exchange.headers)
        }
        (Message::Response, false) => {
            response_is_open(state, "change response header")?;
            Ok(&mut state.exchange.response_headers)
        }
    }
}

fn before_next(exchange: &Exchange, what: &str) -> Result<(), Error> {
    if exchange.after_next {
        return Err(Error::new(format!("can't {what} after next handler")));
    }
    Ok(())
}

/// The response is the guest's own, or buffered for it.
fn response_is_open(state: &State, what: &str) -> Result<(), Error> {
    if state.exchange.after_next && state.features & BUFFER_RESPONSE == 0 {
        return Err(Error::new(format!(
            "can't {what} after next handler unless buffer_response is enabled"
        )));
    }
    Ok(())
}
