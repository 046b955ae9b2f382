//! The trait that an action implements, and what stands at its side while it works.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use sendoff_protocol as wire;
use sendoff_protocol::{LookerVersion, ScheduledPlan};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::egress::Http;
use crate::fields::{Field, Fields, Problems, Values, View};
use crate::login::{Connection, Login, LoginBy};
use crate::pipeline::Earlier;
use crate::recent::Recent;
use crate::rows::time_zone;
use crate::{ActionType, Class, Payload, Receipt, Result, Spec, Stop};

/// A destination for Looker's results.
///
/// A hub calls [`form`](Action::form) each time that Looker draws the form, and
/// [`execute`](Action::execute) for each delivery, after it has checked the token, the type, every
/// required setting and every required answer. What is left is the destination's own dialect.
pub trait Action: Send + Sync + 'static {
    /// What a Looker admin fills in once.
    type Settings: Fields + Sync;
    /// What a user fills in for each delivery or schedule.
    type Form: Fields + Sync;
    /// Name, label, formats and the rest of the definition.
    const SPEC: Spec;

    /// The spec in this hub, whose operator may decide a part of it, such as what a login asks for.
    /// The name, the params and the kind of login are always those of [`SPEC`](Self::SPEC).
    fn spec_here(&self) -> Spec {
        Self::SPEC
    }

    /// Completes the form with what only the vendor knows, such as a list of buckets.
    ///
    /// It is called each time the form is shown, so it must be quick. The default shows the form
    /// as the struct says.
    ///
    /// # Errors
    /// Looker shows the message in place of the form.
    fn form(
        &self,
        cx: &Context<Self::Settings>,
        form: &mut View<Self::Form>,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (cx, form);
        async { Ok(()) }
    }

    /// The account that the user is logged in with, as he knows it: `ada@example.com`. The form
    /// names it beside the link to another login. Asked while the form is drawn, so it must be quick.
    ///
    /// # Errors
    /// A login error offers the login; any other leaves the account unnamed.
    fn account(
        &self,
        cx: &Context<Self::Settings>,
    ) -> impl Future<Output = Result<Option<String>>> + Send {
        let _ = cx;
        async { Ok(None) }
    }

    /// The workspaces that are connected, for an action with a [`Delegate`](crate::Delegate): what
    /// Looker's test of the connection shows. One for each of [`Login::installs`](crate::Login) whose
    /// token works.
    ///
    /// # Errors
    /// Looker shows the message, such as the vendor's when no token works.
    fn connections(
        &self,
        cx: &Context<Self::Settings>,
    ) -> impl Future<Output = Result<Vec<Connection>>> + Send {
        let _ = cx;
        async { Ok(Vec::new()) }
    }

    /// Whether the users of an action with [`Spec::oauth`] have to log in. Not for an action whose
    /// settings may hold credentials in place of the users'.
    fn needs_login(&self, settings: &Self::Settings) -> bool {
        let _ = settings;
        true
    }

    /// The host, or whatever else may be slow on its own: deliveries with the same lane share a
    /// limit, so that a stalled one cannot take every place in the hub. The default is one lane per
    /// action.
    fn lane(&self, settings: &Self::Settings, form: &Self::Form) -> String {
        let _ = (settings, form);
        Self::SPEC.name.to_owned()
    }

    /// Delivers. Returns only after the destination has confirmed the last byte.
    ///
    /// When the delivery must stop (the caller hung up, its time is over, the hub restarts),
    /// `data` and [`Context::http`] answer with an error: return it after aborting what was begun.
    ///
    /// # Errors
    /// See [`Error`](crate::Error) for the classes and for the third outcome, "may have arrived".
    fn execute(
        &self,
        cx: &Context<Self::Settings>,
        form: Self::Form,
        data: Payload,
    ) -> impl Future<Output = Result<Receipt>> + Send;
}

/// What stands at an action's side during one call.
#[derive(Debug)]
pub struct Context<S> {
    /// The action's settings.
    pub settings: S,
    pub(crate) call: Call,
}

impl<S> Context<S> {
    /// The door to the vendor.
    pub fn http(&self) -> &Http {
        &self.call.http
    }

    /// What is being sent and why; absent for cells.
    pub fn plan(&self) -> Option<&ScheduledPlan> {
        self.call.plan.as_ref()
    }

    /// The cell's value, for cells.
    pub fn cell_value(&self) -> Option<&str> {
        self.call.data.get("value")
    }

    /// The cell's value as Looker shows it, for cells.
    pub fn cell_rendered(&self) -> Option<&str> {
        self.call.data.get("rendered")
    }

    /// What is sent: a cell, a query or a dashboard. Absent while the form is drawn for an action
    /// that has not said so.
    pub fn kind(&self) -> Option<ActionType> {
        self.call.kind
    }

