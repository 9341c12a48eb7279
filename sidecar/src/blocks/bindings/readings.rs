//! Which input bindings are read. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The bindings that are read, by name; `C` is a component. One of a name is read at a time: what replaces it waits until
/// its reading has ended.
#[derive(Debug)]
pub struct Readings<C> {
    held: BTreeMap<String, Held<C>>,
}

#[derive(Debug)]
struct Held<C> {
    /// Weak, since a component is closed when nobody holds it.
    component: Weak<C>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// It was told to stop.
    Stopping,
    /// It ended by itself, and does not begin again.
    Ended,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action<C> {
    /// Begin to read it.
    Start(String, Arc<C>),
    /// Tell its reading to stop.
    Stop(String),
}

impl<C> Default for Readings<C> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
        }
    }
}

impl<C> Readings<C> {
    /// What is to be done so that exactly these components are read.
    pub fn step(&mut self, wanted: &BTreeMap<String, Arc<C>>) -> Vec<Action<C>> {
        let is_wanted = |name: &str, held: &Held<C>| {
            let wanted = wanted.get(name);
            wanted.is_some_and(|wanted| Weak::ptr_eq(&held.component, &Arc::downgrade(wanted)))
        };
        self.held
            .retain(|name, held| held.state != State::Ended || is_wanted(name, held));
        let mut actions = Vec::new();
        for (name, held) in &mut self.held {
            if held.state == State::Reading && !is_wanted(name, held) {
                held.state = State::Stopping;
                actions.push(Action::Stop(name.clone()));
            }
        }
        for (name, component) in wanted {
            if !self.held.contains_key(name) {
                let held = Held {
                    component: Arc::downgrade(component),
                    state: State::Reading,
                };
                self.held.insert(name.clone(), held);
                actions.push(Action::Start(name.clone(), Arc::clone(component)));
            }
        }
        actions
    }

    /// The reading of this name has ended.
    pub fn ended(&mut self, name: &str) {
        match self.held.get_mut(name) {
            Some(held) if held.state == State::Reading => held.state = State::Ended,
            _ => drop(self.held.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::{Action, Readings};

    type Component = Arc<u8>;

    fn component() -> Component {
        Arc::new(0)
    }

    fn step(readings: &mut Readings<u8>, wanted: &[(&str, &Component)]) -> Vec<String> {
        let wanted: BTreeMap<_, _> = wanted
            .iter()
            .map(|(name, component)| ((*name).to_owned(), Arc::clone(component)))
            .collect();
        let actions = readings.step(&wanted);
        let told = actions.into_iter().map(|action| match action {
            Action::Start(name, _) => format!("start {name}"),
            Action::Stop(name) => format!("stop {name}"),
        });
        told.collect()
    }

    #[test]
    fn what_is_wanted_is_read_once_and_what_is_not_is_stopped_once() {
        let (mut readings, a, b) = (Readings::default(), component(), component());
        let both = [("a", &a), ("b", &b)];
        assert_eq!(step(&mut readings, &both), ["start a", "start b"]);
        assert!(step(&mut readings, &both).is_empty());
        assert_eq!(step(&mut readings, &[("a", &a)]), ["stop b"]);
        assert!(step(&mut readings, &[("a", &a)]).is_empty());
    }

    #[test]
    fn a_replacement_waits_for_the_end_of_what_it_replaces() {
        let (mut readings, old, new) = (Readings::default(), component(), component());
        step(&mut readings, &[("a", &old)]);
        assert_eq!(step(&mut readings, &[("a", &new)]), ["stop a"]);
        assert!(step(&mut readings, &[("a", &new)]).is_empty());
        readings.ended("a");
        assert_eq!(step(&mut readings, &[("a", &new)]), ["start a"]);
    }

    #[test]
    fn one_that_ended_by_itself_begins_again_only_when_it_is_replaced_or_was_not_wanted() {
        let (mut readings, old, new) = (Readings::default(), component(), component());
        step(&mut readings, &[("a", &old)]);
        readings.ended("a");
        assert!(step(&mut readings, &[("a", &old)]).is_empty());
        assert_eq!(step(&mut readings, &[("a", &new)]), ["start a"]);
        readings.ended("a");
        assert!(step(&mut readings, &[]).is_empty());
        assert_eq!(step(&mut readings, &[("a", &new)]), ["start a"]);
    }

    #[test]
    fn no_component_is_held() {
        let (mut readings, a) = (Readings::default(), component());
        drop(step(&mut readings, &[("a", &a)]));
        assert_eq!(Arc::strong_count(&a), 1);
    }
}
