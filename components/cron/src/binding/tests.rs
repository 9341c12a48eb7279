use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use trilby_components::{
    binding::{Event, EventHandler, InputBinding as _, Unhandled},
    metadata::Metadata,
};

use super::{CronBinding, MOST_AT_ONCE};

/// Tells its events, and takes them once it may.
struct Recorder {
    events: mpsc::UnboundedSender<Event>,
    may: Arc<Semaphore>,
}

#[async_trait]
impl EventHandler for Recorder {
    async fn handle(&self, event: Event) -> Result<Option<bytes::Bytes>, Unhandled> {
        self.events.send(event).unwrap();
        self.may.acquire().await.unwrap().forget();
        Err(Unhandled("no".to_owned()))
    }
}

struct World {
    events: mpsc::UnboundedReceiver<Event>,
    may: Arc<Semaphore>,
    stop: CancellationToken,
    reading: tokio::task::JoinHandle<()>,
}

async fn reading(schedule: &str, may: usize) -> World {
    let metadata = Metadata::new([("schedule", schedule)]).unwrap();
    let binding = CronBinding::new(&metadata).await.unwrap();
    let (events, heard) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(may));
    let handler = Recorder {
        events,
        may: Arc::clone(&may),
    };
    let stop = CancellationToken::new();
    let reading = binding.read(Arc::new(handler), stop.clone());
    let reading = reading.await.unwrap();
    World {
        events: heard,
        may,
        stop,
        reading: tokio::spawn(async { reading.await.unwrap() }),
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_in_their_rhythm_whatever_the_application_says() {
    let mut world = reading("@every 5s", 100).await;
    let start = Instant::now();
    for count in 1..=3 {
        let event = world.events.recv().await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 5 * count);
        assert!(event.data.is_empty());
        assert!(event.metadata.contains_key("timeZone"));
        assert!(event.metadata["readTimeUTC"].ends_with(" +0000 UTC"));
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_what_is_being_handled_and_takes_nothing_new() {
    let mut world = reading("@every 1s", 0).await;
    world.events.recv().await.unwrap();
    world.stop.cancel();
    let waiting = timeout(Duration::from_secs(60), &mut world.reading).await;
    assert!(waiting.is_err(), "it does not end before its handler");
    world.may.add_permits(10);
    world.reading.await.unwrap();
    assert!(world.events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn events_at_once_are_bounded() {
    let mut world = reading("@every 1s", 0).await;
    tokio::time::sleep(Duration::from_secs(10 + MOST_AT_ONCE as u64)).await;
    let mut heard = 0;
    while world.events.try_recv().is_ok() {
        heard += 1;
    }
    assert_eq!(heard, MOST_AT_ONCE);
}

#[tokio::test]
async fn times_of_the_clock_come() {
    let mut world = reading("* * * * * *", 100).await;
    let before = Timestamp::now();
    for _ in 0..2 {
        let event = timeout(Duration::from_secs(60), world.events.recv()).await;
        assert!(event.unwrap().is_some());
    }
    assert!(Timestamp::now() > before);
}

#[tokio::test]
async fn a_schedule_is_needed_and_has_to_be_one() {
    for (schedule, named) in [
        ("", "schedule"),
        ("often", "invalid schedule format 'often'"),
        ("TZ=Atlantis/Capital @daily", "Atlantis/Capital"),
    ] {
        let metadata = Metadata::new([("schedule", schedule)]).unwrap();
        let error = CronBinding::new(&metadata).await.unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