    /// The names of the fields that the user hid in the visualisation.
    pub fn hidden_fields(&self) -> &[String] {
        crate::pipeline::hidden_fields(self.plan())
    }

    /// The time zone that the query's dates and times are in; UTC where Looker names none.
    pub fn time_zone(&self) -> TimeZone {
        let query = self.plan().and_then(|plan| plan.query.as_ref());
        let name = query.and_then(|query| query.query_timezone.as_ref());
        name.and_then(|name| time_zone(name.as_str())).unwrap_or(TimeZone::UTC)
    }

    /// The delivery's id in Looker, 32 hexadecimal characters.
    pub fn webhook_id(&self) -> Option<&str> {
        self.call.webhook_id.as_deref()
    }

    /// The Looker instance's id, 32 hexadecimal characters.
    pub fn instance(&self) -> Option<&str> {
        self.call.instance.as_deref()
    }

    /// The Looker release, where the request names it.
    pub fn looker_version(&self) -> Option<LookerVersion> {
        self.call.looker_version
    }

    /// How many newlines have kept the caller's connection open so far.
    pub fn newlines(&self) -> u64 {
        self.call.newlines.load(Ordering::Relaxed)
    }

    /// The user's login. For an action without one nobody ever is logged in.
    pub fn login(&self) -> &Login {
        &self.call.login
    }

    /// The signal that this call must end.
    pub fn stop(&self) -> &Stop {
        &self.call.stop
    }

    /// What `fetch` gives, or gave less than a minute ago for the same question and the same
    /// settings and login: lists that a form shows. Who asks while another one is asking the same
    /// waits for that answer. A failure is never remembered.
    ///
    /// `question` must name all that the answer depends on beside the settings, such as the folder
    /// that is listed.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub async fn remember<T>(
        &self,
        question: &str,
        fetch: impl Future<Output = Result<T>> + Send,
    ) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        let Call { recent, action, data, .. } = &self.call;
        recent.answer(recent.name(action, data, question), fetch).await
    }

    /// The answers as they came, for fields that are known only at run time.
    pub fn answers(&self) -> &Values {
        &self.call.form
    }
}

/// One call of an action, before its types are known.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) http: Http,
    pub(crate) login: Login,
    pub(crate) recent: Recent,
    /// What was sent of this delivery before, where a vendor would take it twice.
    pub(crate) earlier: Option<Earlier>,
    pub(crate) action: &'static str,
    pub(crate) stop: Stop,
    pub(crate) kind: Option<ActionType>,
    pub(crate) plan: Option<ScheduledPlan>,
    /// `data`: the settings, and for cells the value.
    pub(crate) data: Values,
    /// `form_params`: the answers.
    pub(crate) form: Values,
    pub(crate) webhook_id: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) looker_version: Option<LookerVersion>,
    pub(crate) newlines: Arc<AtomicU64>,
}

/// What came of reading a call's settings and answers.
pub(crate) enum Checked<T> {
    Sound(T),
    /// Settings first: a user cannot mend an answer while the admin's part is missing.
    Settings(Problems),
    Form(Problems),
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

mod sealed {
    pub trait Sealed {}
    impl<A: super::Action> Sealed for A {}
}

/// An [`Action`] with its types erased, so that a hub can hold many.
///
/// Every `Action` is one; nothing else can be.
pub trait AnyAction: sealed::Sealed + Send + Sync {
    /// Name, label, formats and the rest of the definition.
    fn spec(&self) -> Spec;

    /// What an admin fills in once.
    fn params(&self) -> Vec<wire::Param>;

    /// What a user fills in, before the vendor was asked.
    fn form_fields(&self) -> Vec<wire::Field>;

    /// The names of params and fields whose values are secrets.
    fn secrets(&self) -> Vec<&'static str>;

    #[doc(hidden)]
    fn draw(&self, call: CallBox) -> Boxed<'_, DrawResult>;

    #[doc(hidden)]
    fn test_connections(&self, call: CallBox) -> Boxed<'_, ConnectionsResult>;

    #[doc(hidden)]
    fn prepare(&self, call: CallBox) -> Prepared<'_>;
}

/// Hides [`Call`] from the public signature of [`AnyAction`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CallBox(pub(crate) Call);

/// A form, or the problems of the settings.
#[doc(hidden)]
pub struct DrawResult(pub(crate) Result<Checked<Drawn>>);

/// A form as an action drew it.
pub(crate) struct Drawn {
    pub(crate) fields: Vec<wire::Field>,
    /// Whether a user's login is used at all.
    pub(crate) by_login: bool,
    /// Who is logged in.
    pub(crate) account: Option<String>,
}

/// What a test of the connection found, or the problems of the settings.
#[doc(hidden)]
pub struct ConnectionsResult(pub(crate) Result<Checked<Vec<Connection>>>);

/// A delivery that waits for its data.
#[doc(hidden)]
pub struct Prepared<'a>(pub(crate) Checked<Delivery<'a>>);

