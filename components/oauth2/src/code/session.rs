//! A session that lives in the browser: sealed with a key made from the client's secret, so that every replica
//! opens what another has sealed, and nobody else can.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::{Deserialize, Serialize};

/// The name that upstream's sessions have.
const NAME: &str = "gosessionsid";
/// How long a session lives whose token has no end of its own; as long as upstream's.
const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);
/// What browsers take of one cookie, name and attributes left out.
const PIECE: usize = 3800;
/// Cookies for one session: tokens are rarely larger than one.
const MOST_PIECES: usize = 4;

/// What is remembered of a browser.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// What the provider has to bring back; empty once it has.
    pub(super) state: String,
    /// Where the browser goes then.
    pub(super) back: String,
    /// A header's value.
    pub(super) token: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    session: Session,
    /// Seconds since 1970.
    until: u64,
}

/// Seals and opens sessions.
pub(super) struct Sessions {
    key: RandomizedNonceKey,
    attributes: &'static str,
}

impl Sessions {
    pub(super) fn new(client_id: &str, client_secret: &str, https_only: bool) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes());
        let key = hmac::sign(&secret, format!("session of {client_id}").as_bytes());
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_ref())
            .expect("an HMAC-SHA256 is as long as the key");
        let attributes = if https_only {
            "Path=/; HttpOnly; SameSite=Lax; Secure"
        } else {
            "Path=/; HttpOnly; SameSite=Lax"
        };
        Self { key, attributes }
    }

    /// Cookies that hold a session; `None` if it is too large for them.
    pub(super) fn seal(
        &self,
        session: &Session,
        lifetime: Option<Duration>,
    ) -> Option<Vec<HeaderValue>> {
        let lifetime = lifetime.unwrap_or(LIFETIME).min(LIFETIME).as_secs();
        self.seal_until(session, (now() + lifetime, lifetime))
    }

    fn seal_until(
        &self,
        session: &Session,
        (until, lifetime): (u64, u64),
    ) -> Option<Vec<HeaderValue>> {
        #[derive(Serialize)]
        struct Open<'a> {
            session: &'a Session,
            until: u64,
        }
        let mut data = serde_json::to_vec(&Open { session, until }).ok()?;
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::empty(), &mut data)
            .ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut data);
        let text = URL_SAFE_NO_PAD.encode(sealed);
        let pieces: Vec<&str> = text
            .as_bytes()
            .chunks(PIECE)
            .map(|piece| std::str::from_utf8(piece).expect("base64 is ASCII"))
            .collect();
        if pieces.len() > MOST_PIECES {
            return None;
        }
        let count = pieces.len();
        let cookies = pieces.iter().enumerate().map(|(at, piece)| {
            // The first one says how many there are, for old ones may linger beside it.
            let value = match at {
                0 => format!("{NAME}={count}.{piece}"),
                at => format!("{NAME}.{at}={piece}"),
            };
            let cookie = format!("{value}; Max-Age={lifetime}; {}", self.attributes);
            HeaderValue::try_from(cookie).ok()
        });
        cookies.collect()
    }

    /// The session in a request's cookies, if it is ours and still lives.
    pub(super) fn open(&self, headers: &HeaderMap) -> Option<Session> {
        let (count, first) = cookie(headers, NAME)?.split_once('.')?;
        let count: usize = count.parse().ok().filter(|count| *count <= MOST_PIECES)?;
        let mut text = first.to_owned();
        for at in 1..count {
            text.push_str(cookie(headers, &format!("{NAME}.{at}"))?);
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, data) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let data = self.key.open_in_place(nonce, Aad::empty(), data).ok()?;
        let Sealed { session, until } = serde_json::from_slice(data).ok()?;
        (now() < until).then_some(session)
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(value)
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::{Session, Sessions, now};

    fn sessions(secret: &str) -> Sessions {
        Sessions::new("me", secret, false)
    }

    fn session(token: &str) -> Session {
        Session {
            state: "s".to_owned(),
            back: "/x".to_owned(),
            token: Some(token.to_owned()),
        }
    }

    /// A browser's header after these `Set-Cookie`s.
    fn kept(cookies: &[HeaderValue]) -> HeaderMap {
        let pairs = cookies.iter().map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            cookie.split(';').next().unwrap().to_owned()
        });
        let line = pairs.collect::<Vec<_>>().join("; ");
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::try_from(format!("a=b; {line}; c=d")).unwrap(),
        );
        headers
    }

    /// Upstream keeps sessions in the memory of one replica.
    #[test]
    fn any_replica_opens_a_session_and_nobody_else_does() {
        for token in ["t", &"long".repeat(2000)] {
            let cookies = sessions("secret").seal(&session(token), None).unwrap();
            assert_eq!(
                sessions("secret").open(&kept(&cookies)),
                Some(session(token))
            );
            assert_eq!(sessions("other").open(&kept(&cookies)), None);
        }
    }

    #[test]
    fn a_session_is_refused_when_it_is_changed_or_too_old() {
        let sessions = sessions("secret");
        let over = sessions.seal_until(&session("t"), (now(), 1)).unwrap();
        assert_eq!(sessions.open(&kept(&over)), None);
        for cookie in ["", "x", "1.", "1.AAAA", "9.AAAA", "2.AAAA"] {
            let cookie = HeaderValue::try_from(format!("gosessionsid={cookie}")).unwrap();
            assert_eq!(sessions.open(&kept(&[cookie])), None);
        }
        assert_eq!(sessions.open(&HeaderMap::new()), None);
    }

    #[test]
    fn a_session_too_large_for_cookies_is_not_sealed() {
        assert!(
            sessions("s")
                .seal(&session(&"x".repeat(20_000)), None)
                .is_none()
        );
    }
}
