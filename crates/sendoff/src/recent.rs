//! What vendors answered within the last minute, so that a form that is drawn again need not ask
//! them again.
//!
//! An answer is found only by who got the same one: the action, the credentials and the question
//! are hashed together under a key that this process made up, so that nobody sees another one's
//! list and no secret stands in memory for it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fields::Values;
use crate::{Error, Result};

/// How long an answer is good. Looker draws a form again with each change of an interactive
/// field, and a user who has just made a folder does not want to wait long for it.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// How much is kept in all, and how many answers.
const MOST_BYTES: usize = 16 << 20;
const MOST_ANSWERS: usize = 1024;

/// A larger answer is given to who asked and not kept.
const LARGEST: usize = 4 << 20;

/// What one answer takes beside its bytes, roughly.
const OVERHEAD: usize = 256;

/// Members of `data` that differ each time and say nothing of who asks.
const PASSING: [&str; 4] = ["state_url", "state_redir_url", "value", "rendered"];

type Name = [u8; 32];
type Landed = Option<Result<Bytes, Arc<Error>>>;

/// A hub's memory. Clones share it.
#[derive(Clone)]
pub(crate) struct Recent {
    inner: Arc<Inner>,
}

struct Inner {
    key: [u8; 16],
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<Name, Bytes>,
    /// When each answer came, the oldest first.
    order: VecDeque<(Name, Instant)>,
    bytes: usize,
    /// Questions that a vendor is being asked right now.
    flights: HashMap<Name, watch::Receiver<Landed>>,
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Default for Recent {
    fn default() -> Self {
        // Random, from the system.
        let key = *uuid::Uuid::new_v4().as_bytes();
        Self { inner: Arc::new(Inner { key, shelf: Mutex::default() }) }
    }
}

/// What the asker is to do.
enum Turn {
    Known(Bytes),
    Wait(watch::Receiver<Landed>),
    Ask(Flight),
}

impl Recent {
    /// What one action's questions are remembered by.
    pub(crate) fn name(&self, action: &str, data: &Values, question: &str) -> Name {
        // An HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.inner.key).expect("a key of any length");
        // Each with its length in front, so that no two lists of texts read the same.
        let mut add = |text: &str| {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        };
        add(action);
        add(question);
        for (name, value) in data.0.iter().filter(|(name, _)| !PASSING.contains(&name.as_str())) {
            add(name);
            add(value.as_str());
        }
        mac.finalize().into_bytes().into()
    }

    /// The answer remembered by `name`, or what `fetch` gives. Who asks while another one is asking
    /// the same waits for that answer, or takes over if the other one leaves.
    pub(crate) async fn answer<T, F>(&self, name: Name, fetch: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        let flight = loop {
            let landed = match self.turn(name) {
                Turn::Ask(flight) => break flight,
                Turn::Known(bytes) => Ok(bytes),
                Turn::Wait(mut flight) => {
                    match flight.wait_for(Option::is_some).await.map(|landed| landed.clone()) {
                        Ok(Some(landed)) => landed,
                        Ok(None) | Err(_) => continue,
                    }
                }
            };
            let bytes = landed.map_err(|error| error.repeated())?;
            return serde_json::from_slice(&bytes).map_err(unreadable);
        };
        match fetch.await {
            Ok(value) => {
                flight.land(Ok(serde_json::to_vec(&value).map_err(unreadable)?.into()));
                Ok(value)
            }
            Err(error) => {
                flight.land(Err(Arc::new(error.repeated())));
                Err(error)
            }
        }
    }

