//! How many deliveries run at once, how many may wait, and that none of them takes every place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// Whatever may be slow on its own, and must then leave places to the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    /// What a destination shares with others, such as one vendor's host.
    Lane(String),
    Action(usize),
    /// Callers who do not say which Looker they are count as one.
    Instance(Option<String>),
}

impl Party {
    /// A party may hold so many times the places that are still free. So one alone holds two of
    /// three, 15 of 16 or 31 of 32, and each further one the same of what is left: there is always
    /// a place for the next. Stalled lanes must not use up their action's share, nor an action its
    /// instance's, so each is larger.
    fn times(&self) -> usize {
        match self {
            Self::Lane(_) => 2,
            Self::Action(_) => 15,
            Self::Instance(_) => 31,
        }
    }
}

/// The hub's places.
///
/// A delivery takes a place at the door, by its action and instance; its lane is known only when
/// its form was read. It then waits for its turn in its lane, its action, its instance and the hub,
/// in this order, so that whoever waits for the narrower one holds nothing of the wider.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    books: Arc<Mutex<Books>>,
    running: Arc<Semaphore>,
    limits: Limits,
}

/// Who is inside, running or waiting.
#[derive(Debug)]
struct Books {
    free: usize,
    /// Those who hold a place. Names come from users' forms, so nobody else is remembered.
    parties: HashMap<Party, Share>,
}

#[derive(Debug)]
struct Share {
    inside: usize,
    turns: Arc<Semaphore>,
}

/// The right to be inside: to run or to wait.
#[derive(Debug)]
pub(crate) struct Ticket {
    action: Seat,
    instance: Seat,
    books: Arc<Mutex<Books>>,
}

/// A place as one party's book has it. Given back when dropped.
#[derive(Debug)]
struct Seat {
    party: Party,
    turns: Arc<Semaphore>,
    books: Arc<Mutex<Books>>,
}

/// The right to run.
#[derive(Debug)]
#[allow(dead_code, reason = "held until it is dropped; the turns are given back before the seat")]
pub(crate) struct Place {
    turns: [OwnedSemaphorePermit; 4],
    lane: Seat,
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(|poison| poison.into_inner())
}

fn semaphore(places: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let free = limits.running.saturating_add(limits.waiting);
        let books = Arc::new(Mutex::new(Books { free, parties: HashMap::new() }));
        Self { books, running: semaphore(limits.running), limits }
    }

    /// A ticket at once, or `None` when the hub is full or these hold their share of it.
    pub(crate) fn enter(&self, action: usize, instance: Option<&str>) -> Option<Ticket> {
        let (action, instance) =
            (Party::Action(action), Party::Instance(instance.map(str::to_owned)));
        let mut books = lock(&self.books);
        let free = books.free;
        if free == 0 || !(books.has_room(&action, free) && books.has_room(&instance, free)) {
            return None;
        }
        books.free -= 1;
        let action = self.seat(&mut books, action);
        let instance = self.seat(&mut books, instance);
        drop(books);
        Some(Ticket { action, instance, books: Arc::clone(&self.books) })
    }

    /// Waits for a place to run in. `None` at once when the lane holds its share of the hub.
    pub(crate) async fn place(&self, ticket: &Ticket, lane: String) -> Option<Place> {
        let lane = {
            let (mut books, lane) = (lock(&self.books), Party::Lane(lane));
            // The ticket's own place is no longer free, and is what is asked for here.
            let free = books.free.saturating_add(1);
            if !books.has_room(&lane, free) {
                return None;
            }
            self.seat(&mut books, lane)
        };
        let turns = [
            turn(&lane.turns).await,
            turn(&ticket.action.turns).await,
            turn(&ticket.instance.turns).await,
            turn(&self.running).await,
        ];
        Some(Place { turns, lane })
    }

    /// Writes one more of a party into its book.
    fn seat(&self, books: &mut Books, party: Party) -> Seat {
        let share = match books.parties.entry(party.clone()) {
            Entry::Occupied(share) => share.into_mut(),
            Entry::Vacant(new) => {
                new.insert(Share { inside: 0, turns: semaphore(self.at_once(&party)) })
            }
        };
        share.inside += 1;
        Seat { party, turns: Arc::clone(&share.turns), books: Arc::clone(&self.books) }
    }

    /// How many of a party may run at once.
    fn at_once(&self, party: &Party) -> usize {
        let running = self.limits.running;
        match party {
            Party::Lane(_) => self.limits.per_lane,
            Party::Action(_) | Party::Instance(_) => running - running / (party.times() + 1),
        }
    }
}

/// None of the semaphores is ever closed.
async fn turn(turns: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(turns).acquire_owned().await.expect("places stay open")
}

