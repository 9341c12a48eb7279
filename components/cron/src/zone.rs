//! Time zones, from the system's database.

use std::{env, path::Path};

use jiff::tz::TimeZone;
use tokio::fs;

/// Where systems keep the database.
const FOLDERS: &[&str] = &[
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/locale/TZ",
    "/etc/zoneinfo",
];
/// The system's own zone.
const LOCAL: &str = "/etc/localtime";
/// The largest file that is taken for a zone, in bytes; the largest zones have less than 4 KiB.
const LARGEST: usize = 1024 * 1024;

/// A time zone and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    /// As Go calls it: `Local` for the system's own, unless `TZ` names one.
    pub(crate) name: String,
    /// Its clocks.
    pub(crate) clocks: TimeZone,
}

impl Zone {
    fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            clocks: TimeZone::UTC,
        }
    }

    /// The zone of the process: what `TZ` says, else the system's; UTC where that cannot be read, as Go has it.
    pub(crate) async fn local() -> Self {
        let said = env::var("TZ").ok();
        let found = match said.as_deref().map(|said| said.trim_start_matches(':')) {
            None => Self::file(Path::new(LOCAL), "Local").await,
            Some("" | "UTC") => None,
            Some(LOCAL) => Self::file(Path::new(LOCAL), "Local").await,
            Some(path) if path.starts_with('/') => Self::file(Path::new(path), path).await,
            Some(name) => Self::of_database(name).await,
        };
        found.unwrap_or_else(Self::utc)
    }

    /// The zone of that name.
    ///
    /// # Errors
    /// The system does not know it.
    pub(crate) async fn named(name: &str) -> Result<Self, String> {
        match name {
            "" | "UTC" => Ok(Self::utc()),
            "Local" => Ok(Self::local().await),
            _ => Self::of_database(name)
                .await
                .ok_or_else(|| format!("the time zone {name:?} is not known to this system")),
        }
    }

    async fn of_database(name: &str) -> Option<Self> {
        if !is_name(name) {
            return None;
        }
        for folder in FOLDERS {
            if let Some(zone) = Self::file(&Path::new(folder).join(name), name).await {
                return Some(zone);
            }
        }
        None
    }

    async fn file(path: &Path, name: &str) -> Option<Self> {
        let data = fs::read(path).await.ok()?;
        let data = (data.len() <= LARGEST).then_some(data)?;
        Some(Self {
            clocks: TimeZone::tzif(name, &data).ok()?,
            name: name.to_owned(),
        })
    }
}

/// A name of the database leads nowhere else.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
        !part.is_empty() && part.bytes().all(known)
    };
    name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::{Zone, is_name};

    #[test]
    fn names_do_not_lead_out_of_the_database() {
        for name in ["Asia/Tokyo", "Etc/GMT+5", "America/Argentina/Ushuaia"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "/etc/localtime",
            "../../etc/passwd",
            "a//b",
            "a/",
            "a b",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[tokio::test]
    async fn unknown_zones_are_told_by_name() {
        let error = Zone::named("Atlantis/Capital").await.unwrap_err();
        assert!(error.contains("Atlantis/Capital"), "{error}");
    }
}
