use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Chaining, TurnError, Turns};

fn turns() -> Arc<Turns> {
    Arc::new(Turns::default())
}

fn chain(id: &str) -> Chaining<'_> {
    Chaining::Reentrant { id, depth: 3 }
}

#[tokio::test]
async fn calls_take_turns_in_the_order_they_came() {
    let turns = turns();
    let first = turns.take(Chaining::Alone).await.unwrap();
    let mut second = Box::pin(turns.take(Chaining::Alone));
    assert!((&mut second).now_or_never().is_none());
    let mut third = Box::pin(turns.take(Chaining::Alone));
    assert!((&mut third).now_or_never().is_none());
    drop(first);
    assert!((&mut third).now_or_never().is_none());
    let second = second.now_or_never().expect("its turn has come").unwrap();
    drop(second);
    third.now_or_never().expect("its turn has come").unwrap();
}

#[tokio::test]
async fn who_no_longer_waits_is_passed_over() {
    let turns = turns();
    let first = turns.take(Chaining::Alone).await.unwrap();
    let mut second = Box::pin(turns.take(Chaining::Alone));
    assert!((&mut second).now_or_never().is_none());
    let mut third = Box::pin(turns.take(Chaining::Alone));
    assert!((&mut third).now_or_never().is_none());
    drop(second);
    drop(first);
    third.now_or_never().expect("its turn has come").unwrap();
}

#[tokio::test]
async fn a_chain_comes_back_into_its_own_turn() {
    let turns = turns();
    let outer = turns.take(chain("a")).await.unwrap();
    let mut other = Box::pin(turns.take(chain("b")));
    assert!((&mut other).now_or_never().is_none());
    let inner = turns
        .take(chain("a"))
        .now_or_never()
        .expect("no waiting")
        .unwrap();
    drop(outer);
    assert!(
        (&mut other).now_or_never().is_none(),
        "the chain is not over"
    );
    drop(inner);
    other.now_or_never().expect("its turn has come").unwrap();
}

#[tokio::test]
async fn a_chain_has_a_greatest_depth() {
    let turns = turns();
    let _members = [
        turns.take(chain("a")).await.unwrap(),
        turns.take(chain("a")).await.unwrap(),
        turns.take(chain("a")).await.unwrap(),
    ];
    assert_eq!(
        turns.take(chain("a")).await.unwrap_err(),
        TurnError::TooDeep
    );
}

#[tokio::test]
async fn closing_turns_away_who_waits_and_who_comes() {
    let turns = turns();
    let _first = turns.take(Chaining::Alone).await.unwrap();
    let mut second = Box::pin(turns.take(Chaining::Alone));
    assert!((&mut second).now_or_never().is_none());
    assert!(turns.close());
    assert!(!turns.close(), "it is closed once");
    assert_eq!(second.await.unwrap_err(), TurnError::Closed);
    assert_eq!(
        turns.take(Chaining::Alone).await.unwrap_err(),
        TurnError::Closed
    );
}

#[tokio::test]
async fn an_actor_in_use_is_not_closed_as_unused() {
    let turns = turns();
    let first = turns.take(Chaining::Alone).await.unwrap();
    assert!(!turns.close_if_unused());
    drop(first);
    assert!(turns.close_if_unused());
}