    fn turn(&self, name: Name) -> Turn {
        let mut shelf = self.shelf();
        shelf.drop_old(Instant::now());
        if let Some(bytes) = shelf.answers.get(&name) {
            return Turn::Known(bytes.clone());
        }
        if let Some(flight) = shelf.flights.get(&name) {
            return Turn::Wait(flight.clone());
        }
        let (landed, flight) = watch::channel(None);
        shelf.flights.insert(name, flight);
        Turn::Ask(Flight { recent: self.clone(), name, landed })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.inner.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(fault: serde_json::Error) -> Error {
    Error::hub("What the destination answered could not be remembered.").cause(fault)
}

/// A question that is being asked. Dropped without an answer, it leaves the asking to the next.
struct Flight {
    recent: Recent,
    name: Name,
    landed: watch::Sender<Landed>,
}

impl Flight {
    fn land(self, answer: Result<Bytes, Arc<Error>>) {
        if let Ok(bytes) = &answer {
            self.recent.shelf().keep(self.name, bytes.clone(), Instant::now());
        }
        // Whoever waits has joined by now: dropping the flight closes it to others.
        let _ = self.landed.send(Some(answer));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.recent.shelf().flights.remove(&self.name);
    }
}

impl Shelf {
    fn keep(&mut self, name: Name, bytes: Bytes, now: Instant) {
        let weight = bytes.len() + OVERHEAD;
        if weight > LARGEST {
            return;
        }
        self.drop_old(now);
        while self.order.len() >= MOST_ANSWERS || self.bytes + weight > MOST_BYTES {
            self.drop_oldest();
        }
        self.bytes += weight;
        self.order.push_back((name, now));
        self.answers.insert(name, bytes);
    }

    fn drop_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, came)| now.duration_since(*came) >= GOOD_FOR) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((name, _)) = self.order.pop_front()
            && let Some(bytes) = self.answers.remove(&name)
        {
            self.bytes -= bytes.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join;

    use super::*;

    /// A vendor that counts how often it is asked.
    #[derive(Default)]
    struct Asked(AtomicUsize);

    impl Asked {
        async fn answer(&self) -> Result<String> {
            let times = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            Ok(format!("answer {times}"))
        }

        async fn fail(&self) -> Result<String> {
            self.answer().await.and_then(|text| {
                Err(Error::vendor(text).retry_after(Duration::from_secs(9)).cause("a cause"))
            })
        }

        fn times(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn whose(token: &str) -> Values {
        [("token", token)].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_a_minute() {
        let (recent, asked) = (Recent::default(), Asked::default());
        let name = recent.name("a", &whose("t"), "channels");
        assert_eq!(recent.answer(name, asked.answer()).await.expect("an answer"), "answer 1");
        tokio::time::advance(GOOD_FOR - Duration::from_millis(1)).await;
        assert_eq!(recent.answer(name, asked.answer()).await.expect("an answer"), "answer 1");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(recent.answer(name, asked.answer()).await.expect("an answer"), "answer 2");
        // An old answer takes no room.
        tokio::time::advance(GOOD_FOR).await;
        let mut shelf = recent.shelf();
        shelf.drop_old(Instant::now());
        assert_eq!((shelf.bytes, shelf.answers.len()), (0, 0));
    }

    #[tokio::test]
    async fn nobody_gets_the_answer_to_another() {
        let (recent, asked) = (Recent::default(), Asked::default());
        let names = [
            recent.name("a", &whose("token one"), "channels"),
            recent.name("a", &whose("token two"), "channels"),
            recent.name("b", &whose("token one"), "channels"),
            recent.name("a", &whose("token one"), "users"),
            recent.name("a", &[("tok", "entoken one")].into_iter().collect(), "channels"),
            Recent::default().name("a", &whose("token one"), "channels"),
        ];
        for (nth, name) in names.into_iter().enumerate() {
            let answer = recent.answer(name, asked.answer()).await.expect("an answer");
            assert_eq!(answer, format!("answer {}", nth + 1));
        }
        // What differs each time says nothing of who asks.
        let passing = [("token", "token one"), ("state_url", "https://looker.example/once")];
        let again = recent.name("a", &passing.into_iter().collect(), "channels");
        assert_eq!(recent.answer(again, asked.answer()).await.expect("an answer"), "answer 1");
    }

    #[tokio::test]
    async fn two_who_ask_at_once_make_one_question() {
        let (recent, asked) = (Recent::default(), Asked::default());
        let name = recent.name("a", &whose("t"), "channels");
        let both =
            join(recent.answer(name, asked.answer()), recent.answer(name, asked.answer())).await;
        assert_eq!(
            (both.0.expect("one"), both.1.expect("one")),
            (String::from("answer 1"), "answer 1".into())
        );
        assert!(recent.shelf().flights.is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_wait_and_never_kept() {
        let (recent, asked) = (Recent::default(), Asked::default());
        let name = recent.name("a", &whose("t"), "channels");
        let (one, two) =
            join(recent.answer(name, asked.fail()), recent.answer(name, asked.fail())).await;
        for error in [one.expect_err("a failure"), two.expect_err("a failure")] {
            assert_eq!(error.message(), "answer 1");
            assert_eq!(error.retry(), crate::Retry::After(Duration::from_secs(9)));
        }
        assert_eq!(recent.answer(name, asked.answer()).await.expect("an answer"), "answer 2");
    }

    #[tokio::test]
    async fn who_waits_takes_over_from_one_who_leaves() {
        let (recent, asked) = (Recent::default(), Asked::default());
        let name = recent.name("a", &whose("t"), "channels");
        let mut first = Box::pin(recent.answer(name, async {
            std::future::pending::<()>().await;
            Ok(String::new())
        }));
        assert!(futures_util::poll!(&mut first).is_pending());
        let second = recent.answer(name, asked.answer());
        let leave = async { drop(first) };
        let (second, ()) = join(second, leave).await;
        assert_eq!((second.expect("an answer"), asked.times()), (String::from("answer 1"), 1));
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let recent = Recent::default();
        for nth in 0..MOST_ANSWERS + 200 {
            let name = recent.name("a", &whose("t"), &nth.to_string());
            let long = async { Ok("x".repeat(20_000)) };
            recent.answer(name, long).await.expect("an answer");
            let shelf = recent.shelf();
            assert!(shelf.bytes <= MOST_BYTES && shelf.order.len() <= MOST_ANSWERS);
            assert_eq!(shelf.order.len(), shelf.answers.len());
        }
        for nth in 0..MOST_ANSWERS + 200 {
            let name = recent.name("b", &whose("t"), &nth.to_string());
            recent.answer(name, async { Ok(nth) }).await.expect("an answer");
            assert!(recent.shelf().order.len() <= MOST_ANSWERS);
        }
        let held: usize = recent.shelf().answers.values().map(|bytes| bytes.len() + OVERHEAD).sum();
        assert_eq!(recent.shelf().bytes, held);
        // What is too large is given and not kept.
        let asked = Asked::default();
        let name = recent.name("c", &whose("t"), "large");
        for times in 1..=2 {
            let large = async { asked.answer().await.map(|text| text.repeat(LARGEST)) };
            recent.answer(name, large).await.expect("an answer");
            assert_eq!(asked.times(), times);
        }
    }
}
