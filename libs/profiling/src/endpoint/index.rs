//! What there is, for people; and what there is not.

use http::StatusCode;

use super::{PREFIX, Refused, Reply, refused, typed};

/// Profiles that are there: name and what they are.
const THERE: [(&str, &str); 7] = [
    (
        "profile",
        "processor time, 100 samples a second: <code>?seconds=30</code>, at most 300; one at a time",
    ),
    (
        "heap",
        "memory in use by who allocated it since the start, one sample about every 512 KiB",
    ),
    (
        "allocs",
        "the same samples, beginning with all that was ever allocated",
    ),
    (
        "goroutine",
        "there are no goroutines here: what every thread of the process is doing now. Tasks that wait are on no thread and are not shown",
    ),
    (
        "threadcreate",
        "the threads there are, by name; who created them is not known",
    ),
    (
        "cmdline",
        "the command line, its arguments apart by NUL bytes",
    ),
    (
        "symbol",
        "function names of addresses, if the program has symbols",
    ),
];

/// Go's profiles that are not there: name and what to use.
const NOT_THERE: [(&str, &str); 3] = [
    (
        "block",
        "blocking is not recorded: \"goroutine\" shows what the threads wait for now, and the latency histograms on the metrics port show waiting",
    ),
    (
        "mutex",
        "contention of locks is not recorded: \"profile\" shows the time spent in them, \"goroutine\" who waits now",
    ),
    (
        "trace",
        "there is no execution trace: \"profile\" shows processor time, and distributed tracing (Configuration spec.tracing) shows requests",
    ),
];

/// The page.
pub(super) fn page() -> Reply {
    let mut page = "<html><head><title>/debug/pprof/</title></head><body>\n<p>Profiles in pprof's format: \
        <code>go tool pprof http://host:port/debug/pprof/heap</code>. <code>?debug=1</code> shows text.</p>\n<ul>\n"
        .to_owned();
    for (name, what) in THERE {
        page.push_str(&format!(
            "<li><a href=\"{PREFIX}{name}\">{name}</a>: {what}</li>\n"
        ));
    }
    page.push_str("</ul>\n<p>Not there:</p>\n<ul>\n");
    for (name, instead) in NOT_THERE {
        page.push_str(&format!("<li>{name}: {instead}</li>\n"));
    }
    page.push_str("</ul>\n</body></html>\n");
    typed(page, "text/html; charset=utf-8")
}

/// Why there is no such profile.
pub(super) fn missing(name: &str) -> Refused {
    match NOT_THERE.iter().find(|(known, _)| *known == name) {
        Some((name, instead)) => refused(
            StatusCode::NOT_IMPLEMENTED,
            format!("{name} is not implemented: {instead}"),
        ),
        None => refused(StatusCode::NOT_FOUND, "Unknown profile"),
    }
}