/// A delivery whose settings and answers are sound.
pub(crate) struct Delivery<'a> {
    pub(crate) lane: String,
    #[allow(clippy::type_complexity, reason = "named by its one use")]
    pub(crate) run: Box<dyn FnOnce(Payload) -> Boxed<'a, Result<Receipt>> + Send + 'a>,
}

impl<A: Action> AnyAction for A {
    fn spec(&self) -> Spec {
        self.spec_here()
    }

    fn params(&self) -> Vec<wire::Param> {
        let own = fields_of::<A::Settings>().into_iter().map(Field::into_param);
        connect_param(&A::SPEC).into_iter().chain(own).collect()
    }

    fn form_fields(&self) -> Vec<wire::Field> {
        fields_of::<A::Form>().into_iter().map(Field::into_form_field).collect()
    }

    fn secrets(&self) -> Vec<&'static str> {
        let all = fields_of::<A::Settings>().into_iter().chain(fields_of::<A::Form>());
        let mut names: Vec<_> =
            all.filter(Field::is_secret).map(|field| field.wire_name()).collect();
        // A setting and a form field may have the same name.
        names.sort_unstable();
        names.dedup();
        names
    }

    fn draw(&self, CallBox(call): CallBox) -> Boxed<'_, DrawResult> {
        Box::pin(async move {
            let mut problems = Problems::default();
            let Some(settings) = A::Settings::read(&call.data, &mut problems) else {
                return DrawResult(Ok(Checked::Settings(problems)));
            };
            let mut view = A::Form::view(&call.form);
            let cx = Context { settings, call };
            // Before the form is asked for: an action may draw it without its vendor, and Looker
            // asks for the form to have tokens renewed.
            let by_login = logs_in(self, &cx.settings);
            if by_login && let Err(error) = cx.login().token().await {
                return DrawResult(Err(error));
            }
            let account = async { if by_login { self.account(&cx).await } else { Ok(None) } };
            let (form, account) = tokio::join!(self.form(&cx, &mut view), account);
            let account = match account {
                Err(error) if error.class() == Class::Login => return DrawResult(Err(error)),
                other => other.unwrap_or_default(),
            };
            DrawResult(form.map(|()| {
                let mut fields = Vec::new();
                A::Form::list(view, &mut fields);
                let shown = fields.into_iter().filter(|field| !field.is_hidden());
                let fields = shown.map(Field::into_form_field).collect();
                Checked::Sound(Drawn { fields, by_login, account })
            }))
        })
    }

    fn test_connections(&self, CallBox(call): CallBox) -> Boxed<'_, ConnectionsResult> {
        Box::pin(async move {
            let mut problems = Problems::default();
            let Some(settings) = A::Settings::read(&call.data, &mut problems) else {
                return ConnectionsResult(Ok(Checked::Settings(problems)));
            };
            let cx = Context { settings, call };
            if cx.login().installs().is_empty() {
                return ConnectionsResult(Ok(Checked::Sound(Vec::new())));
            }
            ConnectionsResult(self.connections(&cx).await.map(Checked::Sound))
        })
    }

    fn prepare(&self, CallBox(call): CallBox) -> Prepared<'_> {
        let mut problems = Problems::default();
        let Some(settings) = A::Settings::read(&call.data, &mut problems) else {
            return Prepared(Checked::Settings(problems));
        };
        let Some(form) = A::Form::read(&call.form, &mut problems) else {
            return Prepared(Checked::Form(problems));
        };
        let lane = self.lane(&settings, &form);
        let cx = Context { settings, call };
        let run = Box::new(move |data| {
            let work: Boxed<'_, _> = Box::pin(async move {
                if logs_in(self, &cx.settings) {
                    cx.stop().unless_stopped(cx.login().token()).await??;
                }
                self.execute(&cx, form, data).await
            });
            work
        });
        Prepared(Checked::Sound(Delivery { lane, run }))
    }
}

/// Whether an action's users have to log in, with these settings.
fn logs_in<A: Action>(action: &A, settings: &A::Settings) -> bool {
    matches!(A::SPEC.login, Some(LoginBy::OAuth(_))) && action.needs_login(settings)
}

/// The param whose link leads an admin to Looker's own login page.
fn connect_param(spec: &Spec) -> Option<wire::Param> {
    let Some(LoginBy::Delegate(delegate)) = spec.login else { return None };
    Some(wire::Param {
        name: delegate.name.to_owned(),
        label: delegate.label.to_owned(),
        description: (!delegate.description.is_empty()).then(|| delegate.description.to_owned()),
        required: false,
        sensitive: false,
        delegate_oauth_url: Some(delegate.url.to_owned()),
        ..wire::Param::default()
    })
}

fn fields_of<F: Fields>() -> Vec<Field> {
    let mut fields = Vec::new();
    F::list(F::view(&Values::default()), &mut fields);
    fields
}
