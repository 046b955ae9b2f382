//! Actions: enabled by an admin with params, tested, and offered to users.

use std::collections::BTreeMap;

use sendoff_protocol::{ActionType, Definition, FieldType, Form, Members};
use serde::{Deserialize, Serialize};

use super::book::{ActionId, Enabled, User};
use super::journal::ExchangeId;
use super::{Instance, Refused, locked};
use crate::looker::Trip;
use crate::request::Delivery;
use crate::verdict::{Call, Verdict};

/// Where a param's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The admin typed it in.
    Value(String),
    /// Each user's attribute of that name.
    UserAttribute(String),
}

impl From<&str> for Binding {
    fn from(value: &str) -> Self {
        Self::Value(value.to_owned())
    }
}

/// The params of an action, by name.
pub type Params = BTreeMap<String, Binding>;

/// An action as an admin sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// As the hub describes it.
    pub definition: Definition,
    /// Whether an admin has enabled it.
    pub enabled: bool,
    /// Its params. Values of sensitive ones are masked.
    pub params: Params,
}

/// What came of the test of an action.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// Whether it went well. As in Looker, the action is enabled either way.
    pub success: bool,
    /// What the admin reads.
    pub message: String,
    /// What the hub says of installations, for `delegate_oauth` (`delegate_oauth_result`).
    pub delegate_oauth_result: Vec<String>,
    /// What Looker does with the answer; none where the action has no form to be tested with.
    pub verdict: Option<Verdict>,
    /// The call.
    pub exchange: Option<ExchangeId>,
}

impl Instance {
    /// Every action of every hub.
    pub fn actions(&self) -> Vec<Action> {
        let book = locked(&self.0.book);
        let mut actions = Vec::new();
        for (hub, saved) in &book.hubs {
            for definition in saved.listing.iter().flat_map(|listing| &listing.integrations) {
                let id = ActionId { hub: *hub, name: definition.name.clone() };
                let enabled = book.actions.get(&id);
                actions.push(shown(id, definition, enabled));
            }
        }
        actions
    }

    /// The action.
    ///
    /// # Errors
    /// No hub has it.
    pub fn action(&self, id: &ActionId) -> Result<Action, Refused> {
        let book = locked(&self.0.book);
        let definition = book.known(id)?;
        Ok(shown(id.clone(), definition, book.actions.get(id)))
    }

    /// Enables an action with its params, and tests it: its form is drawn without answers, or, for
    /// `delegate_oauth`, it is asked with `data.test`. A param that is not given keeps its value.
    ///
    /// # Errors
    /// There is no such action or param, or a required param has no value.
    pub async fn enable(&self, id: &ActionId, params: Params) -> Result<Tested, Refused> {
        self.configure(id, params).await?;
        self.test(id).await
    }

    /// Enables an action without testing it.
    ///
    /// # Errors
    /// As [`Instance::enable`].
    pub async fn configure(&self, id: &ActionId, params: Params) -> Result<(), Refused> {
        {
            let mut book = locked(&self.0.book);
            let definition = book.known(id)?.clone();
            let mut merged = book.actions.get(id).map(|e| e.params.clone()).unwrap_or_default();
            for (name, binding) in params {
                check_param(&definition, &name)?;
                merged.insert(name, binding);
            }
            for param in definition.params.iter().filter(|param| param.required) {
                let bound = merged.contains_key(&param.name)
                    || param.user_attribute_name.is_some()
                    || param.delegate_oauth_url.is_some();
                if !bound {
                    return Err(Refused(format!(
                        "The param `{}` ({}) is required.",
                        param.name, param.label
                    )));
                }
            }
            book.actions.insert(id.clone(), Enabled { enabled: true, params: merged });
        }
        self.saved().await
    }

    /// Disables an action; its params are kept.
    ///
    /// # Errors
    /// It cannot be kept.
    pub async fn disable(&self, id: &ActionId) -> Result<(), Refused> {
        if let Some(action) = locked(&self.0.book).actions.get_mut(id) {
            action.enabled = false;
        }
        self.saved().await
    }

    /// Tests an action, as "Test Again" does.
    ///
    /// # Errors
    /// There is no such action.
    pub async fn test(&self, id: &ActionId) -> Result<Tested, Refused> {
        let definition = locked(&self.0.book).known(id)?.clone();
        if definition.form_url.is_none() {
            return Ok(Tested {
                success: true,
                message: "The action has no form, so there is nothing to test.".to_owned(),
                delegate_oauth_result: Vec::new(),
                verdict: None,
                exchange: None,
            });
        }
        let looker = self.looker(id.hub)?;
        let user = self.first_user()?;
        let mut delivery = self.form_delivery(id, &definition, &user, None, Members::default());
        if definition.delegate_oauth {
            delivery = delivery.param("test", "true");
        }
        let keep = Some(self.0.bodies.keep());
        let trip = Trip { keep, ..Trip::default() };
        let answered = looker.form_on(Call::Test, &definition, delivery, trip).await;
        let verdict = answered.verdict.clone();
        let state = answered.state.clone();
        let (success, message, installations) = match &answered.answer {
            Ok(Form::Error { error }) => (false, error.clone(), Vec::new()),
            Ok(form) => (true, "The action answers.".to_owned(), messages(form)),
            Err(fault) => (false, fault.to_string(), Vec::new()),
        };
        let exchange = self.note(answered, Some(&user.id)).await;
        self.change_state(&user.id, id, state).await?;
        let delegate_oauth_result = installations;
        let exchange = Some(exchange);
        Ok(Tested { success, message, delegate_oauth_result, verdict: Some(verdict), exchange })
    }

