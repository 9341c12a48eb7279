use std::sync::Arc;

use async_trait::async_trait;
use trilby_components::{
    middleware::{Body, HttpMiddleware, Next},
    registry::Instance,
};

use super::{ComponentInfo, Lookup, View};
use crate::instance::{Running, Settings};

struct Through;

#[async_trait]
impl HttpMiddleware for Through {
    async fn handle(&self, request: http::Request<Body>, next: Next<'_>) -> http::Response<Body> {
        next.run(request).await
    }
}

fn view(version: &str) -> View {
    let instance = Instance::Middleware(Arc::new(Through));
    let (running, _) = Running::new("upper", instance, Settings::default());
    let info = ComponentInfo {
        name: "upper".to_owned(),
        component_type: "middleware.http.uppercase".to_owned(),
        version: version.to_owned(),
        capabilities: Vec::new(),
        serving: true,
        error: None,
        holds_up_start: false,
    };
    View::new(vec![(info, Some(running))])
}

#[tokio::test]
async fn a_middleware_is_found_by_name_type_and_version() {
    const TYPE: &str = "middleware.http.uppercase";
    for (installed, asked) in [("v1", ""), ("", "v1"), ("v1", "v1")] {
        assert!(view(installed).middleware("upper", TYPE, asked).is_ok());
    }
    for (name, type_name, version) in [
        ("upper", TYPE, "v2"),
        ("upper", "middleware.http.routeralias", "v1"),
        ("other", TYPE, "v1"),
    ] {
        let found = view("v1").middleware(name, type_name, version);
        assert_eq!(found.err(), Some(Lookup::NotFound), "{name} {type_name}");
    }
    let none = View::default().middleware("upper", TYPE, "");
    assert_eq!(none.err(), Some(Lookup::NotConfigured));
}
