//! The guest's memory, as host functions read and write it.

use wasmi::{Caller, Error, Extern};

use crate::guest::State;
use crate::module::MEMORY;

/// Memory and state at once.
///
/// # Errors
/// The guest has no memory (it is instantiated with one).
pub(crate) fn parts<'a>(
    caller: &'a mut Caller<'_, State>,
) -> Result<(&'a mut [u8], &'a mut State), Error> {
    let memory = caller.get_export(MEMORY).and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| Error::new("the guest exports no memory"))?;
    Ok(memory.data_and_store_mut(caller))
}

/// `length` bytes from `start` on.
///
/// # Errors
/// They are not all in memory.
pub(crate) fn slice(memory: &[u8], start: u32, length: u32) -> Result<&[u8], Error> {
    let (start, length) = (start as usize, length as usize);
    let end = start.checked_add(length);
    end.and_then(|end| memory.get(start..end))
        .ok_or_else(outside)
}

/// Like [`slice()`], to be written.
///
/// # Errors
/// They are not all in memory.
pub(crate) fn slice_mut(memory: &mut [u8], start: u32, length: u32) -> Result<&mut [u8], Error> {
    let (start, length) = (start as usize, length as usize);
    let end = start.checked_add(length);
    end.and_then(|end| memory.get_mut(start..end))
        .ok_or_else(outside)
}

/// Text of the guest's.
///
/// # Errors
/// It is not in memory, or no UTF-8.
pub(crate) fn text(memory: &[u8], start: u32, length: u32) -> Result<&str, Error> {
    let bytes = slice(memory, start, length)?;
    std::str::from_utf8(bytes).map_err(|error| Error::new(format!("text of the guest: {error}")))
}

/// Writes `value` if it is no longer than `limit`, and tells its length: a guest may ask again with more room.
///
/// # Errors
/// The room is not in memory.
pub(crate) fn write(
    memory: &mut [u8],
    (start, limit): (u32, u32),
    value: &[u8],
) -> Result<u32, Error> {
    let length = u32::try_from(value.len()).map_err(|_| Error::new("the value is too long"))?;
    if length > 0 && length <= limit {
        slice_mut(memory, start, length)?.copy_from_slice(value);
    }
    Ok(length)
}

/// Writes values one after the other, each with a NUL behind it, if all fit; tells how many (the upper half) and how
/// long (the lower half) they are.
///
/// # Errors
/// The room is not in memory.
pub(crate) fn write_all(
    memory: &mut [u8],
    room: (u32, u32),
    values: &[&[u8]],
) -> Result<i64, Error> {
    let mut joined = Vec::new();
    for value in values {
        joined.extend_from_slice(value);
        joined.push(0);
    }
    let length = write(memory, room, &joined)?;
    Ok(((values.len() as i64) << 32) | i64::from(length))
}

fn outside() -> Error {
    Error::new("out of memory: the guest names a place outside of its memory")
}
