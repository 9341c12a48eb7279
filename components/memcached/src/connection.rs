//! One connection to one server: a command out, an answer in.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::protocol::{Command, Line};

/// The longest line of an answer: a key, two numbers, or what is wrong.
const LONGEST_LINE: u64 = 4 * 1024;
/// The largest value that a server can be told to take.
const LARGEST_VALUE: usize = 1024 * 1024 * 1024;

/// Values by key, of those keys that have one.
pub(crate) type Values = HashMap<String, Bytes>;

/// Why an exchange failed. The connection is of no more use, whichever it was.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It broke before the first byte of an answer: the server may have closed it long ago.
    Unanswered(String),
    /// It broke, or the answer makes no sense: nobody knows what was carried out.
    Lost(String),
    /// The server refuses the request, which is wrong.
    Wrong(String),
    /// The server cannot carry it out.
    Failed(String),
}

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Whether nothing came since the last answer, not even the end.
    pub(crate) fn is_quiet(&self) -> bool {
        let nothing = self.stream.get_ref().try_read(&mut [0]);
        self.stream.buffer().is_empty()
            && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a command and reads what it is answered.
    ///
    /// # Cancel safety
    /// None: a connection whose exchange was dropped must not be used again.
    pub(crate) async fn exchange(&mut self, command: &Command<'_>) -> Result<Values, Failure> {
        let sent = self.stream.write_all(&command.encode()).await;
        // A server that refuses a value may close before it has all of it, and after it said why.
        let first = self.line().await;
        let mut line = match (first, sent) {
            (Ok(Some(line)), _) => line,
            (Ok(None), Ok(())) => return Err(Failure::Unanswered("it was closed".to_owned())),
            (_, Err(error)) | (Err(error), _) => {
                return Err(Failure::Unanswered(error.to_string()));
            }
        };
        let mut values = Values::new();
        loop {
            match Line::parse(&line) {
                Some(Line::Done) => return Ok(values),
                Some(Line::Wrong(reason)) => return Err(Failure::Wrong(reason)),
                Some(Line::Failed(reason)) => return Err(Failure::Failed(reason)),
                Some(Line::Value { key, length }) => {
                    values.insert(key, self.value(length).await.map_err(lost)?);
                }
                None => return Err(lost(nonsense("a line that no server says"))),
            }
            let next = self.line().await.map_err(lost)?;
            line = next.ok_or_else(|| Failure::Lost("it ended within an answer".to_owned()))?;
        }
    }

    /// The next line without its end; `None` where the connection ends.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LONGEST_LINE);
        limited.read_until(b'\n', &mut line).await?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(line.to_vec())),
            None if line.is_empty() => Ok(None),
            None => Err(nonsense("a line without end")),
        }
    }

    async fn value(&mut self, length: usize) -> io::Result<Bytes> {
        if length > LARGEST_VALUE {
            return Err(nonsense("a value that is too large"));
        }
        let framed = length + 2;
        let mut value = Vec::new();
        // It grows with what comes, not with what is announced.
        let mut limited = (&mut self.stream).take(framed as u64);
        limited.read_to_end(&mut value).await?;
        if value.len() != framed || !value.ends_with(b"\r\n") {
            return Err(nonsense("a value of another length than it says"));
        }
        value.truncate(length);
        Ok(value.into())
    }
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it answers with {what}"),
    )
}

fn lost(error: io::Error) -> Failure {
    Failure::Lost(error.to_string())
}
