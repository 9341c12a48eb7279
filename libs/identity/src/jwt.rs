//! JWT SVIDs: tokens that prove an identity to those who cannot ask for a certificate.
//!
//! They come from the authority that also signed the certificate, over a connection that proved to be that authority's;
//! their signatures are for those who get them, not for us.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::SpiffeId;

/// How far the authority's clock may be from ours.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Tokens as an authority sends them, not read yet. Empty where it issues none.
#[derive(Clone, Default)]
pub struct Tokens {
    /// For every audience that was asked for.
    pub base: Option<String>,
    /// Tokens for one audience each, by audience.
    pub per_audience: BTreeMap<String, String>,
}

/// A token that says whom it identifies, to whom, and until when. `Debug` does not show the token.
pub struct JwtSvid {
    token: String,
    audiences: Vec<String>,
    expiry: SystemTime,
}

/// All tokens of one identity.
#[derive(Debug, Clone, Default)]
pub struct JwtSvids {
    base: Option<Arc<JwtSvid>>,
    per_audience: BTreeMap<String, Arc<JwtSvid>>,
}

/// Why a token of an authority cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no token, or its time is not now.
    #[error("JWT SVID cannot be read: {0}")]
    Parse(String),
    /// It is for others.
    #[error("JWT SVID is for {actual:?}, expected {expected:?}")]
    Audience {
        /// Who it has to be for.
        expected: String,
        /// Who it is for.
        actual: Vec<String>,
    },
}

/// Why there is no token for an audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoJwt {
    /// No audience was named.
    #[error("JWT audience is required")]
    AudienceRequired,
    /// The authority issued no tokens.
    #[error("no JWT SVID available")]
    NotIssued,
    /// The authority was not asked for this audience.
    #[error("JWT SVID has different audiences than requested: expected {expected}, got {}", .actual.join(", "))]
    OtherAudiences {
        /// Who it should be for.
        expected: String,
        /// Who it is for.
        actual: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audiences,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

// === impl JwtSvids ===

impl JwtSvids {
    /// Reads what came with a certificate of `trust_domain`: the base token has to be for that trust domain as well,
    /// each other for its own audience alone.
    ///
    /// # Errors
    /// The first token that cannot be used.
    pub fn read(tokens: &Tokens, trust_domain: &str, now: SystemTime) -> Result<Self, JwtError> {
        let token = tokens.base.as_deref().filter(|token| !token.is_empty());
        let base = token.map(|token| {
            let svid = JwtSvid::parse(token, now)?;
            let ours = svid
                .audiences
                .iter()
                .any(|audience| audience == trust_domain);
            svid.only_if(ours, trust_domain)
        });
        let single = |(audience, token): (&String, &String)| {
            let svid = JwtSvid::parse(token, now)?;
            let its = svid.audiences == [audience.as_str()];
            Ok((audience.clone(), svid.only_if(its, audience)?))
        };
        Ok(Self {
            base: base.transpose()?,
            per_audience: tokens
                .per_audience
                .iter()
                .map(single)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The token to show to `audience`: the one for it alone if there is one, else the one for all.
    ///
    /// # Errors
    /// None is for it.
    pub fn fetch(&self, audience: &str) -> Result<&Arc<JwtSvid>, NoJwt> {
        if audience.is_empty() {
            return Err(NoJwt::AudienceRequired);
        }
        let svid = self.per_audience.get(audience).or(self.base.as_ref());
        let svid = svid.ok_or(NoJwt::NotIssued)?;
        if !svid.audiences.iter().any(|known| known == audience) {
            return Err(NoJwt::OtherAudiences {
                expected: audience.to_owned(),
                actual: svid.audiences.clone(),
            });
        }
        Ok(svid)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the first of them expires; `None` without any.
    #[must_use]
    pub fn expiry(&self) -> Option<SystemTime> {
        self.all().map(|svid| svid.expiry).min()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<JwtSvid>> {
        self.base.iter().chain(self.per_audience.values())
    }
}

// === impl JwtSvid ===

impl JwtSvid {
    /// The token itself: a secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// For whom it is.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// When it expires.
    #[must_use]
    pub fn expiry(&self) -> SystemTime {
        self.expiry
    }

    fn parse(token: &str, now: SystemTime) -> Result<Self, JwtError> {
        let claims = claims(token).map_err(JwtError::Parse)?;
        let expiry = time(claims.exp);
        let wrong = |text: String| Err(JwtError::Parse(text));
        if let Err(error) = claims.sub.parse::<SpiffeId>() {
            return wrong(format!("its subject is no SPIFFE ID: {error}"));
        }
        if expiry + SKEW < now {
            return wrong("it has expired".to_owned());
        }
        if [claims.nbf, claims.iat]
            .into_iter()
            .flatten()
            .any(|begin| time(begin) > now + SKEW)
        {
            return wrong("it is not valid yet".to_owned());
        }
        Ok(Self {
            token: token.to_owned(),
            audiences: claims.aud.into_list(),
            expiry,
        })
    }

    fn only_if(self, fits: bool, expected: &str) -> Result<Arc<Self>, JwtError> {
        if fits {
            return Ok(Arc::new(self));
        }
        Err(JwtError::Audience {
            expected: expected.to_owned(),
            actual: self.audiences,
        })
    }
}

impl JwtError {
    /// At which step, as a metric's label.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Parse(_) => "jwt_parse",
            Self::Audience { .. } => "jwt_aud",
        }
    }
}

impl Audiences {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(audience) => vec![audience],
            Self::Many(audiences) => audiences,
        }
    }
}

impl fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvid")
            .field("audiences", &self.audiences)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("base", &self.base.is_some())
            .field("per_audience", &self.per_audience.keys())
            .finish()
    }
}

/// What the middle part of `head.claims.signature` says. Errors do not repeat the token.
fn claims(token: &str) -> Result<Claims, String> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it does not have three parts".to_owned());
    };
    let json = URL_SAFE_NO_PAD.decode(claims);
    let json = json.map_err(|_not_base64| "its claims are not in base64".to_owned())?;
    serde_json::from_slice(&json).map_err(|error| {
        format!(
            "its claims are incomplete or no JSON (column {})",
            error.column()
        )
    })
}

/// Seconds since 1970, as a time; what is out of range is as far away as possible.
fn time(seconds: f64) -> SystemTime {
    // Some centuries: no sum with a duration of ours can overflow.
    const FAR: f64 = 100_000_000_000.0;
    let since = if seconds > 0.0 { seconds.min(FAR) } else { 0.0 };
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(since)
}

#[cfg(test)]
mod tests;