    /// The users.
    pub fn users(&self) -> Vec<User> {
        locked(&self.0.book).users.clone()
    }

    /// Adds a user, or replaces the one of that id.
    ///
    /// # Errors
    /// The id is empty, or it cannot be kept.
    pub async fn put_user(&self, user: User) -> Result<(), Refused> {
        if user.id.trim().is_empty() {
            return Err(Refused::new("A user needs an id."));
        }
        {
            let mut book = locked(&self.0.book);
            match book.users.iter_mut().find(|known| known.id == user.id) {
                Some(known) => *known = user,
                None => book.users.push(user),
            }
        }
        self.saved().await
    }

    /// The actions that a user is offered for this kind of content: enabled, and with a value for
    /// each required param.
    pub fn offered(&self, user: &str, kind: ActionType) -> Vec<Action> {
        let mut actions = self.actions();
        actions.retain(|action| {
            action.enabled
                && action.definition.supported_action_types.contains(&kind)
                && self.data_of(&action.id, user).is_ok()
        });
        actions
    }

    pub(super) fn first_user(&self) -> Result<User, Refused> {
        let book = locked(&self.0.book);
        book.users.first().cloned().ok_or_else(|| Refused::new("There is no user."))
    }

    /// `data`: the params with each user's attributes put in. And the names of those without a
    /// value.
    ///
    /// # Errors
    /// A required param has no value for this user, who does not see the action then.
    pub(super) fn data_of(
        &self,
        id: &ActionId,
        user: &str,
    ) -> Result<(Members, Vec<String>), Refused> {
        let book = locked(&self.0.book);
        let definition = book.known(id)?;
        let user = book.user(user)?;
        let none = Params::new();
        let params = book.actions.get(id).map_or(&none, |enabled| &enabled.params);
        let mut data = Members::default();
        let mut absent = Vec::new();
        for param in &definition.params {
            let attribute = match params.get(&param.name) {
                Some(Binding::Value(value)) => {
                    data.0.insert(param.name.clone(), value.clone());
                    continue;
                }
                Some(Binding::UserAttribute(name)) => Some(name),
                None => param.user_attribute_name.as_ref(),
            };
            match attribute.and_then(|name| user.attributes.get(name)) {
                Some(value) => {
                    data.0.insert(param.name.clone(), value.clone());
                }
                None if param.required && param.delegate_oauth_url.is_none() => {
                    let why = match attribute {
                        Some(name) => format!("the user `{}` has no attribute `{name}`", user.id),
                        None => "nobody has given it".to_owned(),
                    };
                    return Err(Refused(format!(
                        "The param `{}` has no value: {why}.",
                        param.name
                    )));
                }
                None => absent.push(param.name.clone()),
            }
        }
        Ok((data, absent))
    }

    /// The body of a form call: as far as the params have values, and with what logins need.
    pub(super) fn form_delivery(
        &self,
        id: &ActionId,
        definition: &Definition,
        user: &User,
        base: Option<Delivery>,
        answers: Members,
    ) -> Delivery {
        let mut delivery = base.unwrap_or_else(|| Delivery::query("Form"));
        if let Ok((data, absent)) = self.data_of(id, &user.id) {
            delivery.params.0.extend(data.0);
            delivery.absent = absent;
        }
        delivery.answers = answers;
        self.add_login(id, definition, &user.id, &mut delivery.params);
        self.habits().apply(&mut delivery, crate::faults::Chance::new(seed()).next());
        delivery
    }
}

/// Another one each time.
pub(super) fn seed() -> u64 {
    let mut random = [0; 8];
    // All zeros is a seed like any other.
    let _ = getrandom::fill(&mut random);
    u64::from_le_bytes(random)
}

fn shown(id: ActionId, definition: &Definition, enabled: Option<&Enabled>) -> Action {
    let mut params = enabled.map(|enabled| enabled.params.clone()).unwrap_or_default();
    for param in definition.params.iter().filter(|param| param.sensitive) {
        if let Some(Binding::Value(value)) = params.get_mut(&param.name) {
            *value = crate::request::MASK.to_owned();
        }
    }
    let enabled = enabled.is_some_and(|enabled| enabled.enabled);
    Action { id, definition: definition.clone(), enabled, params }
}

fn check_param(definition: &Definition, name: &str) -> Result<(), Refused> {
    if definition.params.iter().any(|param| param.name == name) {
        return Ok(());
    }
    let known: Vec<&str> = definition.params.iter().map(|param| param.name.as_str()).collect();
    let known = match known.is_empty() {
        true => "It has none".to_owned(),
        false => format!("It has {}", known.join(", ")),
    };
    Err(Refused(format!("The action `{}` has no param `{name}`. {known}.", definition.name)))
}

fn messages(form: &Form) -> Vec<String> {
    let messages = form.fields().iter().filter(|field| field.kind == FieldType::Message);
    messages.filter_map(|field| field.value.clone()).collect()
}
