//! One delivery, from the first byte of the request to the outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use http::HeaderMap;
use sendoff_protocol as wire;
use sendoff_protocol::{ActionType, INSTANCE, LookerVersion, WEBHOOK_ID};
use tokio::time::Instant;

use super::admission::{Place, Ticket};
use super::drain::ABORT_WITHIN;
use super::{Inner, execute, listing, outcome};
use crate::action::{self, AnyAction, CallBox, Checked, Prepared};
use crate::egress::Scope;
use crate::fields::Values;
use crate::intake::{Data, Head, Intake, Refusal, Rest, Small};
use crate::login::Login;
use crate::payload::{About, Payload, Source, Way};
use crate::pipeline::Earlier;
use crate::redact::Redactor;
use crate::{ByteStream, Error, Reason, Receipt, Repeatable, Result, Spec, Stop};

/// Who sent the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) webhook_id: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) looker_version: Option<LookerVersion>,
    /// What has kept its connection open so far.
    pub(super) newlines: Arc<AtomicU64>,
}

/// Ids are 32 characters; whatever is much longer is no id and would only fill the log.
const LONGEST_ID: usize = 128;

impl Caller {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let id = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            (value.len() <= LONGEST_ID).then(|| value.to_owned())
        };
        Self {
            webhook_id: id(WEBHOOK_ID),
            instance: id(INSTANCE),
            looker_version: listing::looker_version(headers),
            newlines: Arc::default(),
        }
    }
}

/// A delivery and all it needs.
pub(super) struct Delivery {
    hub: Arc<Inner>,
    action: usize,
    caller: Caller,
    /// Answers from a webhook's query string.
    answers: Values,
    stop: Stop,
    started: Instant,
    /// Bytes that the destination read.
    read: Arc<AtomicU64>,
}

/// What came of a delivery.
pub(super) struct Ended {
    pub(super) executed: wire::Executed,
    /// The request itself could not be read.
    pub(super) refusal: Option<Refusal>,
}

impl Ended {
    /// The task ended without an outcome.
    pub(super) fn panicked(webhook_id: Option<&str>) -> Self {
        let error = Error::hub(
            "This action hub failed while it worked on the delivery, which is a fault in the hub. \
             Its operator finds the cause in the log.",
        )
        .may_have_arrived();
        Self {
            executed: outcome::of_delivery(&Err(error), webhook_id, &Redactor::default()),
            refusal: None,
        }
    }
}

/// Why a delivery did not get as far as its action.
enum NotRun {
    Unreadable(Refusal),
    /// The answers are wrong, field by field.
    Form(crate::Problems),
    Failed(Error),
}

impl NotRun {
    fn left_something(&self) -> bool {
        matches!(self, Self::Failed(error) if error.arrival() != crate::Arrival::Nothing)
    }
}

impl From<Error> for NotRun {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Delivery {
    pub(super) fn new(
        hub: Arc<Inner>,
        action: usize,
        caller: Caller,
        answers: Values,
        stop: Stop,
    ) -> Self {
        let (started, read) = (Instant::now(), Arc::default());
        Self { hub, action, caller, answers, stop, started, read }
    }

    /// Runs to the end, or to the deadline. The ticket is held until then, unless there is no
    /// place for the delivery.
    pub(super) async fn run(self, intake: Intake, ticket: Ticket) -> Ended {
        let limit = self.hub.limits.deadline;
        let (mut ticket, mut secrets) = (Some(ticket), None);
        let result = {
            let work = self.deliver(intake, &mut ticket, &mut secrets);
            let mut work = std::pin::pin!(work);
            let stopped = async {
                tokio::select! {
                    () = tokio::time::sleep_until(self.started + limit) => {
                        self.stop.stop(Reason::Deadline(limit));
                    }
                    _ = self.stop.stopped() => {}
                }
                tokio::time::sleep(ABORT_WITHIN).await;
                self.stop.reason()
            };
            tokio::select! {
                biased;
                result = &mut work => result,
                reason = stopped => {
                    let reason = reason.unwrap_or(Reason::CallerGone);
                    Err(NotRun::Failed(reason.error().may_have_arrived()))
                }
            }
        };
        if let Some(secrets) = &mut secrets {
            secrets.learn();
        }
        self.conclude(result, secrets)
    }

