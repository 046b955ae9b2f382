//! A request being put together and sent, again where that is safe.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::attempt::{Answer, Failure, Until};
use super::body::{Body, Sent};
use super::guard::Target;
use super::peer::Peer;
use super::reply::{Reading, Reply};
use super::{Http, Paced, retry};
use crate::fields::Secret;
use crate::login::Login;
use crate::{ByteStream, Class, Error, Result};

/// A request to a vendor, from [`Http::post`] and its like.
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    http: Http,
    method: Method,
    target: Result<Target>,
    headers: HeaderMap,
    body: Body,
    timeout: Option<Duration>,
    idle: Option<Duration>,
    repeats: Repeats,
    /// It changes nothing at the vendor: a lost answer leaves nothing behind.
    reads: bool,
    /// Whose token it carries.
    login: Option<Login>,
    /// What this call adds to the delivery's secrets.
    peer: Peer,
    /// The first thing that was wrong with what it was given.
    wrong: Option<Error>,
}

/// How often a request may be told to wait before its delivery is given up.
const HELD_AT_MOST: u32 = 10;

/// When a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    Never,
    /// After 429, the vendor's clear word that it took nothing.
    Refused,
    Always,
}

/// Methods that change nothing: a lost answer leaves nothing behind.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl Call {
    pub(super) fn new(http: Http, method: Method, url: &str) -> Self {
        // RFC 9110, section 9.2.2.
        let idempotent = is_safe(&method) || matches!(method, Method::PUT | Method::DELETE);
        let repeats = if idempotent { Repeats::Always } else { Repeats::Refused };
        let reads = is_safe(&method);
        let peer = http.delivery.peer.clone();
        Self {
            http,
            target: Target::parse(url),
            method,
            headers: HeaderMap::new(),
            body: Body::Empty,
            timeout: None,
            idle: None,
            repeats,
            reads,
            login: None,
            peer,
            wrong: None,
        }
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.set(name, value.as_ref());
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        match (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            // The value may be a secret: only the name is told.
            _ => self.reject(Error::settings(format!(
                "The value for the header {name:?} holds characters that a header may not hold, \
                 such as a line break."
            ))),
        }
    }

    /// Sets a header whose value is a secret.
    pub fn secret_header(mut self, name: &str, value: &Secret) -> Self {
        self.peer.redact = self.peer.redact.with([value.expose()]);
        self.header(name, value.expose())
    }

    /// `Authorization: Bearer …`
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.carry(token);
        self
    }

    fn carry(&mut self, token: &Secret) {
        self.peer.redact = self.peer.redact.with([token.expose()]);
        self.set(AUTHORIZATION.as_str(), &format!("Bearer {}", token.expose().trim()));
    }

    /// The user's access token as `Authorization: Bearer …`, renewed when it has expired.
    ///
    /// If the vendor refuses it with 401, it is renewed once more and the request repeated, provided
    /// its body can be read again.
    pub fn login(mut self, login: &Login) -> Self {
        self.login = Some(login.clone());
        self
    }

    /// `Authorization: Basic …`
    pub fn basic(mut self, user: &str, password: &Secret) -> Self {
        let pair = format!("{user}:{}", password.expose());
        self.peer.redact = self.peer.redact.with([password.expose(), &pair]);
        let pair = base64_simd::STANDARD.encode_to_string(pair.as_bytes());
        self.header(AUTHORIZATION.as_str(), format!("Basic {pair}"))
    }

    /// Appends parameters to the URL's query.
    pub fn query<K, V>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        if let Ok(target) = &mut self.target {
            let mut url = target.url.clone();
            url.query_pairs_mut().extend_pairs(pairs);
            self.target = Target::parse(url.as_str());
        }
        self
    }

    /// A body of form parameters.
    pub fn form<K, V>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body = body.into();
        self.content_type("application/x-www-form-urlencoded")
    }

    /// A body of JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body = json.into(),
            Err(fault) => self.reject(
                Error::hub("The request to the destination could not be written.").cause(fault),
            ),
        }
        self.content_type("application/json")
    }

    /// Any body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The time for the whole call, retries and the reading of the answer included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long no byte may move in either direction, where a vendor is known to think longer
    /// than the operator's 60 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout);
        self
    }

    /// The vendor promises that repeating this request is harmless: it has an idempotency key, or
    /// names the range or part that it writes. GET, HEAD, PUT and DELETE are repeatable anyway.
    /// Any other request is sent again only after a 429: that is the vendor's word that it took
    /// nothing.
    pub fn repeatable(mut self) -> Self {
        self.repeats = Repeats::Always;
        self
    }

    /// This request changes nothing at the vendor, whatever its method says: one for a token, a
    /// search. It is repeatable, and when its answer is lost nothing may have arrived by it.
    pub fn reads(mut self) -> Self {
        self.reads = true;
        self.repeatable()
    }

    /// Nothing repeats this request, not even a method that is repeatable by its definition.
    pub fn once(mut self) -> Self {
        self.repeats = Repeats::Never;
        self
    }

    fn content_type(mut self, media_type: &'static str) -> Self {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
        self
    }

    fn reject(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    /// Sends the request and waits for the answer's status and headers, whatever they say:
    /// [`Reply::success`] turns a refusal into an error.
    ///
    /// # Errors
    /// The guard's refusal (class Settings), the fault of the body's own source as it was given,
    /// the stop's sentence, or a vendor error. An error that
    /// [may have arrived](Error::may_have_arrived) left no doubt that the whole request went out.
    pub async fn send(self) -> Result<Reply> {
        // Boxed: callers hold this future inside larger ones.
        Box::pin(self.send_inner()).await
    }

    async fn send_inner(mut self) -> Result<Reply> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let mut token = match &self.login {
            Some(login) => Some(self.http.stop.unless_stopped(login.token()).await??),
            None => None,
        };
        if let Some(token) = &token {
            self.carry(token);
        }
        let target = std::mem::replace(&mut self.target, Target::parse("https://a.invalid"))?;
        let until = Until::earlier(self.http.until, self.timeout.map(Until::from_now));
        self.http.until = until;
        let budgets = &self.http.delivery.egress.inner.budgets;
        budgets.earn(target.authority(), Instant::now());
        for Paced { pace, rows, .. } in self.http.paced.iter().filter(|paced| paced.each) {
            self.http.stop.unless_stopped(pace.admit(*rows)).await?;
        }
        let mut waits = self.http.delivery.egress.inner.retry.waits();
        let mut lost = false;
        let mut held = 0;
        loop {
            let attempt = self.http.attempt(&self.peer, self.idle);
            let repeats_body = self.body.can_repeat();
            let body = self.body.open();
            let outcome = attempt.run(&self.method, &target, self.headers.clone(), body).await;
            if matches!(&outcome, Ok(answer) if answer.response.status() == StatusCode::UNAUTHORIZED)
                && let Some(refused) = token.take()
                && self.renew(&refused).await.map_err(|error| self.doubted(error, lost))?
                && repeats_body
            {
                continue;
            }
            lost |= !self.reads && matches!(&outcome, Ok(answer) if answer.leaves_open());
            let wait = match &outcome {
                Ok(answer) if repeats_body && self.was_held(answer) => {
                    held += 1;
                    self.wait_while_held(answer, held)
                }
                Ok(answer) if repeats_body && self.may_repeat_after(answer) => {
                    self.wait_after_answer(answer, &mut waits, target.authority())
                }
                Ok(_) => None,
                Err(failure) => {
                    lost |= failure.sent == Sent::Whole && !self.reads;
                    self.wait_after_failure(failure, repeats_body, &mut waits, target.authority())
                }
            };
            match (outcome, wait) {
                (outcome, Some(wait)) => {
                    if let Err(failure) = outcome
                        && let Some(stream) = failure.untouched
                    {
                        self.body = Body::Stream(stream);
                    }
                    tracing::debug!(vendor = %self.peer.name, ?wait, "request is sent again");
                    let rest = rest(&self.http.paced, wait);
                    let rested = self.http.stop.unless_stopped(rest).await;
                    rested.map_err(|error| self.doubted(error, lost))?;
                }
                (Ok(answer), None) => return Ok(self.reply(answer, lost)),
                (Err(failure), None) => return Err(self.doubted(failure.error, lost)),
            }
        }
    }

    /// `error`, and that an attempt before it may have arrived if its answer was `lost`.
    fn doubted(&self, error: Error, lost: bool) -> Error {
        if lost { self.peer.may_have_arrived(error) } else { error }
    }

    /// Takes another token than the one that was refused. Whether there is one.
    async fn renew(&mut self, refused: &Secret) -> Result<bool> {
        let Some(login) = self.login.clone() else { return Ok(false) };
        match self.http.stop.unless_stopped(login.renew(refused)).await? {
            Ok(token) => {
                self.carry(&token);
                self.peer.login_note = Some("The login was renewed meanwhile: send again.".into());
                Ok(true)
            }
            // The vendor's own 401 says it.
            Err(error) if error.class() == Class::Login => Ok(false),
            Err(error) => {
                self.peer.login_note = Some(error.message().to_owned());
                Ok(false)
            }
        }
    }

    fn reply(self, answer: Answer, lost: bool) -> Reply {
        let idle = self.idle.unwrap_or(self.http.delivery.egress.inner.idle_timeout);
        let reading = Reading {
            peer: self.peer,
            stop: self.http.stop,
            until: self.http.until,
            idle,
            uncertain: !self.reads,
            lost,
            upload: answer.upload,
        };
        Reply::new(answer.response, reading)
    }

    fn may_repeat_after(&self, answer: &Answer) -> bool {
        match self.repeats {
            Repeats::Always => true,
            Repeats::Refused => answer.response.status() == StatusCode::TOO_MANY_REQUESTS,
            Repeats::Never => false,
        }
    }

    fn wait_after_answer(
        &self,
        answer: &Answer,
        waits: &mut impl Iterator<Item = Duration>,
        host: &str,
    ) -> Option<Duration> {
        let status = answer.response.status();
        if !retry::passing(status) {
            return None;
        }
        let own = waits.next()?;
        let inner = &self.http.delivery.egress.inner;
        let asked = retry::asked(answer.response.headers(), Timestamp::now());
        match asked.map(|asked| inner.retry.seconds(asked)) {
            Some(asked) if asked > inner.retry.longest_asked => None,
            // Who is told when to come back burdens nobody by coming back then.
            Some(asked) if status == StatusCode::TOO_MANY_REQUESTS => self.in_time(asked),
            asked => {
                let wait = self.in_time(asked.unwrap_or(own))?;
                if let (Some(paced), Some(asked)) = (self.http.paced.first(), asked) {
                    paced.pace.pause(asked);
                }
                inner.budgets.spend(host, Instant::now()).then_some(wait)
            }
        }
    }

    fn wait_after_failure(
        &self,
        failure: &Failure,
        repeats_body: bool,
        waits: &mut impl Iterator<Item = Duration>,
        host: &str,
    ) -> Option<Duration> {
        let body_is_there = repeats_body || failure.untouched.is_some();
        let harmless = self.repeats == Repeats::Always || failure.sent == Sent::Nothing;
        if !(failure.passing && harmless && body_is_there) {
            return None;
        }
        let wait = self.in_time(waits.next()?)?;
        self.http.delivery.egress.inner.budgets.spend(host, Instant::now()).then_some(wait)
    }

    /// Whether the vendor asks all of a paced delivery to hold on: 429 is its word that it took
    /// nothing, so that any request may be sent again that does not forbid it.
    fn was_held(&self, answer: &Answer) -> bool {
        !self.http.paced.is_empty()
            && self.repeats != Repeats::Never
            && answer.response.status() == StatusCode::TOO_MANY_REQUESTS
    }

    /// How long all hold on, and that they do.
    fn wait_while_held(&self, answer: &Answer, times: u32) -> Option<Duration> {
        let inner = &self.http.delivery.egress.inner;
        let paced = self.http.paced.first()?;
        let own = inner.retry.first_wait * times.min(8);
        let asked = retry::asked(answer.response.headers(), Timestamp::now());
        let asked = asked.map(|asked| inner.retry.seconds(asked));
        if times > HELD_AT_MOST || asked.is_some_and(|asked| asked > inner.retry.longest_asked) {
            return None;
        }
        let wait = self.in_time(asked.unwrap_or_else(|| own.max(paced.pace.cool_down())))?;
        paced.pace.pause(wait);
        Some(wait)
    }

    /// `wait`, if the call and the delivery then still have time.
    fn in_time(&self, wait: Duration) -> Option<Duration> {
        let then = Instant::now().checked_add(wait)?;
        let over = |end: Option<Instant>| end.is_some_and(|end| then >= end);
        let ends = [self.http.until.map(|until| until.at), self.http.delivery.scope.deadline];
        (!ends.into_iter().any(over)).then_some(wait)
    }
}

