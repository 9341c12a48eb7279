//! Connection strings in the form of Go's driver, read into their parts. Reasons never repeat the text: it has a
//! password.

use std::fmt;

use percent_encoding::percent_decode_str;

/// MySQL's own port.
const PORT: u16 = 3306;
/// Where Go's driver looks for a socket that is not named.
const SOCKET: &str = "/tmp/mysql.sock";

/// A connection string: `[user[:password]@][protocol[(address)]]/[database][?name=value&…]`.
#[derive(PartialEq, Eq)]
pub(super) struct Dsn {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) address: Address,
    /// Of the session, decoded.
    pub(super) database: Option<String>,
    /// In their order, decoded.
    pub(super) parameters: Vec<(String, String)>,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

impl Dsn {
    /// Reads a string. A password may have any character, also those that separate parts: the address ends at the last
    /// `)/` there is, or else at the last `/`, and begins after the last `@` before.
    ///
    /// # Errors
    /// What makes no sense.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.rfind(")/").map(|at| at + 1).or(text.rfind('/'));
        let end =
            end.ok_or("the slash that ends the address is missing: user:password@tcp(host:port)/")?;
        let (server, rest) = (&text[..end], &text[end + 1..]);
        let (login, server) = match server.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, server),
        };
        let (user, password) = match login {
            None => (None, None),
            Some(login) => match login.split_once(':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(login), None),
            },
        };
        let (database, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let database = percent_decode_str(database).decode_utf8();
        let database = database.map_err(|_| "the name of its database is no UTF-8")?;
        Ok(Self {
            database: Some(database.into_owned()).filter(|name| !name.is_empty()),
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            password: password.map(str::to_owned),
            address: Address::parse(server)?,
            parameters: parameters_of(parameters)?,
        })
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        let (protocol, address) = match text.split_once('(') {
            Some((protocol, rest)) => {
                let address = rest.strip_suffix(')');
                (
                    protocol,
                    address.ok_or("the parentheses of the address do not end")?,
                )
            }
            None => (text, ""),
        };
        match (protocol, address) {
            ("unix", "") => Ok(Self::Unix(SOCKET.to_owned())),
            ("unix", path) => Ok(Self::Unix(path.to_owned())),
            ("" | "tcp" | "tcp4" | "tcp6", address) => tcp(address),
            _ => Err("its protocol is neither tcp nor unix".to_owned()),
        }
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn tcp(text: &str) -> Result<Address, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or("the brackets of the address do not end")?;
            (host, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = match host {
        "" => "127.0.0.1",
        host => host,
    };
    let port = match port {
        None => PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("its port is no number from 1 to 65535".to_owned()),
        },
    };
    let host = host.to_owned();
    Ok(Address::Tcp { host, port })
}

fn parameters_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.enumerate().map(|(at, pair)| {
        let number = at + 1;
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("parameter {number} is no name=value"))?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8();
        let value = value.map_err(|_| format!("the value of parameter {name} is no UTF-8"))?;
        Ok((name.to_owned(), value.into_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::{Address, Dsn};

    fn login(text: &str) -> (Option<String>, Option<String>, String) {
        match Dsn::parse(text) {
            Ok(dsn) => (dsn.user, dsn.password, dsn.address.to_string()),
            Err(reason) => panic!("{text}: {reason}"),
        }
    }

    /// Upstream splits the string at the first slash, wherever it stands.
    #[test]
    fn a_password_may_have_every_character() {
        for password in [
            "p/w",
            "p@w",
            "a:b",
            "a?b=c",
            "(x)",
            "x)/y@tcp(z",
            "/",
            "@",
            "%2f",
            "ü",
        ] {
            let text = format!("me:{password}@tcp(db:3307)/?tls=false");
            let expected = (
                Some("me".to_owned()),
                Some(password.to_owned()),
                "db:3307".to_owned(),
            );
            assert_eq!(login(&text), expected, "{password}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_driver() {
        for (text, address) in [
            ("/", "127.0.0.1:3306"),
            ("tcp/", "127.0.0.1:3306"),
            ("tcp(db)/", "db:3306"),
            ("u@(db:1)/", "db:1"),
            ("u@tcp([::1]:1)/", "[::1]:1"),
            ("u@tcp([fe80::1])/", "[fe80::1]:3306"),
            ("u@unix(/run/db/my.sock)/", "/run/db/my.sock"),
            ("u@unix/", "/tmp/mysql.sock"),
        ] {
            assert_eq!(login(text).2, address, "{text}");
        }
    }

    /// Upstream splits the string there, too.
    #[test]
    fn values_of_parameters_may_have_slashes() {
        let dsn = Dsn::parse("u@tcp(db)/?loc=US%2FPacific&loc=US/Pacific&a=b+c");
        let Ok(dsn) = dsn else { panic!("it is one") };
        let values: Vec<_> = dsn.parameters.iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["US/Pacific", "US/Pacific", "b c"]);
        let host = "db".to_owned();
        assert_eq!(dsn.address, Address::Tcp { host, port: 3306 });
    }

    #[test]
    fn a_database_stands_behind_the_address() {
        let database = |text| Dsn::parse(text).map(|dsn| dsn.database);
        assert_eq!(
            database("me:p/w@tcp(db)/app?a=b"),
            Ok(Some("app".to_owned()))
        );
        assert_eq!(database("tcp(db)/a%2Fb"), Ok(Some("a/b".to_owned())));
        assert_eq!(database("tcp(db)/?a=b"), Ok(None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_the_password() {
        for (text, reason) in [
            ("me:secret@tcp(db)", "slash"),
            ("me:secret@tcp(db/", "parentheses"),
            ("me:secret@tcp(db:no)/", "port"),
            ("me:secret@tcp(db:0)/", "port"),
            ("me:secret@tcp([::1)/", "brackets"),
            ("me:secret@udp(db)/", "protocol"),
            ("me:secret@tcp(db)/?a", "parameter 1"),
            ("me:secret@tcp(db)/?a=%ff", "parameter a"),
        ] {
            let refused = Dsn::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(refused.contains(reason), "{text}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
