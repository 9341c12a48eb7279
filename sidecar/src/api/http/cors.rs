//! Calls from browsers (`--allowed-origins`).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};

use super::respond::HttpResponse;

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// No headers are added: browsers refuse other origins.
    Off,
    /// Everyone.
    Any,
    /// These origins.
    Origins(Vec<String>),
}

const METHODS: HeaderValue = HeaderValue::from_static("HEAD, GET, POST, PUT, PATCH, DELETE");

impl Cors {
    /// From the flag's entries: none is off, `*` is everyone.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries: Vec<String> = entries
            .into_iter()
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect();
        match entries.as_slice() {
            [] => Self::Off,
            entries if entries.iter().any(|entry| entry == "*") => Self::Any,
            _ => Self::Origins(entries),
        }
    }

    /// The origin of a request, unless calls from browsers are off.
    pub(super) fn origin_of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self {
            Self::Off => None,
            _ => headers.get(ORIGIN).cloned(),
        }
    }

    /// Answers a browser that asks first; `None` for every other request.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<HttpResponse> {
        let asks = *self != Self::Off
            && request.method() == Method::OPTIONS
            && request.headers().contains_key(ORIGIN)
            && request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = Response::new(axum::body::Body::empty());
        if self.allows(&request.headers()[ORIGIN]) {
            response
                .headers_mut()
                .insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            let asked = request
                .headers()
                .get(ACCESS_CONTROL_REQUEST_HEADERS)
                .cloned();
            let headers = asked.unwrap_or(HeaderValue::from_static("*"));
            response
                .headers_mut()
                .insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        Some(response)
    }

    /// Tells the browser whether its page may read the response.
    pub(super) fn mark(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if self.allows(origin) {
            let allowed = if *self == Self::Any {
                HeaderValue::from_static("*")
            } else {
                origin.clone()
            };
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Off => false,
            Self::Any => true,
            Self::Origins(origins) => origins
                .iter()
                .any(|allowed| allowed.as_bytes() == origin.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

    use super::Cors;

    fn preflight(cors: &Cors, origin: &'static str) -> Option<HeaderMap> {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(())
            .unwrap();
        let mut response = cors.preflight(&request)?;
        assert_eq!(response.status(), StatusCode::OK);
        cors.mark(&HeaderValue::from_static(origin), response.headers_mut());
        Some(response.headers().clone())
    }

    #[test]
    fn off_unless_asked_for() {
        assert_eq!(Cors::new([""]), Cors::Off);
        assert!(preflight(&Cors::Off, "http://a").is_none());
    }

    #[test]
    fn listed_origins_are_allowed_and_others_are_not() {
        let cors = Cors::new(["http://a", " http://b"]);
        assert_eq!(
            preflight(&cors, "http://b").unwrap()["access-control-allow-origin"],
            "http://b"
        );
        let refused = preflight(&cors, "http://c").unwrap();
        assert!(!refused.contains_key("access-control-allow-origin"));
        assert_eq!(refused["vary"], "Origin");
        assert_eq!(
            preflight(&Cors::Any, "http://c").unwrap()["access-control-allow-origin"],
            "*"
        );
    }
}