    async fn deliver(
        &self,
        intake: Intake,
        ticket: &mut Option<Ticket>,
        secrets: &mut Option<Secrets>,
    ) -> Result<Receipt, NotRun> {
        let begun = self.stop.unless_stopped(intake.begin(&self.hub.room)).await?;
        let (head, data) = begun.map_err(NotRun::Unreadable)?;
        let (source, rest) = self.source(data);
        match self.execute(head, source, ticket, secrets).await {
            Ok(receipt) => match settle(rest, false).await {
                None => Ok(receipt),
                Some(refusal) => Err(broke_off_after(&receipt, &refusal).into()),
            },
            // A delivery that must stop has no time to wait for the rest of its request.
            Err(failure) if self.stop.reason().is_some() => Err(failure),
            Err(failure) => match settle(rest, true).await {
                None => Err(failure),
                // Something stands at the destination, which the delivery's own words tell.
                Some(_) if failure.left_something() => Err(failure),
                Some(refusal) => Err(NotRun::Unreadable(refusal)),
            },
        }
    }

    async fn execute(
        &self,
        head: Head,
        attached: Option<Source>,
        ticket: &mut Option<Ticket>,
        secrets: &mut Option<Secrets>,
    ) -> Result<Receipt, NotRun> {
        let Head { kept: _kept, members: head } = head;
        let action = self.hub.actions[self.action].as_ref();
        let kind = action_type(action, &head)?;
        let way = if attached.is_some() { Way::Pushed } else { Way::Downloaded };
        let about = about(action, &head, way);
        let download = head.plan.as_ref().and_then(|plan| plan.download_url.clone());
        let (call, known) = self.call(action, kind, head);
        *secrets = Some(known);
        let delivery = match action.prepare(CallBox(call)) {
            Prepared(Checked::Sound(delivery)) => delivery,
            Prepared(Checked::Settings(problems)) => {
                return Err(Error::settings(outcome::settings_sentence(&problems)).into());
            }
            Prepared(Checked::Form(problems)) => return Err(NotRun::Form(problems)),
        };
        let _place = self.place(ticket, delivery.lane).await?;
        let source = attached.or_else(|| {
            let (url, watch) = (download?, self.watch());
            let (egress, stop) = (self.hub.egress.clone(), self.stop.clone());
            let wait = self.hub.limits.download_wait;
            let open = async move { egress.download(url.as_str(), wait, &stop).await.map(watch) };
            Some(Box::pin(open) as Source)
        });
        let payload = Payload::new(about, source, self.hub.room.clone());
        Ok((delivery.run)(payload).await?)
    }

    /// Waits for a place to run in. Without one, the rest of the request is read without a ticket.
    async fn place(&self, ticket: &mut Option<Ticket>, lane: String) -> Result<Place> {
        if let Some(held) = &*ticket {
            let admitted = self.hub.admission.place(held, lane);
            if let Some(place) = self.stop.unless_stopped(admitted).await? {
                return Ok(place);
            }
        }
        *ticket = None;
        Err(execute::full("too many deliveries to this destination are running and waiting"))
    }

    /// The data as a destination sees it, and what comes behind it.
    fn source(&self, data: Data) -> (Option<Source>, Option<Rest>) {
        let watch = self.watch();
        let (stream, rest) = match data {
            Data::Absent => return (None, None),
            Data::Live(live, rest) => (ByteStream::new(live), Some(rest)),
            Data::Spooled(spooled) => (spooled.stream(), None),
        };
        (Some(Box::pin(std::future::ready(Ok(watch(stream))))), rest)
    }

    /// Counts what is read, and ends the stream with an error when the delivery must stop.
    fn watch(&self) -> impl FnOnce(ByteStream) -> ByteStream + Send + 'static {
        let (stop, read) = (self.stop.clone(), Arc::clone(&self.read));
        move |stream| {
            let len = stream.len_hint();
            let watched = futures_util::stream::try_unfold(stream, move |mut stream| {
                let (stop, read) = (stop.clone(), Arc::clone(&read));
                async move {
                    let Some(chunk) = stop.unless_stopped(stream.next()).await? else {
                        return Ok(None);
                    };
                    let chunk = chunk?;
                    read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    Ok(Some((chunk, stream)))
                }
            });
            let watched = ByteStream::new(watched.fuse());
            match len {
                Some(len) => watched.with_len(len),
                None => watched,
            }
        }
    }

