use super::*;

const LEASE: Duration = Duration::from_secs(3);

/// One replica of three, and its clock.
struct Fixture {
    election: Election,
    now: Instant,
}

impl Fixture {
    #[expect(
        clippy::disallowed_methods,
        reason = "only an origin: all time passes by hand"
    )]
    fn new(me: usize) -> Self {
        let settings = Settings {
            replicas: 3,
            me: Replica(me),
            lease: LEASE,
        };
        let now = Instant::now();
        Self {
            election: Election::new(settings, 0, (7, now)),
            now,
        }
    }

    /// A replica that was there for long.
    fn settled(me: usize) -> Self {
        let mut it = Self::new(me);
        it.now += it.election.settings.promise();
        it
    }

    /// One that leads since now, and the number of its last beat.
    fn leading(me: usize) -> (Self, u64) {
        let mut it = Self::new(me);
        let other = Replica((me + 1) % 3);
        let canvass = asked(&it.wake());
        it.answer(other, canvass.number, true);
        let actions = it.answer(other, canvass.number + 1, true);
        assert!(actions.iter().any(|it| matches!(it, Action::Lead { .. })));
        (it, canvass.number + 2)
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        self.election.step(event, self.now)
    }

    /// Lets time pass until the machine wants to be woken.
    fn wake(&mut self) -> Vec<Action> {
        self.now = self.election.deadline().expect("it has plans");
        self.step(Event::Tick)
    }

    fn answer(&mut self, from: Replica, number: u64, granted: bool) -> Vec<Action> {
        let answer = Answer {
            term: 0,
            number,
            granted,
        };
        self.step(Event::Answered { from, answer })
    }

    /// Whether it grants that question.
    fn grants(&mut self, from: usize, (subject, reign, number): (Subject, u64, u64)) -> bool {
        let question = Question {
            term: 1,
            number,
            reign,
            subject,
        };
        let from = Replica(from);
        let actions = self.step(Event::Asked { from, question });
        let mut answers = actions.iter().filter_map(|action| match action {
            Action::Answer { answer, .. } => Some(answer.granted),
            _ => None,
        });
        answers.next_back().expect("each question is answered")
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn asked(actions: &[Action]) -> Question {
    let mut questions = actions.iter().filter_map(|action| match action {
        Action::Ask { question, .. } => Some(*question),
        _ => None,
    });
    questions.next_back().expect("it asks")
}

#[test]
fn replica_keeps_to_itself_until_its_forgotten_promises_are_over() {
    let mut it = Fixture::new(0);
    for subject in [Subject::Canvass, Subject::Vote, Subject::Beat] {
        assert!(!it.grants(1, (subject, 9, 1)), "{subject:?}");
    }
    let promise = it.election.settings.promise();
    assert!(it.election.deadline() >= Some(it.now + promise));
    it.pass(promise);
    assert!(it.grants(1, (Subject::Beat, 9, 2)));
}

#[test]
fn canvass_then_votes_then_leadership() {
    let mut it = Fixture::new(0);
    let actions = it.wake();
    assert_eq!(actions.len(), 2, "everybody else is asked: {actions:?}");
    let canvass = asked(&actions);
    assert_eq!((canvass.subject, canvass.term), (Subject::Canvass, 0));
    let actions = it.answer(Replica(1), canvass.number, true);
    assert_eq!(actions[0], Action::Keep { term: 1 }, "before anybody hears");
    let vote = asked(&actions);
    assert_eq!((vote.subject, vote.term), (Subject::Vote, 1));
    let sent = it.now;
    it.pass(Duration::from_millis(100));
    let actions = it.answer(Replica(2), vote.number, true);
    let until = sent + LEASE;
    assert_eq!(actions[0], Action::Lead { term: 1, until });
    assert_eq!(asked(&actions).subject, Subject::Beat);
    assert_eq!(it.election.leader(), Some(Replica(0)));
}

#[test]
fn promise_excludes_every_other_reign() {
    let mut it = Fixture::settled(0);
    assert!(it.grants(1, (Subject::Vote, 9, 1)));
    assert!(!it.grants(2, (Subject::Canvass, 8, 1)));
    assert!(!it.grants(2, (Subject::Vote, 8, 2)));
    assert!(!it.grants(2, (Subject::Beat, 8, 3)));
    assert!(!it.grants(1, (Subject::Vote, 10, 2)), "another of the same");
    assert!(it.grants(1, (Subject::Beat, 9, 3)), "the same");
    it.pass(it.election.settings.promise());
    assert!(it.grants(2, (Subject::Vote, 8, 4)));
}

#[test]
fn canvass_binds_nobody() {
    let mut it = Fixture::settled(0);
    assert!(it.grants(1, (Subject::Canvass, 9, 1)));
    assert!(it.grants(2, (Subject::Vote, 8, 1)));
}

#[test]
fn follower_stands_only_after_its_promise() {
    let mut it = Fixture::settled(0);
    assert!(it.grants(1, (Subject::Beat, 9, 1)));
    assert_eq!(it.election.leader(), Some(Replica(1)));
    let heard = it.now;
    it.wake();
    assert!(it.now >= heard + it.election.settings.promise());
    assert!(it.now <= heard + it.election.settings.promise() + LEASE / 6);
    assert_eq!(it.election.leader(), None);
}

#[test]
fn lease_counts_from_when_the_question_was_sent() {
    let (mut it, beat) = Fixture::leading(0);
    let sent = it.now;
    it.pass(Duration::from_secs(1));
    let actions = it.answer(Replica(1), beat, true);
    // The votes were asked for at the same instant, and carry as far.
    assert!(actions.is_empty(), "{actions:?}");
    it.step(Event::Tick);
    it.pass(Duration::from_millis(400));
    let until = sent + Duration::from_secs(1) + LEASE;
    let actions = it.answer(Replica(1), beat + 1, true);
    assert_eq!(actions, [Action::Extend { until }]);
}

#[test]
fn leader_that_hears_from_nobody_ceases_at_the_end_of_its_lease() {
    let (mut it, _) = Fixture::leading(0);
    let begun = it.now;
    let ceased = loop {
        if it.wake().contains(&Action::Cease) {
            break it.now;
        }
    };
    assert_eq!(ceased, begun + LEASE);
    assert_eq!(it.election.leads_until(), None);
}

#[test]
fn frozen_leader_ceases_before_it_does_anything_else() {
    let (mut it, beat) = Fixture::leading(0);
    it.pass(LEASE * 2);
    let actions = it.answer(Replica(1), beat, true);
    assert_eq!(actions, [Action::Cease]);
}

#[test]
fn refused_candidate_lets_go_whom_it_has_and_tries_again() {
    let mut it = Fixture::new(0);
    let canvass = asked(&it.wake());
    let vote = asked(&it.answer(Replica(1), canvass.number, true));
    it.answer(Replica(1), vote.number, false);
    let actions = it.answer(Replica(2), vote.number, false);
    assert_eq!(asked(&actions).subject, Subject::Release);
    assert!(it.grants(1, (Subject::Vote, 9, 1)), "free for others");
}

#[test]
fn candidate_that_nobody_answers_tries_again() {
    let mut it = Fixture::new(0);
    let first = asked(&it.wake());
    it.wake();
    let again = asked(&it.wake());
    assert_eq!(again.subject, Subject::Canvass);
    assert!(again.number > first.number);
}

#[test]
fn release_frees_only_from_the_promise_it_is_about() {
    let mut it = Fixture::settled(0);
    assert!(it.grants(1, (Subject::Beat, 9, 5)));
    it.grants(1, (Subject::Release, 9, 4));
    it.grants(1, (Subject::Release, 8, 6));
    it.grants(2, (Subject::Release, 9, 6));
    assert!(!it.grants(2, (Subject::Canvass, 7, 7)));
    it.grants(1, (Subject::Release, 9, 6));
    assert!(it.grants(2, (Subject::Canvass, 7, 8)));
    let soon = it.now + it.election.settings.beat();
    assert!(it.election.deadline() <= Some(soon), "it stands at once");
}

#[test]
fn beat_that_a_release_overtook_binds_nobody() {
    let mut it = Fixture::settled(0);
    assert!(it.grants(1, (Subject::Beat, 9, 5)));
    it.grants(1, (Subject::Release, 9, 7));
    assert!(!it.grants(1, (Subject::Beat, 9, 6)));
    assert!(it.grants(2, (Subject::Vote, 7, 1)));
}

#[test]
fn resigning_leader_frees_everybody_and_never_stands_again() {
    let (mut it, _) = Fixture::leading(0);
    let actions = it.step(Event::Resign);
    assert_eq!(asked(&actions).subject, Subject::Release);
    assert!(actions.contains(&Action::Cease));
    assert_eq!(it.election.deadline(), None);
    assert!(it.grants(1, (Subject::Vote, 9, 1)), "but it votes");
}

#[test]
fn replica_that_was_cut_off_does_not_depose_the_leader() {
    let (mut leader, beat) = Fixture::leading(0);
    leader.answer(Replica(1), beat, true);
    assert!(!leader.grants(2, (Subject::Canvass, 9, 1)));
    assert!(!leader.grants(2, (Subject::Vote, 9, 2)));
    assert_eq!(leader.election.leader(), Some(Replica(0)));
}

#[test]
fn promise_outlasts_a_lease_on_clocks_that_differ() {
    let settings = Fixture::new(0).election.settings;
    let (slow, fast) = (100 - Settings::DRIFT / 2, 100 + Settings::DRIFT / 2);
    assert!(settings.promise() * 100 / fast > settings.lease() * 100 / slow);
}
