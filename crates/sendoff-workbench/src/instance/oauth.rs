//! One-time URLs by which logins end: where hubs give what a login gave them (v1), where browsers
//! bring it back for Looker to exchange (v2), and where a workspace is installed (delegate).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sendoff_protocol::{Definition, Members};
use serde::Deserialize;
use serde_json::{Value, json};

use super::book::ActionId;
use super::{Instance, Refused, locked};
use crate::downloads::token;
use crate::looker::Trip;
use crate::remarks::LONGEST_STATE;
use crate::request::{MASK, RequestBody};
use crate::verdict::{Call, Verdict};

/// What a one-time URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `POST /action_hub_state/…`: the hub gives the tokens.
    State,
    /// `GET /action_hub_state_redir/…`: the browser brings what Looker exchanges.
    Redirect,
    /// `/install/…`: the user installs a workspace.
    Install,
}

/// For whom a one-time URL is.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) purpose: Purpose,
    pub(super) user: String,
    pub(super) action: ActionId,
    since: Instant,
}

/// So many logins may be open.
const OPEN_AT_MOST: usize = 1_000;
/// And for so long.
const OPEN_FOR: Duration = Duration::from_secs(3_600);

/// The one-time URLs that are open.
#[derive(Default)]
pub(super) struct Tickets(HashMap<String, Ticket>);

impl Tickets {
    fn add(&mut self, token: String, ticket: Ticket) {
        self.0.retain(|_, ticket| ticket.since.elapsed() < OPEN_FOR);
        if self.0.len() >= OPEN_AT_MOST {
            let oldest = self.0.iter().min_by_key(|(_, ticket)| ticket.since);
            if let Some(oldest) = oldest.map(|(token, _)| token.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(token, ticket);
    }

    pub(super) fn get(&self, token: &str, purpose: Purpose) -> Option<Ticket> {
        let ticket = self.0.get(token)?;
        let valid = ticket.purpose == purpose && ticket.since.elapsed() < OPEN_FOR;
        valid.then(|| ticket.clone())
    }

    /// Gives the ticket, which is good no more.
    pub(super) fn take(&mut self, token: &str, purpose: Purpose) -> Option<Ticket> {
        let ticket = self.get(token, purpose)?;
        self.0.remove(token);
        Some(ticket)
    }
}

/// A workspace of a vendor for which Looker itself does the login (`delegate_oauth`), as its
/// installation would give it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Workspace {
    /// The installation.
    pub install_id: String,
    /// The token that belongs to it.
    pub token: String,
}

impl Instance {
    /// Offers workspaces on the action's installation page, such as those of a stand-in: nobody has
    /// to type in what an installation gives.
    pub fn offer_workspaces(&self, action: &ActionId, workspaces: Vec<Workspace>) {
        locked(&self.0.workspaces).insert(action.clone(), workspaces);
    }

    pub(super) fn workspaces(&self, action: &ActionId) -> Vec<Workspace> {
        locked(&self.0.workspaces).get(action).cloned().unwrap_or_default()
    }

