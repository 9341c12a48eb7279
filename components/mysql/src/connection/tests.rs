use std::time::Duration;

use trilby_components::metadata::Metadata;

use super::{Properties, Target};

const LIMIT: Duration = Duration::from_secs(20);

fn target(pairs: &[(&str, &str)]) -> Result<Target, String> {
    let metadata = Metadata::new(pairs.iter().copied()).unwrap();
    let properties: Properties = metadata.decode().map_err(|error| error.to_string())?;
    Target::new(&properties, LIMIT).map_err(|error| error.to_string())
}

fn with(parameters: &str) -> Result<Target, String> {
    let string = format!("me:secret@tcp(db:3307)/?{parameters}");
    target(&[("connectionString", &string)])
}

#[test]
fn the_string_leads_to_the_server() {
    let options = with("").unwrap().options(Some("app"));
    assert_eq!(options.ip_or_hostname(), "db");
    assert_eq!(options.tcp_port(), 3307);
    assert_eq!(
        (options.user(), options.pass()),
        (Some("me"), Some("secret"))
    );
    assert_eq!(options.db_name(), Some("app"));
    assert!(options.ssl_opts().is_none());
    assert_eq!(with("").unwrap().address, "db:3307");
    let missing = target(&[]).err().unwrap();
    assert!(missing.contains("connectionString is missing"), "{missing}");
}

#[test]
fn parameters_have_the_drivers_meaning() {
    let string =
        "parseTime=true&allowNativePasswords=true&timeout=3s&maxAllowedPacket=2048&loc=US/Pacific";
    let target = with(string).unwrap();
    assert_eq!(target.dial, Some(Duration::from_secs(3)));
    assert_eq!(target.options(None).max_allowed_packet(), Some(2048));
    assert!(
        with("tls=false")
            .unwrap()
            .options(None)
            .ssl_opts()
            .is_none()
    );
    let mut preferred = with("tls=preferred").unwrap();
    assert!(preferred.options(None).ssl_opts().is_some());
    assert!(preferred.give_up_tls() && !preferred.give_up_tls());
    assert!(preferred.options(None).ssl_opts().is_none());
    assert!(!with("tls=skip-verify").unwrap().give_up_tls());
}

#[test]
fn variables_of_the_session_are_set() {
    let session = |parameters| with(parameters).unwrap().options(None).init()[0].clone();
    let own = session("");
    assert!(own.contains("time_zone = '+00:00'"), "{own}");
    assert!(own.contains("max_statement_time = 20"), "{own}");
    let given = session("innodb_lock_wait_timeout=5&max_statement_time=7&time_zone=%27UTC%27");
    // The last one counts.
    assert!(
        given
            .trim_end()
            .ends_with("innodb_lock_wait_timeout = 5, max_statement_time = 7"),
        "{given}"
    );
    assert!(!given.contains("'UTC'"), "{given}");
}

#[test]
fn what_cannot_be_is_named_without_its_value() {
    for (parameters, name) in [
        ("tls=else", "tls"),
        ("timeout=soon", "timeout"),
        ("compress=maybe", "compress"),
        ("maxAllowedPacket=much", "maxAllowedPacket"),
        ("allowNativePasswords=false", "allowNativePasswords"),
        ("serverPubKey=x", "serverPubKey"),
        ("a;b=1", "no variable"),
        ("tls=custom", "pemPath is missing"),
    ] {
        let refused = with(parameters)
            .err()
            .unwrap_or_else(|| panic!("{parameters}"));
        assert!(refused.contains(name), "{parameters}: {refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    let string = "tcp(db)/?tls=custom";
    let refused = target(&[("connectionString", string), ("pemPath", "/no/such/file")]);
    let refused = refused.err().unwrap();
    assert!(
        refused.contains("pemPath") && refused.contains("/no/such/file"),
        "{refused}"
    );
}
