use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};

use super::{ALONE, answer, table};

async fn get(path: &str) -> (StatusCode, String) {
    let request = Request::get(path)
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let reply = answer(request).await;
    let status = reply.status();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn the_index_names_what_is_there_and_what_is_not() {
    let (status, page) = get("/debug/pprof/").await;
    assert_eq!(status, StatusCode::OK);
    for name in ["profile", "heap", "no goroutines", "trace"] {
        assert!(page.contains(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_what_to_use() {
    for name in ["block", "mutex", "trace"] {
        let (status, text) = get(&format!("/debug/pprof/{name}?seconds=1")).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert!(
            text.contains("\"profile\"") || text.contains("\"goroutine\""),
            "{text}"
        );
    }
    assert_eq!(
        get("/debug/pprof/nothing").await,
        (StatusCode::NOT_FOUND, "Unknown profile\n".to_owned())
    );
}

#[tokio::test]
async fn seconds_are_bounded() {
    for seconds in ["0", "301", "-1", "x", ""] {
        let (status, text) = get(&format!("/debug/pprof/profile?seconds={seconds}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(text.contains("from 1 to 300"), "{text}");
    }
    let (status, text) = get("/debug/pprof/goroutine?seconds=1").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("-diff_base"), "{text}");
}

#[tokio::test]
async fn heap_says_when_nothing_is_sampled() {
    let (status, text) = get("/debug/pprof/heap").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text, "allocations are not sampled in this process\n");
}

#[tokio::test]
async fn the_command_line_is_this_programs() {
    let (status, line) = get("/debug/pprof/cmdline").await;
    assert_eq!(status, StatusCode::OK);
    assert!(line.contains("trilby_profiling"), "{line}");
}

#[tokio::test]
async fn only_symbols_are_posted() {
    for (path, status) in [
        ("/debug/pprof/symbol", StatusCode::OK),
        ("/debug/pprof/heap", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let mut request = Request::new(Full::new(bytes::Bytes::from(format!(
            "{:#x}",
            table as *const () as usize
        ))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(answer(request).await.status(), status);
    }
}

#[test]
fn a_table_names_the_addresses_it_knows() {
    let here = table as *const () as usize;
    let expected = format!("num_symbols: 1\n{here:#x} trilby_profiling::endpoint::table\n");
    assert_eq!(table(&format!("{here:#x}+0x1+nonsense")), expected);
    assert_eq!(table(""), "num_symbols: 1\n");
}

#[tokio::test]
async fn threads_are_shown_as_text() {
    let _alone = ALONE.lock().await;
    let (status, text) = get("/debug/pprof/goroutine?debug=1").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.starts_with("threads/count of "), "{text}");
    assert!(text.contains("0x"), "{text}");
}