    /// Adds what logins need to the members of `data`: fresh URLs, and the state.
    pub(super) fn add_login(
        &self,
        id: &ActionId,
        definition: &Definition,
        user: &str,
        data: &mut Members,
    ) {
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                data.0.insert(name.to_owned(), value);
            }
        };
        put("state_json", self.state_json(user, id));
        if definition.delegate_oauth {
            put("state_url", self.install_url(id, user).ok());
        } else if definition.uses_oauth {
            put("state_url", self.ticket(Purpose::State, id, user));
            if !definition.token_url.is_empty() {
                put("state_redir_url", self.ticket(Purpose::Redirect, id, user));
            }
        }
    }

    /// The page on which a user installs a workspace for a `delegate_oauth` action.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn install_url(&self, action: &ActionId, user: &str) -> Result<String, Refused> {
        let url = self.ticket(Purpose::Install, action, user);
        url.ok_or_else(|| Refused::new("The system gives no random bytes."))
    }

    fn ticket(&self, purpose: Purpose, action: &ActionId, user: &str) -> Option<String> {
        let token = token().ok()?;
        let path = match purpose {
            Purpose::State => "action_hub_state",
            Purpose::Redirect => "action_hub_state_redir",
            Purpose::Install => "install",
        };
        let url = format!("{}/{path}/{token}", self.0.settings.base_url);
        let (user, action) = (user.to_owned(), action.clone());
        let ticket = Ticket { purpose, user, action, since: Instant::now() };
        locked(&self.0.tickets).add(token, ticket);
        Some(url)
    }

    /// Takes the tokens that a hub gives: a JSON object, told as such. **B**
    pub(super) async fn take_tokens(
        &self,
        token: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Ticket, (u16, String)> {
        let open = locked(&self.0.tickets).get(token, Purpose::State);
        let Some(ticket) = open else {
            let why = "There is no such URL: it is good once, for an hour.";
            return Err((404, why.to_owned()));
        };
        if !content_type.starts_with("application/json") {
            let why = format!("The state must be application/json; it is {content_type:?}.");
            return Err((415, why));
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err((400, "The state must be a JSON object.".to_owned())),
            Err(error) => return Err((400, format!("The state is not JSON: {error}."))),
        }
        if body.len() > LONGEST_STATE {
            return Err((413, "The state is over 32 KB.".to_owned()));
        }
        // Whoever came second finds it used.
        if locked(&self.0.tickets).take(token, Purpose::State).is_none() {
            return Err((404, "The URL was used.".to_owned()));
        }
        let data = String::from_utf8_lossy(body);
        let kept = self.set_state(&ticket.user, &ticket.action, &data).await;
        kept.map_err(|refused| (500, refused.0))?;
        Ok(ticket)
    }

    /// Exchanges what a browser brought for tokens: Looker's part of OAuth v2.
    pub(super) async fn exchange_tokens(
        &self,
        token: &str,
        state: &str,
    ) -> Result<Verdict, (u16, String)> {
        let ticket = locked(&self.0.tickets).take(token, Purpose::Redirect);
        let Some(ticket) = ticket else {
            let why = "There is no such URL: it is good once, for an hour.";
            return Err((404, why.to_owned()));
        };
        let refused = |refused: Refused| (500, refused.0);
        let definition = locked(&self.0.book).known(&ticket.action).cloned().map_err(refused)?;
        let looker = self.looker(ticket.action.hub).map_err(refused)?;
        let body = json!({"state": state}).to_string();
        let body = RequestBody::text(body, json!({"state": MASK}).to_string());
        let trip = Trip { keep: None, ..Trip::default() };
        // The tokens stand in no record: what is shown of the answer is masked as a whole.
        let url = definition.token_url.as_str();
        let mut answered =
            looker.post_on(Call::Token, &definition.name, url, body, &[], trip).await;
        let answer = answered.answer.clone();
        if answer.is_ok() {
            let total = answered.exchange.response_body.total();
            answered.exchange.response_body = crate::Peek::of(MASK.as_bytes(), total);
        }
        let verdict = answered.verdict.clone();
        self.note(answered, Some(&ticket.user)).await;
        let body = answer.map_err(|fault| (502, fault.to_string()))?;
        let data = String::from_utf8(body)
            .map_err(|_| (502, "The hub's answer is no text.".to_owned()))?;
        self.set_state(&ticket.user, &ticket.action, &data).await.map_err(refused)?;
        Ok(verdict)
    }

    /// Adds a workspace to the state, as Looker ≥ 7.3 keeps it for `delegate_oauth`. **B**
    pub(super) async fn install(
        &self,
        ticket: &Ticket,
        install_id: &str,
        token: &str,
    ) -> Result<(), Refused> {
        let kept = self.state(&ticket.user, &ticket.action).map(|state| state.data);
        let list = kept.and_then(|data| serde_json::from_str::<Value>(&data).ok());
        let mut list = match list {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        list.retain(|workspace| workspace["install_id"] != install_id);
        list.push(json!({"install_id": install_id, "token": token}));
        let data = Value::Array(list).to_string();
        self.set_state(&ticket.user, &ticket.action, &data).await
    }
}
