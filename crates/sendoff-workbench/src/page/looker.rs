//! Looker's side: who its users are, what it keeps for them, and the irregular things it does.

use axum::extract::{Form as Posted, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use super::view::{Pairs, shown};
use super::{Page, below};
use crate::instance::{Habits, KeptState, Refused, Reset, User};

#[derive(Serialize)]
struct UserView {
    id: String,
    name: String,
    /// `name = value`, one a line.
    attributes: String,
}

#[derive(Serialize)]
struct StateView {
    user: String,
    action: String,
    bytes: usize,
    since: String,
    refresh: String,
}

#[derive(Serialize)]
struct Switch {
    id: &'static str,
    label: &'static str,
    on: bool,
}

fn switches(habits: Habits) -> [Switch; 6] {
    let switch = |id, label, on| Switch { id, label, on };
    [
        switch("shuffled", "members of the body come in another order each time", habits.shuffled),
        switch("wrapped", "base64 has a newline after every 60 characters", habits.wrapped),
        switch("text_ids", "ids are texts: \"88\" and not 88", habits.text_ids),
        switch("lookml", "dashboards say that they are a LookMLDashboard", habits.lookml_dashboard),
        switch("nulls", "what is empty is null and not absent", habits.nulls),
        switch("null_reset", "a reset state comes back as \"null\"", habits.null_after_reset),
    ]
}

pub(super) async fn page(State(page): State<Page>) -> Response {
    let instance = page.instance();
    let users: Vec<UserView> = instance.users().into_iter().map(UserView::of).collect();
    let states: Vec<StateView> = instance.states().into_iter().map(StateView::of).collect();
    let habits = switches(instance.habits());
    page.draw(
        "looker.html",
        "/looker",
        minijinja::context! {
            users => shown(users),
            states => shown(states),
            habits => shown(habits),
        },
    )
}

pub(super) async fn change(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let instance = page.instance();
    let done = match of("do") {
        "habits" => {
            let on = |name: &str| form.contains_key(&format!("habit.{name}"));
            let habits = Habits {
                shuffled: on("shuffled"),
                wrapped: on("wrapped"),
                text_ids: on("text_ids"),
                lookml_dashboard: on("lookml"),
                nulls: on("nulls"),
                null_after_reset: on("null_reset"),
            };
            instance.set_habits(habits).await
        }
        "user" => instance.put_user(user(&form)).await,
        "list" => instance.list_hub(page.0.setup.hub).await.map(|_| ()),
        "reset" | "null" | "gone" => {
            let how = match of("do") {
                "reset" => Reset::Reset,
                "null" => Reset::Null,
                _ => Reset::Gone,
            };
            let action = page.action_id(of("action"));
            instance.reset_state(of("user"), &action, how).await
        }
        what => Err(Refused(format!("“{what}” cannot be done here."))),
    };
    match done {
        Ok(()) => Redirect::to("/looker").into_response(),
        Err(refused) => page.refuse(&refused.to_string()),
    }
}

fn user(form: &Pairs) -> User {
    let fields = below(form, "user.");
    let of = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let attributes = of("attributes");
    let pairs = attributes.lines().filter_map(|line| line.split_once('='));
    let trimmed = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    User { id: of("id"), name: of("name"), attributes: trimmed.collect() }
}

impl UserView {
    fn of(user: User) -> Self {
        let lines = user.attributes.iter().map(|(name, value)| format!("{name} = {value}"));
        Self { attributes: lines.collect::<Vec<_>>().join("\n"), id: user.id, name: user.name }
    }
}

impl StateView {
    fn of(state: KeptState) -> Self {
        Self {
            user: state.user,
            action: state.action.name,
            bytes: state.data.len(),
            since: state.since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            refresh: state.refresh_time.map(|time| format!("every {time} s")).unwrap_or_default(),
        }
    }
}
