//! What every lock store owes its callers.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{self, Instant};

use crate::lock::{Claim, LockError, LockStore, Release};

/// As long as no test takes.
const LONG: Duration = Duration::from_secs(100_000);
/// The shortest time of a lock.
const SHORT: Duration = Duration::from_secs(1);
/// How long a lock of [`SHORT`] may still be seen.
const EXPIRY_SLACK: Duration = Duration::from_secs(60);
/// Owners that want one resource at once.
const CROWD: usize = 50;

/// Runs every rule on resources that start with `prefix`.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run(store: &dyn LockStore, prefix: &str) {
    let suite = Suite { store, prefix };
    suite.one_owner_at_a_time().await;
    suite.resources_know_nothing_of_each_other().await;
    suite.only_the_owner_gives_back().await;
    suite.what_is_nobodys_cannot_be_given_back().await;
    suite.one_of_many_gets_it().await;
    suite.each_round_has_one_winner().await;
    suite.names_may_be_odd().await;
    suite.the_longest_time_is_long().await;
    suite.locks_end_by_themselves().await;
    suite.many_want_what_ends().await;
}

struct Suite<'a> {
    store: &'a dyn LockStore,
    prefix: &'a str,
}

impl Suite<'_> {
    async fn take(&self, name: &str, owner: &str, life: Duration) -> bool {
        let taken = self.try_take(name, owner, life).await;
        taken.expect("the store serves")
    }

    async fn try_take(&self, name: &str, owner: &str, life: Duration) -> Result<bool, LockError> {
        let resource = self.resource(name);
        let claim = Claim {
            resource: &resource,
            owner,
            life,
        };
        self.store.try_lock(claim).await
    }

    async fn give_back(&self, name: &str, owner: &str) -> Release {
        let released = self.store.unlock(&self.resource(name), owner).await;
        released.expect("the store serves")
    }

    fn resource(&self, name: &str) -> String {
        format!("lock||{}||{name}", self.prefix)
    }

    async fn one_owner_at_a_time(&self) {
        assert!(self.take("one", "a", LONG).await);
        assert!(!self.take("one", "b", LONG).await, "it is a's");
        assert!(
            !self.take("one", "a", LONG).await,
            "nobody gets it twice, not even its owner"
        );
        assert_eq!(self.give_back("one", "a").await, Release::Done);
        assert!(self.take("one", "b", LONG).await, "it was given back");
        assert_eq!(self.give_back("one", "a").await, Release::Foreign);
    }

    async fn resources_know_nothing_of_each_other(&self) {
        for name in ["each", "each ", "each||", "Each", "each%", "each_"] {
            assert!(self.take(name, "a", LONG).await, "{name:?}");
        }
        assert_eq!(self.give_back("each", "a").await, Release::Done);
        assert!(!self.take("Each", "b", LONG).await);
        assert!(!self.take("each_", "b", LONG).await);
    }

    async fn only_the_owner_gives_back(&self) {
        assert!(self.take("own", "a", LONG).await);
        for stranger in ["b", "A", "a ", "", "aa"] {
            assert_eq!(
                self.give_back("own", stranger).await,
                Release::Foreign,
                "{stranger:?}"
            );
        }
        assert!(!self.take("own", "b", LONG).await, "it stays a's");
        assert_eq!(self.give_back("own", "a").await, Release::Done);
    }

    async fn what_is_nobodys_cannot_be_given_back(&self) {
        assert_eq!(self.give_back("never", "a").await, Release::Absent);
        assert!(self.take("never", "a", LONG).await);
        assert_eq!(self.give_back("never", "a").await, Release::Done);
        assert_eq!(self.give_back("never", "a").await, Release::Absent);
    }

    async fn one_of_many_gets_it(&self) {
        let owners: Vec<String> = (0..CROWD).map(|number| format!("owner-{number}")).collect();
        let takes = owners.iter().map(|owner| self.take("crowd", owner, LONG));
        let taken = join_all(takes).await;
        let winners: Vec<&String> = owners.iter().zip(taken).filter_map(won).collect();
        let [winner] = winners[..] else {
            panic!("it has one owner, not {winners:?}");
        };
        let backs = owners.iter().map(|owner| self.give_back("crowd", owner));
        let backs = join_all(backs).await;
        for (owner, release) in owners.iter().zip(backs) {
            match (owner == winner, release) {
                (true, Release::Done) => {}
                // Some ask after the winner gave it back.
                (false, Release::Foreign | Release::Absent) => {}
                other => panic!("{owner}, when {winner} has it: {other:?}"),
            }
        }
    }

    /// Who has the lock has the counter to himself.
    async fn each_round_has_one_winner(&self) {
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let entered = std::sync::atomic::AtomicUsize::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        let rounds = async |owner: String| {
            let mut won = 0;
            while won < 5 {
                if !self.take("rounds", &owner, LONG).await {
                    time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                assert_eq!(inside.fetch_add(1, order), 0, "{owner} is not alone");
                entered.fetch_add(1, order);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, order);
                assert_eq!(self.give_back("rounds", &owner).await, Release::Done);
                won += 1;
            }
        };
        join_all((0..8).map(|number| rounds(format!("owner-{number}")))).await;
        assert_eq!(entered.into_inner(), 40);
    }

    async fn names_may_be_odd(&self) {
        let long = "long".repeat(200);
        for odd in [
            "with blanks and\nlines\t",
            "päron/Ångström/鍵/🔒",
            "'; DROP TABLE locks; --",
            "\"quoted\" \\ {braces} [brackets] *?",
            "lock",
            long.as_str(),
        ] {
            assert!(self.take(odd, odd, LONG).await, "{odd:?}");
            assert!(!self.take(odd, "b", LONG).await, "{odd:?}");
            assert_eq!(self.give_back(odd, "b").await, Release::Foreign, "{odd:?}");
            assert_eq!(self.give_back(odd, odd).await, Release::Done, "{odd:?}");
        }
        // Not every store has all of these, but then it says so.
        for rare in ["with\0nul", &"x".repeat(100_000)] {
            match self.try_take(rare, "a", LONG).await {
                Ok(true) => assert_eq!(self.give_back(rare, "a").await, Release::Done),
                Err(LockError::InvalidRequest(_)) => {}
                other => panic!("{:?}: {other:?}", rare.get(..20)),
            }
        }
        let owner = "o".repeat(10_000);
        assert!(self.take("owner", &owner, LONG).await);
        assert_eq!(self.give_back("owner", &owner).await, Release::Done);
    }

    async fn the_longest_time_is_long(&self) {
        let longest = Duration::from_secs(i32::MAX.unsigned_abs().into());
        assert!(self.take("longest", "a", longest).await);
        assert!(!self.take("longest", "b", longest).await);
        assert_eq!(self.give_back("longest", "a").await, Release::Done);
    }

    async fn locks_end_by_themselves(&self) {
        assert!(self.take("given back late", "a", SHORT).await);
        assert!(self.take("ends", "a", SHORT).await);
        self.until_taken("ends", "b").await;
        assert_eq!(
            self.give_back("ends", "a").await,
            Release::Foreign,
            "it is b's by now"
        );
        assert_eq!(self.give_back("ends", "b").await, Release::Done);
        assert_eq!(
            self.give_back("given back late", "a").await,
            Release::Absent,
            "its time was over before that of the other"
        );
    }

    async fn many_want_what_ends(&self) {
        assert!(self.take("ends for many", "a", SHORT).await);
        let start = Instant::now();
        let owners: Vec<String> = (0..CROWD).map(|number| format!("owner-{number}")).collect();
        let mut winners = 0;
        while winners == 0 {
            assert!(start.elapsed() < EXPIRY_SLACK, "it does not end");
            let takes = owners
                .iter()
                .map(|owner| self.take("ends for many", owner, LONG));
            winners = join_all(takes).await.into_iter().filter(|won| *won).count();
        }
        assert_eq!(winners, 1, "it has one owner again");
    }

    async fn until_taken(&self, name: &str, owner: &str) {
        let start = Instant::now();
        while !self.take(name, owner, LONG).await {
            assert!(start.elapsed() < EXPIRY_SLACK, "{name} does not end");
            time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn won<T>((owner, won): (T, bool)) -> Option<T> {
    won.then_some(owner)
}
