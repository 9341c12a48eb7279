//! Calls from browsers (`--allowed-origins`), answered as upstream's server answers them.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};

use super::respond::HttpResponse;

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// No headers are added: browsers refuse other origins.
    Off,
    /// Everyone.
    Any,
    /// These origins.
    Origins(Vec<Origin>),
}

/// Who may call, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This one.
    Exact(String),
    /// Those that begin and end like this.
    Pattern {
        /// What stands before the star.
        before: String,
        /// What stands behind it.
        behind: String,
    },
}

/// What a browser may ask for.
const METHODS: [Method; 7] = [
    Method::HEAD,
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// What an answer to a browser that asks first depends on.
const ASKED: [HeaderName; 3] = [
    ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
    ACCESS_CONTROL_REQUEST_HEADERS,
];

/// What is added to the answer of one request.
#[derive(Debug)]
pub(super) struct Marks(Option<HeaderValue>);

impl Cors {
    /// From the flag's entries: none is off, `*` is everyone.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.trim().to_lowercase())
            .filter(|entry| !entry.is_empty())
            .collect();
        match entries.as_slice() {
            [] => Self::Off,
            entries if entries.iter().any(|entry| entry == "*") => Self::Any,
            entries => Self::Origins(entries.iter().map(|entry| Origin::new(entry)).collect()),
        }
    }

    /// What to add to the answer of a request that is no preflight; `None` where browsers are not served.
    pub(super) fn marks<B>(&self, request: &Request<B>) -> Option<Marks> {
        if *self == Self::Off {
            return None;
        }
        let origin = request.headers().get(ORIGIN);
        let allowed = origin.filter(|_| METHODS.contains(request.method()));
        Some(Marks(allowed.and_then(|origin| self.allow(origin))))
    }

    /// Answers a browser that asks first; `None` for every other request.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<HttpResponse> {
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if *self == Self::Off || request.method() != Method::OPTIONS || asked.is_empty() {
            return None;
        }
        let mut response = Response::new(axum::body::Body::empty());
        let headers = response.headers_mut();
        for name in ASKED {
            headers.append(VARY, HeaderValue::from_static(written(&name)));
        }
        let method = asked.to_str().map(str::to_ascii_uppercase);
        let method = method.ok().and_then(|name| name.parse::<Method>().ok());
        let method = method.filter(|method| METHODS.contains(method));
        let origin = request.headers().get(ORIGIN);
        let origin = origin.and_then(|origin| self.allow(origin));
        if let (Some(method), Some(origin)) = (method, origin) {
            allow(headers, (&method, origin), request.headers());
        }
        Some(response)
    }

    /// What `Access-Control-Allow-Origin` says to an origin that may call.
    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Off => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Origins(origins) => {
                let asked = origin.to_str().ok()?.to_lowercase();
                let allowed = origins.iter().any(|known| known.matches(&asked));
                allowed.then(|| origin.clone())
            }
        }
    }
}

fn allow(headers: &mut HeaderMap, (method, origin): (&Method, HeaderValue), asked: &HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if let Ok(method) = HeaderValue::from_str(method.as_str()) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    // Every header is allowed; naming those that were asked for is enough.
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS)
        && !names.is_empty()
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
}

/// Names inside a `Vary` header, in the spelling that Go's servers use.
fn written(name: &HeaderName) -> &'static str {
    match *name {
        ACCESS_CONTROL_REQUEST_METHOD => "Access-Control-Request-Method",
        ACCESS_CONTROL_REQUEST_HEADERS => "Access-Control-Request-Headers",
        _ => "Origin",
    }
}

impl Marks {
    /// Tells the browser whether its page may read the response.
    pub(super) fn put(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(allowed) = self.0 {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }
}

impl Origin {
    fn new(entry: &str) -> Self {
        match entry.split_once('*') {
            None => Self::Exact(entry.to_owned()),
            Some((before, behind)) => Self::Pattern {
                before: before.to_owned(),
                behind: behind.to_owned(),
            },
        }
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == origin,
            Self::Pattern { before, behind } => origin
                .strip_prefix(before.as_str())
                .is_some_and(|rest| rest.ends_with(behind.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Request, StatusCode};

    use super::Cors;

    fn request(method: Method, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method);
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        builder.body(()).unwrap()
    }

    fn preflight(cors: &Cors, headers: &[(&str, &str)]) -> Option<HeaderMap> {
        let response = cors.preflight(&request(Method::OPTIONS, headers))?;
        assert_eq!(response.status(), StatusCode::OK);
        Some(response.headers().clone())
    }

    fn ask<'a>(origin: &'a str, method: &'a str) -> [(&'static str, &'a str); 2] {
        [
            ("origin", origin),
            ("access-control-request-method", method),
        ]
    }

    #[test]
    fn off_unless_asked_for() {
        assert_eq!(Cors::new([""]), Cors::Off);
        assert!(preflight(&Cors::Off, &ask("http://a", "POST")).is_none());
        assert!(Cors::Off.marks(&request(Method::GET, &[])).is_none());
    }

    #[test]
    fn preflight_names_what_was_asked_for() {
        let cors = Cors::new(["http://a", " http://b"]);
        let asked = [
            ("origin", "http://B"),
            ("access-control-request-method", "put"),
            ("access-control-request-headers", "x-one, x-two"),
        ];
        let headers = preflight(&cors, &asked).unwrap();
        assert_eq!(headers["access-control-allow-origin"], "http://B");
        assert_eq!(headers["access-control-allow-methods"], "PUT");
        assert_eq!(headers["access-control-allow-headers"], "x-one, x-two");
        let vary: Vec<_> = headers.get_all("vary").iter().collect();
        assert_eq!(
            vary,
            [
                "Origin",
                "Access-Control-Request-Method",
                "Access-Control-Request-Headers"
            ]
        );
        let any = preflight(&Cors::Any, &ask("http://c", "POST")).unwrap();
        assert_eq!(any["access-control-allow-origin"], "*");
    }

    #[test]
    fn what_is_not_allowed_is_answered_without_saying_so() {
        let cors = Cors::new(["http://a"]);
        for asked in [
            ask("http://c", "POST").as_slice(),
            &ask("http://a", "BREW"),
            &[("access-control-request-method", "POST")],
        ] {
            let headers = preflight(&cors, asked).unwrap();
            assert!(!headers.contains_key("access-control-allow-origin"));
            assert_eq!(headers["vary"], "Origin");
        }
    }

    #[test]
    fn options_without_a_method_is_an_ordinary_request() {
        let asked = request(Method::OPTIONS, &[("origin", "http://a")]);
        assert!(Cors::Any.preflight(&asked).is_none());
    }

    #[test]
    fn ordinary_answers_always_depend_on_the_origin() {
        let cors = Cors::new(["https://*.example.com"]);
        for (origin, allowed) in [
            (Some("https://a.example.com"), true),
            (Some("https://example.com"), false),
            (Some("https://a.example.com.evil"), false),
            (None, false),
        ] {
            let headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
            let mut marked = HeaderMap::new();
            let marks = cors.marks(&request(Method::GET, &headers)).unwrap();
            marks.put(&mut marked);
            assert_eq!(marked["vary"], "Origin");
            let said = marked.contains_key("access-control-allow-origin");
            assert_eq!(said, allowed, "{origin:?}");
        }
    }
}