impl Books {
    fn has_room(&self, party: &Party, free: usize) -> bool {
        let inside = self.parties.get(party).map_or(0, |share| share.inside);
        inside < free.saturating_mul(party.times())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.books).free += 1;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut books = lock(&self.books);
        if let Some(share) = books.parties.get_mut(&self.party) {
            share.inside -= 1;
            if share.inside == 0 {
                books.parties.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    fn admission(running: usize, per_lane: usize, waiting: usize) -> Admission {
        Admission::new(Limits { running, per_lane, waiting, ..Limits::default() })
    }

    /// A delivery that was let in.
    enum Inside {
        Running { _place: Place, _ticket: Ticket },
        Waiting(BoxFuture<'static, Option<(Place, Ticket)>>),
    }

    impl Inside {
        fn runs(&mut self) -> bool {
            if let Self::Waiting(turn) = self
                && let Some(Some((place, ticket))) = turn.now_or_never()
            {
                *self = Self::Running { _place: place, _ticket: ticket };
            }
            matches!(self, Self::Running { .. })
        }
    }

    fn arrive(admission: &Admission, action: usize, instance: &str, lane: &str) -> Option<Inside> {
        let ticket = admission.enter(action, Some(instance))?;
        let (admission, lane) = (admission.clone(), lane.to_owned());
        let mut turn = async move {
            let place = admission.place(&ticket, lane).await?;
            Some((place, ticket))
        }
        .boxed();
        match (&mut turn).now_or_never() {
            None => Some(Inside::Waiting(turn)),
            Some(None) => None,
            Some(Some((place, ticket))) => Some(Inside::Running { _place: place, _ticket: ticket }),
        }
    }

    /// As many as are let in.
    fn fill(admission: &Admission, action: usize, instance: &str, lane: &str) -> Vec<Inside> {
        std::iter::from_fn(|| arrive(admission, action, instance, lane)).collect()
    }

    fn is_empty(admission: &Admission) -> bool {
        let books = lock(&admission.books);
        let all = admission.limits.running + admission.limits.waiting;
        books.parties.is_empty() && books.free == all
    }

    #[test]
    fn a_full_lane_leaves_the_hubs_turns_to_others() {
        let admission = admission(4, 2, 12);
        let mut slow: Vec<_> = (0..3).filter_map(|_| arrive(&admission, 0, "a", "slow")).collect();
        assert_eq!(slow.iter_mut().map(Inside::runs).collect::<Vec<_>>(), [true, true, false]);
        assert!(arrive(&admission, 0, "a", "quick").unwrap().runs());
        slow.remove(0);
        assert!(slow.iter_mut().all(Inside::runs));
        drop(slow);
        assert!(is_empty(&admission));
    }

    #[test]
    fn a_stalled_lane_never_holds_every_place() {
        let admission = admission(8, 4, 8);
        let stalled = fill(&admission, 0, "a", "slow");
        assert_eq!(stalled.len(), 11);
        // By the same action, from the same Looker.
        assert!(arrive(&admission, 0, "a", "quick").unwrap().runs());
        // Who is refused for his lane leaves his place to others.
        assert!(arrive(&admission, 0, "a", "slow").is_none());
        assert_eq!(lock(&admission.books).free, 5);
        drop(stalled);
        assert!(is_empty(&admission));
    }

    #[test]
    fn two_stalled_lanes_leave_places_to_a_third() {
        let admission = admission(8, 3, 24);
        let _first = fill(&admission, 0, "a", "slow");
        let _second = fill(&admission, 0, "a", "slower");
        assert!(arrive(&admission, 0, "a", "quick").unwrap().runs());
    }

    #[test]
    fn an_action_and_an_instance_leave_places_and_turns_to_others() {
        let lanes: Vec<_> = (0..64).map(|n| n.to_string()).collect();
        let crowd = |admission: &Admission, actions: usize| {
            let by = |n: usize| fill(admission, n % actions, "a", &lanes[n]);
            (0..lanes.len()).flat_map(by).collect::<Vec<_>>()
        };
        let one_action = admission(32, 32, 32);
        let held = crowd(&one_action, 1);
        assert_eq!(held.len(), 60, "fifteen times the four that are left");
        assert!(arrive(&one_action, 0, "b", "quick").is_none());
        assert!(arrive(&one_action, 1, "a", "quick").unwrap().runs());
        let one_instance = admission(32, 32, 32);
        let held = crowd(&one_instance, lanes.len());
        assert_eq!(held.len(), 62, "31 times the two that are left");
        assert!(arrive(&one_instance, 99, "a", "quick").is_none());
        assert!(arrive(&one_instance, 99, "b", "quick").unwrap().runs());
    }

    #[test]
    fn a_thousand_may_wait_for_one_lane_by_default() {
        let admission = Admission::new(Limits::default());
        assert!(fill(&admission, 0, "a", "slow").len() >= 1_000);
        assert!(arrive(&admission, 0, "a", "quick").unwrap().runs());
    }

    #[test]
    fn the_hub_is_full_when_running_and_waiting_are_taken() {
        let admission = admission(1, 1, 2);
        let tickets: Vec<_> = (0..3).map(|_| admission.enter(0, None).unwrap()).collect();
        assert!(admission.enter(1, None).is_none());
        drop(tickets);
        assert!(admission.enter(0, None).is_some());
        assert!(is_empty(&admission));
    }

    #[test]
    fn a_hub_for_one_delivery_takes_one() {
        let admission = admission(1, 1, 0);
        let mut only = arrive(&admission, 0, "a", "any").unwrap();
        assert!(only.runs());
        assert!(arrive(&admission, 1, "b", "other").is_none());
    }
}
