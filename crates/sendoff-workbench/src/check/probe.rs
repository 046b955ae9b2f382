//! What a check has in hand: the hub's list, its forms, a refused call and one delivery, each
//! fetched once, and a way to send anything else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::downloads::handed_over;
use super::judge::{Stop, Verdict, given, inapplicable, items, none_of_all, text};
use super::subject::{Action, Drawn, Hub, Shown, With, is_alive, locked};
use super::wire::{Ask, Deaf, Ended, Heard, Recorded};
use super::{Execute, samples};
use crate::downloads::Downloads;
use crate::request::RequestBody;

const NO_ACTION: &str = "the hub lists no action";
const NO_PARAM: &str = "no action has params";
const NO_FORM: &str = "no action has a form";
const NO_FIELD: &str = "no form has fields";

/// One check's view of the hub. The exchange seen last is the one that its finding shows.
pub(super) struct Probe<'a> {
    pub(super) hub: &'a Hub<'a>,
    seen: Mutex<Option<Arc<Recorded>>>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(hub: &'a Hub<'a>) -> Self {
        Self { hub, seen: Mutex::default() }
    }

    pub(super) fn seen(&self) -> Option<Arc<Recorded>> {
        locked(&self.seen).clone()
    }

    pub(super) fn patience(&self) -> Duration {
        self.hub.options.patience
    }

    /// Between two pieces of what is sent slowly.
    pub(super) fn pause(&self) -> Duration {
        self.patience() / 10
    }

    pub(super) fn see<'s>(&self, shown: &'s Shown) -> &'s Result<Heard, Deaf> {
        *locked(&self.seen) = Some(Arc::clone(&shown.recorded));
        &shown.heard
    }

    pub(super) async fn send(&self, ask: Ask) -> Result<Heard, Deaf> {
        let shown = self.hub.send(ask).await;
        self.see(&shown).clone()
    }

    /// A call with the token and this body.
    pub(super) async fn post(&self, url: &str, body: RequestBody) -> Result<Heard, Deaf> {
        self.send(self.hub.ask(url, With::Token, body)).await
    }

    /// The hub answers the list call; `after` says what it was asked before.
    pub(super) async fn alive(&self, after: &str) -> Verdict {
        if !is_alive(&self.hub.list) {
            return inapplicable(
                "the first list call was not answered either (list/answer/is-200)",
            );
        }
        let shown = self.seen();
        if self.hub.is_alive().await {
            return Ok(());
        }
        *locked(&self.seen) = shown;
        Err(Stop::Wrong(format!("after {after} the hub does not answer the list call")))
    }

    /// The list as a JSON object.
    pub(super) fn listing(&self) -> Result<&'a Value, Stop> {
        // Its finding is in the list.
        let _ = self.see(&self.hub.list);
        match &self.hub.listing {
            Some(listing) => Ok(listing),
            None => inapplicable("the list cannot be read (list/answer/is-json)"),
        }
    }

    /// The entries of the list that are objects.
    pub(super) fn actions(&self) -> Result<Vec<Action<'a>>, Stop> {
        let listing = self.listing()?;
        if !listing["integrations"].is_array() {
            return inapplicable("there are no integrations (list/answer/integrations-are-a-list)");
        }
        let actions = items(listing, "integrations").iter().filter(|item| item.is_object());
        Ok(actions.map(Action).collect())
    }

    /// What is wrong with each action.
    pub(super) fn each_action(&self, look: impl Fn(Action<'a>) -> Option<String>) -> Verdict {
        let told = |action: Action<'a>| Some(format!("{}: {}", action.name(), look(action)?));
        none_of_all(self.actions()?, NO_ACTION, told)
    }

    /// What is wrong with each action that has params.
    pub(super) fn each_with_params(&self, look: impl Fn(Action<'a>) -> Option<String>) -> Verdict {
        let told = |action: Action<'a>| Some(format!("{}: {}", action.name(), look(action)?));
        let has = |action: &Action<'a>| {
            given(action.0, "params").is_some_and(|params| *params != Value::Array(Vec::new()))
        };
        none_of_all(self.actions()?.into_iter().filter(has), NO_PARAM, told)
    }

    /// What is wrong with each param of each action.
    pub(super) fn each_param(&self, look: impl Fn(&Value) -> Option<String>) -> Verdict {
        let actions = self.actions()?;
        let params = actions.iter().flat_map(|a| a.params().iter().map(|p| (a.name(), p)));
        let told = |(action, param): (&str, &Value)| {
            let name = text(param, "name").unwrap_or("(without a name)");
            Some(format!("{action}: param `{name}` {}", look(param)?))
        };
        none_of_all(params, NO_PARAM, told)
    }

    /// Stops a check that needs more than a recording.
    pub(super) fn live(&self) -> Result<(), Stop> {
        match self.hub.recorded {
            true => Err(Stop::NotRun("needs the hub itself; a recording does not show it".into())),
            false => Ok(()),
        }
    }

    /// The plain form call of every action that has a form.
    pub(super) async fn forms(&self) -> Result<&[Drawn], Stop> {
        if self.hub.forms.get().is_none() {
            self.live()?;
        }
        let actions = self.actions()?;
        let drawn = self.hub.forms.get_or_init(|| async {
            let mut calls = Vec::new();
            for (n, action) in actions.iter().enumerate() {
                if let Some(url) = action.form_url() {
                    calls.push(self.draw(n, url, self.form_body(*action)));
                }
            }
            futures_util::stream::iter(calls).buffered(4).collect().await
        });
        Ok(drawn.await)
    }

    async fn draw(&self, action: usize, url: &str, body: Value) -> Drawn {
        let ask = self.hub.ask(url, With::Token, self.hub.json(&body));
        let shown = self.hub.send(ask).await;
        let heard = shown.heard.as_ref().ok();
        let form = heard.and_then(|heard| serde_json::from_slice(&heard.body).ok());
        Drawn { action, shown, form }
    }

    /// What is wrong with each form.
    pub(super) async fn each_form(&self, look: impl Fn(&Drawn) -> Option<String>) -> Verdict {
        self.each_form_with(|_| true, NO_FORM, look).await
    }

    /// What is wrong with each form that has such a thing in it; `nothing` says that none has.
    pub(super) async fn each_form_with(
        &self,
        has: impl Fn(&Drawn) -> bool,
        nothing: &str,
        look: impl Fn(&Drawn) -> Option<String>,
    ) -> Verdict {
        let actions = self.actions()?;
        let mut first = true;
        let forms = self.forms().await?.iter().filter(|drawn| has(drawn));
        none_of_all(forms, nothing, |drawn| {
            let problem = look(drawn)?;
            if std::mem::take(&mut first) {
                let _ = self.see(&drawn.shown);
            }
            let name = actions.get(drawn.action).map_or("", |action| action.name());
            Some(format!("{name}: {problem}"))
        })
    }

    /// What is wrong with each field of each form.
    pub(super) async fn each_field(&self, look: impl Fn(&Value) -> Option<String>) -> Verdict {
        let has = |drawn: &Drawn| !drawn.fields().is_empty();
        self.each_form_with(has, NO_FIELD, |drawn| {
            drawn.fields().iter().find_map(|field| {
                let name = text(field, "name").unwrap_or("(without a name)");
                Some(format!("field `{name}` {}", look(field)?))
            })
        })
        .await
    }

    /// An action whose param is required and missing, so that nothing can be delivered by it, else
    /// the one that deliveries may be made with. And the call.
    pub(super) fn safe_action(&self) -> Result<(Action<'a>, &'a str), Stop> {
        let actions = self.actions()?;
        let safe = actions.iter().find_map(|action| {
            action.required_param()?;
            Some((*action, action.url()?))
        });
        if let Some(safe) = safe {
            return Ok(safe);
        }
        match &self.hub.options.execute {
            Some(execute) => self.executable(execute),
            None => Err(Stop::NotRun(
                "no action has a required param, so that even a wrong call could deliver; \
                 needs --execute"
                    .to_owned(),
            )),
        }
    }

    pub(super) fn executable(&self, execute: &Execute) -> Result<(Action<'a>, &'a str), Stop> {
        let actions = self.actions()?;
        let found = actions.into_iter().find(|action| action.name() == execute.action);
        match found.and_then(|action| Some((action, action.url()?))) {
            Some(found) => Ok(found),
            None => inapplicable(format!("the list has no action `{}`", execute.action)),
        }
    }

    /// The answer to the call with the required param missing.
    pub(super) async fn refusal(&self) -> Result<&Heard, Stop> {
        if self.hub.recorded {
            return match self.hub.refusal.get().map(|shown| self.see(shown)) {
                Some(Ok(heard)) => Ok(heard),
                _ => Err(Stop::NotRun("no failed delivery was recorded".to_owned())),
            };
        }
        let (action, url) = self.safe_action()?;
        if action.required_param().is_none() {
            return inapplicable("no action has a required param");
        }
        let shown = self.hub.refusal.get_or_init(|| async {
            let body = self.hub.json(&self.refused_body(action));
            self.hub.send(self.hub.ask(url, With::Token, body)).await
        });
        match self.see(shown.await) {
            Ok(heard) if heard.ended == Ended::Whole => Ok(heard),
            _ => inapplicable("the answer is not whole (execute/error/is-answered)"),
        }
    }

    /// What may be executed, or that nothing may.
    pub(super) fn executed(&self) -> Result<(Action<'a>, &'a str), Stop> {
        match &self.hub.options.execute {
            Some(execute) => self.executable(execute),
            None if self.hub.recorded => {
                Err(Stop::NotRun("no delivery that succeeded was recorded".to_owned()))
            }
            None => Err(Stop::NotRun("needs --execute".to_owned())),
        }
    }

    /// A delivery: it may reach the vendor.
    pub(super) async fn deliver(&self, url: &str, body: RequestBody) -> Result<Heard, Deaf> {
        let mut ask = self.hub.ask(url, With::Token, body);
        ask.wait = self.hub.options.delivery_patience;
        self.send(ask).await
    }

    /// The one plain delivery that most checks look at.
    pub(super) async fn delivery(&self) -> Result<&Heard, Stop> {
        let (action, url) = self.executed()?;
        let shown = self.hub.delivery.get_or_try_init(|| async {
            let body = self.delivery_body(action);
            let body = handed_over(self, action, samples::format(action), body).await?;
            let mut ask = self.hub.ask(url, With::Token, self.hub.json(&body));
            ask.wait = self.hub.options.delivery_patience;
            Ok(self.hub.send(ask).await)
        });
        match self.see(shown.await?) {
            Ok(heard) => Ok(heard),
            Err(deaf) => inapplicable(format!(
                "{} (execute/delivery/is-answered)",
                deaf.why().trim_end_matches('.')
            )),
        }
    }

    /// Where results are offered by URL.
    pub(super) async fn downloads(&self) -> Result<&Downloads, Stop> {
        self.live()?;
        let downloads = self.hub.downloads.get_or_try_init(Downloads::listen).await;
        downloads.map_err(|error| Stop::Ours(format!("no download URL can be offered: {error}")))
    }
}

/// The body of an answer as text.
pub(super) fn body_text(heard: &Heard) -> String {
    String::from_utf8_lossy(&heard.body).into_owned()
}