    fn call(
        &self,
        action: &dyn AnyAction,
        kind: ActionType,
        head: Small,
    ) -> (action::Call, Secrets) {
        let mut form = head.form;
        form.0.extend(self.answers.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        let deadline = self.started + self.hub.limits.deadline;
        let parts = CallParts { kind: Some(kind), plan: head.plan, data: head.data, form };
        call(&self.hub, action, &self.caller, self.stop.clone(), Some(deadline), parts)
    }

    fn conclude(&self, result: Result<Receipt, NotRun>, secrets: Option<Secrets>) -> Ended {
        let redact = secrets.as_ref().map(|secrets| secrets.redact.clone()).unwrap_or_default();
        let redact = &redact;
        let id = self.caller.webhook_id.as_deref();
        let (result, refusal) = match result {
            Err(NotRun::Form(problems)) => {
                let executed = outcome::of_form_problems(&problems, id);
                self.log("not delivered", executed.looker.message.as_deref().unwrap_or_default());
                return Ended { executed, refusal: None };
            }
            Err(NotRun::Unreadable(refusal)) => (Err(refusal.answer()), Some(refusal)),
            Err(NotRun::Failed(error)) => (Err(error), None),
            Ok(receipt) => (Ok(receipt), None),
        };
        let mut executed = outcome::of_delivery(&result, id, redact);
        // Whatever came of the delivery: tokens that were renewed for it are the only good ones.
        executed.looker.state = secrets.and_then(|secrets| secrets.login.to_write());
        match &result {
            Ok(_) => self.log("delivered", ""),
            Err(error) => {
                let outcome = match error.arrival() {
                    crate::Arrival::Nothing => "not delivered",
                    _ => "may have arrived",
                };
                self.log(outcome, &redact.clean(&error.log_line()));
            }
        }
        Ended { executed, refusal }
    }

    /// One line a delivery: what, for whom, how much and how it ended. No rows, no secrets.
    fn log(&self, outcome: &str, reason: &str) {
        tracing::info!(
            action = self.hub.actions[self.action].spec().name,
            webhook_id = self.caller.webhook_id.as_deref(),
            instance = self.caller.instance.as_deref(),
            bytes = self.read.load(Ordering::Relaxed),
            ms = self.started.elapsed().as_millis() as u64,
            outcome,
            reason,
            "delivery"
        );
    }
}

/// The members of a request that a call is made of.
pub(super) struct CallParts {
    pub(super) kind: Option<ActionType>,
    pub(super) plan: Option<wire::ScheduledPlan>,
    pub(super) data: Values,
    pub(super) form: Values,
}

/// What is to be kept out of every word about a call, and its login.
pub(super) struct Secrets {
    pub(super) redact: Redactor,
    pub(super) login: Login,
}

impl Secrets {
    /// Takes in the tokens that came up during the call.
    pub(super) fn learn(&mut self) {
        self.redact = self.login.redact(&self.redact);
    }
}

/// What an action is called with, and the secrets to keep out of every word about it.
pub(super) fn call(
    hub: &Inner,
    action: &dyn AnyAction,
    caller: &Caller,
    stop: Stop,
    deadline: Option<Instant>,
    parts: CallParts,
) -> (action::Call, Secrets) {
    let spec = action.spec();
    let mut data = parts.data;
    if let Some(own) = hub.settings(spec.name) {
        for (name, value) in &own.0 {
            data.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    let secrets = action.secrets();
    let values = secrets.iter().flat_map(|name| [data.get(name), parts.form.get(name)]).flatten();
    let login =
        hub.desk.login(&hub.egress, &spec, caller.instance.as_deref(), data.get("state_json"));
    let redact = login.redact(&Redactor::new(values.chain(one_time(&data))));
    let mut scope = Scope::new(spec.label);
    scope.stop = stop.clone();
    scope.deadline = deadline;
    scope.redact = redact.clone();
    scope.action = spec.name.into();
    scope.webhook_id = caller.webhook_id.clone();
    scope.oauth = spec.login.is_some();
    let call = action::Call {
        http: hub.egress.http(scope),
        login: login.clone(),
        recent: hub.recent.clone(),
        earlier: earlier(hub, &spec, caller, &parts.form),
        action: spec.name,
        stop,
        kind: parts.kind,
        plan: parts.plan,
        data,
        form: parts.form,
        webhook_id: caller.webhook_id.clone(),
        instance: caller.instance.clone(),
        looker_version: caller.looker_version,
        newlines: Arc::clone(&caller.newlines),
    };
    (call, Secrets { redact, login })
}

/// What was sent of this delivery before: it has the same webhook id and the same form, and its
/// vendor recognises no repeat.
fn earlier(hub: &Inner, spec: &Spec, caller: &Caller, form: &Values) -> Option<Earlier> {
    let id = caller.webhook_id.as_deref().filter(|_| spec.repeatable == Repeatable::Nothing)?;
    let instance = caller.instance.as_deref().unwrap_or_default();
    let name = hub.recent.name(spec.name, form, &format!("tries of {instance} {id}"));
    Some(hub.tries.delivery(name))
}

/// The last part of the URLs that are good for one login.
fn one_time(data: &Values) -> impl Iterator<Item = &str> {
    let urls = ["state_url", "state_redir_url"].into_iter().filter_map(|name| data.get(name));
    urls.filter_map(|url| url.rsplit('/').next())
}

/// What is sent, if the action takes it.
fn action_type(action: &dyn AnyAction, head: &Small) -> Result<ActionType> {
    let spec = action.spec();
    let given = head.kind.as_ref().map(wire::Text::as_str);
    let kind = spec.accepts.iter().find(|kind| Some(kind.as_str()) == given);
    kind.copied().ok_or_else(|| {
        let takes: Vec<_> = spec.accepts.iter().map(|kind| kind.as_str()).collect();
        let takes = takes.join(", ");
        let given: Option<String> = given.map(|text| text.chars().take(40).collect());
        Error::form(
            "type",
            match given {
                Some(given) => format!(
                    "{} cannot send a \"{given}\": its type must be one of {takes}.",
                    spec.label
                ),
                None => format!("The request names no type; {} takes {takes}.", spec.label),
            },
        )
    })
}

/// What the request says of its data.
fn about(action: &dyn AnyAction, head: &Small, way: Way) -> About {
    let bare = |text: &str| text.trim().trim_end_matches(";base64").trim().to_owned();
    let pushed = head.mimetype.is_some() || head.extension.is_some();
    let named = head.form.get("format").and_then(|name| name.parse().ok());
    let only = match action.spec().formats {
        Some([format]) => Some(*format),
        _ => None,
    };
    About {
        format: named.or(only).filter(|format: &wire::Format| {
            !pushed || head.extension.as_deref().is_none_or(|ext| ext == format.extension())
        }),
        media_type: head.mimetype.as_deref().map(bare).filter(|text| is_media_type(text)),
        extension: head.extension.clone().filter(|text| !text.is_empty()),
        way,
    }
}

/// Whether a text may stand where destinations write media types: in headers, also in those of a
/// form's parts, which nobody else checks (RFC 6838, section 4.2).
fn is_media_type(text: &str) -> bool {
    const LONGEST: usize = 255;
    let token = |text: &str| {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(sound)
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let pair = essence.trim_end().split_once('/');
    pair.is_some_and(|(kind, subtype)| token(kind) && token(subtype))
        && parameters.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.len() <= LONGEST
}

/// The destination has the data, and then the request turned out not to be whole.
fn broke_off_after(receipt: &Receipt, refusal: &Refusal) -> Error {
    let before = receipt.sentence();
    refusal.error().remark(format!("Before that: {before}")).may_have_arrived()
}

async fn settle(rest: Option<Rest>, failed: bool) -> Option<Refusal> {
    match rest {
        Some(rest) => rest.settle(failed).await,
        None => None,
    }
}
