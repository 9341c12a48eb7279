use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use trilby_components::metadata::Metadata;

use super::{Properties, QueryExecMode, Target};

fn target(pairs: &[(&str, &str)]) -> Result<Target, String> {
    let metadata = Metadata::new(pairs.iter().copied()).unwrap();
    let properties: Properties = metadata.decode().map_err(|error| error.to_string())?;
    Target::new(&properties).map_err(|error| error.to_string())
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    match target(pairs) {
        Err(error) => error,
        Ok(target) => panic!("{pairs:?} leads to {}", target.address),
    }
}

#[test]
fn either_form_of_string_leads_to_the_database() {
    for text in [
        "host=db port=5433 user=me password=secret database=app",
        "postgres://me:secret@db:5433/app",
    ] {
        let target = target(&[("url", text)]).unwrap();
        let config = &target.config;
        assert_eq!(config.get_hosts(), [Host::Tcp("db".to_owned())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(config.get_user(), Some("me"));
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
        assert_eq!(config.get_dbname(), Some("app"));
        assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(target.address, "db:5433");
    }
}

#[test]
fn other_properties_come_before_the_string() {
    let target = target(&[
        ("connectionString", "postgres://me:old@db:5433/app"),
        ("host", "a,b"),
        ("password", "new"),
        ("database", "other"),
    ])
    .unwrap();
    assert_eq!(target.address, "a,b:5433");
    assert_eq!(target.config.get_password(), Some(&b"new"[..]));
    assert_eq!(target.config.get_dbname(), Some("other"));
    assert!(refusal(&[]).contains("connectionString is missing"));
}

#[test]
fn settings_of_the_session_go_to_the_server() {
    let text = "host=db search_path='my app' application_name=x options='-c a=b'";
    let target = target(&[("connectionString", text)]).unwrap();
    let options = target.config.get_options();
    assert_eq!(options, Some(r"-c a=b -c search_path=my\ app"));
    assert_eq!(target.config.get_application_name(), Some("x"));
    assert!(!target.has_statement_timeout);
}

#[test]
fn the_pool_has_upstreams_bounds() {
    let bounds = |pairs: &[(&str, &str)]| {
        let all = [&[("connectionString", "host=db pool_max_conns=7")], pairs].concat();
        let target = target(&all).unwrap();
        (target.connections, target.idle)
    };
    let half_an_hour = Duration::from_secs(1800);
    assert_eq!(bounds(&[]), (7, half_an_hour));
    assert_eq!(bounds(&[("maxConns", "9")]).0, 9);
    assert_eq!(bounds(&[("maxConns", "-1")]).0, 7);
    let idle = bounds(&[("connectionMaxIdleTime", "5m")]).1;
    assert_eq!(idle, Duration::from_secs(300));
    assert!(target(&[("host", "db")]).unwrap().connections >= 4);
}

#[test]
fn modes_are_upstreams() {
    let mode = |name| target(&[("host", "db"), ("queryExecMode", name)]);
    assert_eq!(mode("").unwrap().mode, QueryExecMode::CacheStatement);
    assert_eq!(
        mode("simple_protocol").unwrap().mode,
        QueryExecMode::SimpleProtocol
    );
    let refused = mode("fast").err().unwrap();
    assert!(refused.contains("queryExecMode"), "{refused}");
}

#[test]
fn what_cannot_be_is_named_without_its_value() {
    for (name, value) in [
        ("sslmode", "secret"),
        ("port", "secret"),
        ("hostaddr", "secret"),
        ("connect_timeout", "secret"),
        ("target_session_attrs", "secret"),
        ("passfile", "secret"),
        ("sslcert", "/no/such/secret"),
        ("sslpassword", "secret"),
        ("pool_max_conns", "secret"),
        ("pool_max_conn_lifetime", "-1h"),
    ] {
        let refused = refusal(&[("connectionString", &format!("host=db {name}={value}"))]);
        assert!(refused.contains(name) || name == "sslcert", "{refused}");
        assert!(!refused.contains("=secret"), "{refused}");
    }
    let refused = refusal(&[(
        "connectionString",
        "host=db sslrootcert=/none sslmode=require",
    )]);
    assert!(refused.contains("sslrootcert: /none"), "{refused}");
    for name in ["useAzureAD", "useAWSIAM"] {
        let refused = refusal(&[("host", "db"), (name, "true")]);
        assert!(
            refused.contains(name) && refused.contains("not there yet"),
            "{refused}"
        );
    }
}