/// Waits before a request is sent again. Whoever keeps a pace takes its turn after that.
async fn rest(paced: &[Paced], wait: Duration) {
    tokio::time::sleep(wait).await;
    for Paced { pace, rows, .. } in paced {
        pace.admit(*rows).await;
    }
}

impl Http {
    /// Sends a request that somebody else built, and perhaps signed, exactly once and as it is.
    /// Guard, origin map, stop and time limits apply.
    ///
    /// # Errors
    /// As [`Call::send`]; a request target that is not in its normal form is refused, because what
    /// was signed and what is sent could differ.
    pub async fn exchange(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<ByteStream>> {
        let (head, body) = request.into_parts();
        let target = Target::exact(&head.uri)?;
        let peer = &self.delivery.peer;
        let attempt = self.attempt(peer, None);
        let uncertain = !is_safe(&head.method);
        match Box::pin(attempt.run(&head.method, &target, head.headers, body)).await {
            Ok(answer) => {
                let reading = Reading {
                    peer: peer.clone(),
                    stop: self.stop.clone(),
                    until: self.until,
                    idle: self.delivery.egress.inner.idle_timeout,
                    uncertain,
                    lost: false,
                    upload: answer.upload,
                };
                let (head, incoming) = answer.response.into_parts();
                let stream = reading.stream(incoming, head.status);
                Ok(http::Response::from_parts(head, stream))
            }
            Err(failure) if failure.sent == Sent::Whole && uncertain => {
                Err(peer.may_have_arrived(failure.error))
            }
            Err(failure) => Err(failure.error),
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}
