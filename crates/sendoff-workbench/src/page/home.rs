//! The first page: data on the left, an action and its form on the right, the outcome below.

use std::time::Duration;

use axum::extract::{Form as Posted, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use sendoff_protocol::Members;
use serde::Serialize;

use super::action::{self, Card, FIELD, FormView, OptionsView, PARAM, ParamView};
use super::data::{self, Chosen, Pick};
use super::sends::RunView;
use super::told::{TestResult, Told};
use super::view::{FAULTS, Pairs, shown};
use super::{FORM_WITHIN, Page, back, below};
use crate::instance::{self, Binding, FormOf, Params};
use crate::verdict::Severity;

/// The right panel.
#[derive(Default, Serialize)]
struct ActionView {
    /// What is wrong, in short; and why.
    problem: &'static str,
    error: Option<String>,
    hint: &'static str,
    total: usize,
    cards: Vec<Card>,
    unsuited: Vec<Card>,
    card: Option<Card>,
    params: Vec<ParamView>,
    enabled: bool,
    /// Whether a stand-in plays its vendor.
    known: bool,
    test_message: String,
    test_failed: bool,
}

/// What is drawn beside what the address says.
#[derive(Default)]
pub(super) struct Beside {
    run: Option<RunView>,
    /// The answers with which the form is drawn again.
    asked: Option<Pairs>,
    told: Told,
    /// What has the keyboard, where the link that was followed is gone.
    focus: &'static str,
}

pub(super) async fn home(
    State(page): State<Page>,
    Query(choice): Query<Pairs>,
    headers: HeaderMap,
) -> Response {
    let source = headers.get("hx-source").and_then(|source| source.to_str().ok());
    let focus = match source.unwrap_or_default() {
        source if source.starts_with("a#card-") => "action-title",
        "a#other-action" => "find",
        "form#send" => "outcome-title",
        _ => "",
    };
    let run = choice.get("run").and_then(|id| id.parse().ok());
    let run = match run {
        Some(id) => page.run_view(id).await,
        None => None,
    };
    let told = page.told();
    page.home(&choice, Beside { run, focus, told, ..Beside::default() }).await
}

/// The form after an interactive field changed, or after a login.
pub(super) async fn redraw(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let action = form.get("action").cloned().unwrap_or_default();
    // What stays of the answers is what the hub gives back.
    let options = form.iter().filter(|(name, _)| !name.starts_with(FIELD));
    page.remember(&action, options.map(|(name, value)| (name.clone(), value.clone())).collect());
    let asked = Some(below(&form, FIELD));
    page.home(&form, Beside { asked, ..Beside::default() }).await
}

pub(super) async fn list_again(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    match page.instance().list_hub(page.0.setup.hub).await {
        Ok(_) => back(&form, &[]),
        Err(refused) => page.refuse(&refused.to_string()),
    }
}

/// Enables an action as an admin does, with the test call; or disables it.
pub(super) async fn enable(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let name = form.get("action").cloned().unwrap_or_default();
    let id = page.action_id(&name);
    if form.get("do").is_some_and(|what| what == "disable") {
        return match page.instance().disable(&id).await {
            Ok(()) => back(&form, &[]),
            Err(refused) => page.refuse(&refused.to_string()),
        };
    }
    let known = page.vendors().and_then(|vendors| vendors.known(&name)).unwrap_or_default();
    let mut params = Params::new();
    for (param, value) in below(&form, PARAM) {
        let filled_in = known.params.iter().find(|(known, _)| *known == param);
        let value = match (value.is_empty(), filled_in) {
            // A secret field is drawn empty: empty means that it stays.
            (true, _) if page.is_secret(&name, &param) && page.is_set(&name, &param) => continue,
            (true, Some((_, known))) if page.is_secret(&name, &param) => known.clone(),
            (true, _) if !page.is_set(&name, &param) => continue,
            _ => value,
        };
        params.insert(param, Binding::Value(value));
    }
    let test = match tokio::time::timeout(FORM_WITHIN, page.instance().enable(&id, params)).await {
        Err(_) => TestResult { message: late(FORM_WITHIN), failed: true },
        Ok(Err(refused)) => TestResult { message: refused.to_string(), failed: true },
        Ok(Ok(tested)) => TestResult { message: tested.message, failed: !tested.success },
    };
    page.tell(Told { test: Some(test), ..Told::default() });
    back(&form, &[])
}

fn late(limit: Duration) -> String {
    format!(
        "The hub did not answer within {} seconds. Looker waits on, with its user before an empty \
         form.",
        limit.as_secs()
    )
}

impl Page {
    fn is_secret(&self, action: &str, param: &str) -> bool {
        let action = self.instance().action(&self.action_id(action));
        let params = action.iter().flat_map(|action| &action.definition.params);
        params.into_iter().any(|known| known.name == param && known.sensitive)
    }

    fn is_set(&self, action: &str, param: &str) -> bool {
        let action = self.instance().action(&self.action_id(action));
        action.is_ok_and(|action| action.params.contains_key(param))
    }

    /// Draws the page.
    pub(super) async fn home(&self, choice: &Pairs, beside: Beside) -> Response {
        let Beside { run, asked, told, focus } = beside;
        let of = |name: &str| choice.get(name).map(String::as_str).unwrap_or_default();
        let pick = Pick::parse(of("data"), of("sql"));
        let (data, chosen) = data::view(self.warehouse(), &pick, of("cell")).await;
        let action = self.action_view(&chosen, of("action"), of("find"), told.test);
        let mut given = self.given(of("action"));
        let mut form = FormView::default();
        let mut options = OptionsView::default();
        if action.enabled
            && let Ok(known) = self.instance().action(&self.action_id(of("action")))
        {
            let wrong = run.as_ref().map(RunView::wrong).unwrap_or_default();
            form = self.form_view(&known, &chosen, &given, asked, &wrong).await;
            options = OptionsView::of(&known.definition, &chosen, &given);
        }
        let vendors = self.vendors();
        let name = of("action");
        if let Some(run) = &run {
            given.insert("user".to_owned(), run.user.clone());
        }
        let held = match (&run, vendors) {
            (Some(run), Some(vendors)) => Some(super::held::held(vendors, run).await),
            _ => None,
        };
        for (name, field) in FAULTS.into_iter().zip(["fault_text", "vendor_fault"]) {
            if let Some(handed_on) = choice.get(name) {
                given.insert(field.to_owned(), handed_on.clone());
            }
        }
        let users: Vec<String> = self.instance().users().into_iter().map(|user| user.id).collect();
        self.draw(
            "home.html",
            "/",
            minijinja::context! {
                focus,
                choice => shown(choice),
                data => shown(data),
                action => shown(action),
                form => shown(form),
                options => shown(options),
                given => shown(given),
                users => shown(users),
                run => shown(run),
                held => shown(held),
                not_sent => told.not_sent,
                not_taken => told.not_taken,
                faults => shown(super::sends::FAULTS),
                mischiefs => shown(vendors.map(|vendors| vendors.mischiefs(name))),
            },
        )
    }

    fn action_view(
        &self,
        chosen: &Chosen,
        name: &str,
        find: &str,
        test: Option<TestResult>,
    ) -> ActionView {
        let mut view = ActionView { error: self.hub().error, ..ActionView::default() };
        if view.error.is_some() {
            view.problem = "The hub's list cannot be used.";
            view.hint = "Is it running, is this its list URL, and is the token one of its own?";
            return view;
        }
        let actions = self.instance().actions();
        let actions = actions.into_iter().filter(|action| action.id.hub == self.0.setup.hub);
        if !name.is_empty() {
            let Some(action) = actions.into_iter().find(|action| action.id.name == name) else {
                view.problem = "There is no such action.";
                view.error = Some(format!("The hub offers no “{name}”."));
                return view;
            };
            view.card = Some(Card::of(&action.definition, chosen));
            view.params = action::params(&action.definition, &set(&action));
            view.enabled = action.enabled;
            view.known = self.vendors().is_some_and(|vendors| vendors.known(name).is_some());
            if let Some(test) = test {
                view.test_failed = test.failed;
                view.test_message = test.message;
            }
            return view;
        }
        let cards: Vec<Card> = actions.map(|one| Card::of(&one.definition, chosen)).collect();
        view.total = cards.len();
        let found = cards.into_iter().filter(|card| card.is_found(find));
        (view.cards, view.unsuited) = found.partition(Card::suits);
        view
    }

    async fn form_view(
        &self,
        action: &instance::Action,
        chosen: &Chosen,
        given: &Pairs,
        asked: Option<Pairs>,
        wrong: &Pairs,
    ) -> FormView {
        let name = &action.id.name;
        let mut kept = below(given, FIELD);
        if let Some(known) = self.vendors().and_then(|vendors| vendors.known(name))
            && kept.is_empty()
            // A login was checked, and nothing asked yet.
            && asked.as_ref().is_none_or(Pairs::is_empty)
        {
            kept.extend(known.answers);
        }
        let answers = asked.clone().unwrap_or_else(|| kept.clone());
        let of = FormOf {
            user: self.user(given),
            action: action.id.clone(),
            kind: chosen.kind(),
            answers: Members(answers.into_iter().collect()),
        };
        let drawn = tokio::time::timeout(FORM_WITHIN, self.instance().form(of)).await;
        let mut view = match drawn {
            Err(_) => FormView { error: late(FORM_WITHIN), ..FormView::default() },
            Ok(Err(refused)) => FormView { error: refused.to_string(), ..FormView::default() },
            Ok(Ok(drawn)) => {
                let asked = asked.unwrap_or_default();
                let mut view = FormView::of(name, &drawn.fields, &kept, &asked, wrong);
                view.remarks.extend(drawn.remarks.iter().map(|remark| remark.text.clone()));
                if drawn.verdict.severity == Severity::Unknown {
                    view.remarks.push(drawn.verdict.user.clone());
                }
                view.error = drawn.error.unwrap_or_default();
                view.error_is_the_hubs = drawn.error_is_the_hubs;
                view
            }
        };
        view.error = view.error.trim().to_owned();
        view
    }

    /// Who sends: whom the form names, or the first.
    pub(super) fn user(&self, given: &Pairs) -> String {
        let users = self.instance().users();
        let named = given.get("user").filter(|name| users.iter().any(|user| user.id == **name));
        let first = || users.first().map(|user| user.id.clone());
        named.cloned().or_else(first).unwrap_or_default()
    }
}

/// The values of params as they may be shown.
fn set(action: &instance::Action) -> Pairs {
    let shown = |(name, binding): (&String, &Binding)| {
        let value = match binding {
            Binding::Value(value) => value.clone(),
            Binding::UserAttribute(attribute) => format!("(user attribute {attribute})"),
        };
        (name.clone(), value)
    };
    action.params.iter().map(shown).collect()
}
