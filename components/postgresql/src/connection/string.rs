//! Connection strings in their two forms, read into names and values. Reasons never repeat the text: it has a password.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Reads either form; an empty text has no parameters.
///
/// # Errors
/// Where it stops to make sense.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let text = text.trim();
    match SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => url(rest),
        None => pairs(text),
    }
}

/// `name = value`, repeated; a value may stand in single quotes, and `\` is before a character that stands for itself.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let number = found.len() + 1;
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| format!("after parameter {number}, something is no name=value"))?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!(
                "the name of parameter {number} is none: write name=value"
            ));
        }
        let (value, after) = value(after.trim_start())
            .ok_or_else(|| format!("the quotes of parameter {name} do not end"))?;
        found.insert(name.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(found)
}

/// The value that a text starts with, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut characters = text.char_indices().skip(usize::from(quoted));
    let mut value = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Some((value, &text[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            blank if blank.is_whitespace() && !quoted => return Some((value, &text[at..])),
            plain => value.push(plain),
        }
    }
    (!quoted).then_some((value, ""))
}

/// `user:password@host:port,host:port/database?name=value`.
fn url(text: &str) -> Result<BTreeMap<String, String>, String> {
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    // A password may have what separates the parts after it, if it is careless.
    let (login, text) = match text.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, text),
    };
    let (hosts, database) = text.split_once('/').unwrap_or((text, ""));
    let mut found = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            found.insert(name.to_owned(), value);
        }
    };
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        put("user", decoded("user", user)?);
        put("password", decoded("password", password)?);
    }
    let (names, ports) = addresses(hosts)?;
    put("host", names);
    put("port", ports);
    put("dbname", decoded("database", database)?);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        put(&name, value.into_owned());
    }
    Ok(found)
}

/// The hosts and their ports, separated by commas each; no ports where none is named.
fn addresses(text: &str) -> Result<(String, String), String> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for address in text.split(',') {
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => rest
                .split_once(']')
                .ok_or("an IPv6 address has no closing bracket")?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        hosts.push(decoded("host", host)?);
        ports.push(port.trim_start_matches(':').to_owned());
    }
    let ports = match ports.iter().all(String::is_empty) {
        true => String::new(),
        false => ports.join(","),
    };
    Ok((hosts.join(","), ports))
}

fn decoded(what: &str, text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| format!("its {what} is no UTF-8"))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(read(text), expected, "{text}");
    }

    #[test]
    fn pairs_may_be_quoted_and_escaped() {
        check("", &[]);
        check(
            "host=localhost user = me  password='a b\\'c' dbname=",
            &[
                ("dbname", ""),
                ("host", "localhost"),
                ("password", "a b'c"),
                ("user", "me"),
            ],
        );
        check(r"password=a\ b\\", &[("password", r"a b\")]);
    }

    #[test]
    fn urls_have_logins_hosts_and_parameters() {
        check("postgres://", &[]);
        check(
            "postgresql://me:p%40ss@db:5433/app?sslmode=require&application_name=a+b",
            &[
                ("application_name", "a b"),
                ("dbname", "app"),
                ("host", "db"),
                ("password", "p@ss"),
                ("port", "5433"),
                ("sslmode", "require"),
                ("user", "me"),
            ],
        );
        check(
            "postgres://[::1]:1,b/",
            &[("host", "::1,b"), ("port", "1,")],
        );
        check(
            "postgres://me@%2Fvar%2Frun/db",
            &[("dbname", "db"), ("host", "/var/run"), ("user", "me")],
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_the_text() {
        for wrong in [
            "secret",
            "host=a secret",
            "=secret",
            "password='secret",
            "postgres://[::secret",
            "postgres://a:%ffsecret@b",
        ] {
            let reason = parse(wrong).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
