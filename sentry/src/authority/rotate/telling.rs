//! Tells how authority and rotation fare: status, events, metrics.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    super::{Authority, EXPIRY_NOTICE},
    Rotator,
};
use crate::{
    bundle::unix_seconds,
    rotation::{
        Record,
        status::{Condition, ConditionKind, ConditionStatus, Status, date},
    },
    surroundings::{News, Tone},
};

/// The most that is told later; beyond that the first is forgotten.
const UNTOLD: usize = 16;

/// How soon the same is told again.
const TELL_AGAIN: Duration = Duration::from_mins(10);

impl Rotator {
    /// Publishes how everything fares, if that changed.
    pub(in crate::authority) async fn report(
        &mut self,
        authority: &Authority,
        load_complaint: &str,
    ) {
        let stored = authority
            .issuer()
            .and_then(|issuer| issuer.documents().rotation.record.clone());
        let record = Record::read(stored.as_deref()).unwrap_or_default();
        let mut status = Status::new(&record, &self.waiting);
        if let Some(issuer) = authority.issuer() {
            status.issuer_ends = Some(date(unix_seconds(issuer.not_after())));
            status.root_ends = Some(date(unix_seconds(issuer.root_not_after())));
        }
        status.conditions = vec![
            Condition::new(ConditionKind::AuthorityUsable, load_complaint),
            Condition::new(ConditionKind::AuthorityLasting, ending(authority)),
            Condition::new(ConditionKind::RootRotation, self.trouble.as_str()),
            Condition::new(ConditionKind::ConfigurationUsable, configuration(authority)),
        ];
        let waiting = self.waiting.names.len();
        let metrics = &authority.metrics.rotation;
        metrics.stands(record.phase, record.since, waiting);
        metrics.usable(self.trouble.is_empty());
        self.tell_all(authority).await;
        self.tell_conditions(authority, &status.conditions).await;
        let yaml = status.yaml();
        if yaml == self.published {
            return;
        }
        match authority.surroundings.publish_status(&yaml).await {
            Ok(()) => self.published = yaml,
            Err(error) => self.complain(error.to_string()),
        }
    }

    async fn tell_conditions(&mut self, authority: &Authority, conditions: &[Condition]) {
        for condition in conditions {
            let before = self.conditions.insert(condition.kind, condition.status);
            let bad = condition.status == ConditionStatus::False;
            // Failed steps are told where they fail.
            if bad
                && before != Some(condition.status)
                && condition.kind != ConditionKind::RootRotation
            {
                let news = News {
                    reason: reason(condition.kind),
                    text: condition.message.clone(),
                    tone: Tone::Warning,
                };
                self.tell(authority, news).await;
            }
        }
    }

    /// Tells people, but not the same again and again.
    pub(in crate::authority) async fn tell(&mut self, authority: &Authority, news: News) {
        let before = self.told.get(news.reason);
        if before.is_some_and(|(text, at)| *text == news.text && at.elapsed() < TELL_AGAIN) {
            return;
        }
        let text = news.text.clone();
        self.told.insert(news.reason, (text, Instant::now()));
        self.untold.push_back(news);
        if self.untold.len() > UNTOLD {
            self.untold.pop_front();
        }
        self.tell_all(authority).await;
    }

    /// Tells what there is to tell, up to the first that cannot be told now.
    async fn tell_all(&mut self, authority: &Authority) {
        while let Some(news) = self.untold.front() {
            if let Err(error) = authority.surroundings.tell(news).await {
                return self.complain(error.to_string());
            }
            self.untold.pop_front();
        }
    }

    pub(super) fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            tracing::warn!(complaint, "not everything that should be told could be");
            self.complaint = complaint;
        }
    }
}

/// What ends soon; empty if nothing does.
fn ending(authority: &Authority) -> String {
    let Some(issuer) = authority.issuer() else {
        return String::new();
    };
    let soon = |life: (SystemTime, SystemTime)| {
        let notice = life.1.duration_since(life.0).unwrap_or_default() / 3;
        authority.now() + EXPIRY_NOTICE.min(notice) > life.1
    };
    let begin = issuer.not_before();
    if soon((begin, issuer.not_after())) {
        let end = date(unix_seconds(issuer.not_after()));
        format!("the issuer certificate ends at {end}")
    } else if soon((begin, issuer.root_not_after())) {
        let end = date(unix_seconds(issuer.root_not_after()));
        format!("the root certificate ends at {end}")
    } else {
        String::new()
    }
}

fn configuration(authority: &Authority) -> &'static str {
    if authority.metrics.is_configuration_usable() {
        ""
    } else {
        "the Configuration cannot be read or used; the one before is in force"
    }
}

fn reason(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::AuthorityUsable => "AuthorityUnusable",
        ConditionKind::AuthorityLasting => "AuthorityEnding",
        ConditionKind::RootRotation => "RotationFailed",
        ConditionKind::ConfigurationUsable => "ConfigurationUnusable",
    }
}
