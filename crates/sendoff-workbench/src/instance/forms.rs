//! Forms as a user fills them in: drawn, and drawn again when an interactive field changes.

use sendoff_protocol::{ActionType, Field, FieldType, Form, Members};
use serde::Serialize;

use super::book::ActionId;
use super::journal::ExchangeId;
use super::{Instance, Refused, locked};
use crate::looker::Trip;
use crate::remarks::Remark;
use crate::request::Delivery;
use crate::verdict::{Call, Verdict};

/// For what the form is drawn.
#[derive(Clone, Debug)]
pub struct FormOf {
    /// Who fills it in.
    pub user: String,
    /// Whose form it is.
    pub action: ActionId,
    /// What is to be sent.
    pub kind: ActionType,
    /// The current value of every field; none when it is drawn first. With a new value of an
    /// interactive field the answer replaces the whole form.
    pub answers: Members,
}

/// A form as it is drawn.
#[derive(Clone, Debug, Serialize)]
pub struct Drawn {
    /// The fields, in order. Empty where there is an error.
    pub fields: Vec<Field>,
    /// Why it cannot be drawn, for the user.
    pub error: Option<String>,
    /// Whether the hub says so; else it has no answer, or none that is a form.
    pub error_is_the_hubs: bool,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What the protocol says to it.
    pub remarks: Vec<Remark>,
    /// The call.
    pub exchange: Option<ExchangeId>,
}

impl Drawn {
    /// The value that each field starts with: its default, or of a select without one its first
    /// option, as browsers choose.
    pub fn defaults(&self) -> Members {
        let value = |field: &Field| {
            let first = || field.options.first().map(|option| option.name.clone());
            let value = match (field.kind, &field.default) {
                (FieldType::OauthLink | FieldType::OauthLinkGoogle | FieldType::Message, _) => None,
                (_, Some(default)) => Some(default.clone()),
                (FieldType::Select, None) => first(),
                (_, None) => None,
            };
            value.map(|value| (field.name.clone(), value))
        };
        self.fields.iter().filter_map(value).collect()
    }

    /// Whether the user has to log in first.
    pub fn wants_login(&self) -> bool {
        let is_link =
            |field: &Field| matches!(field.kind, FieldType::OauthLink | FieldType::OauthLinkGoogle);
        self.fields.iter().any(is_link)
    }

    /// A sentence for each required field without an answer.
    pub fn missing(&self, answers: &Members) -> Vec<String> {
        let empty = |name: &str| answers.get(name).is_none_or(|value| value.is_empty());
        let missing = self.fields.iter().filter(|field| field.required && empty(&field.name));
        let label = |field: &Field| field.label.clone().unwrap_or_else(|| field.name.clone());
        missing.map(|field| format!("`{}` ({}) is required.", field.name, label(field))).collect()
    }
}

impl Instance {
    /// Draws a form.
    ///
    /// # Errors
    /// There is no such action or user.
    pub async fn form(&self, of: FormOf) -> Result<Drawn, Refused> {
        let (definition, user) = {
            let book = locked(&self.0.book);
            (book.known(&of.action)?.clone(), book.user(&of.user)?.clone())
        };
        if definition.form_url.is_none() {
            return Ok(Drawn {
                fields: Vec::new(),
                error: None,
                error_is_the_hubs: false,
                verdict: Verdict::default(),
                remarks: Vec::new(),
                exchange: None,
            });
        }
        let looker = self.looker(of.action.hub)?;
        let base = match of.kind {
            ActionType::Cell => Delivery::cell("", ""),
            ActionType::Dashboard => Delivery::dashboard("Form"),
            _ => Delivery::query("Form"),
        };
        let delivery = self.form_delivery(&of.action, &definition, &user, Some(base), of.answers);
        let trip = Trip { keep: Some(self.0.bodies.keep()), ..Trip::default() };
        let answered = looker.form_on(Call::Form, &definition, delivery, trip).await;
        let (verdict, remarks) = (answered.verdict.clone(), answered.remarks.clone());
        let change = answered.state.clone();
        let error_is_the_hubs = matches!(answered.answer, Ok(Form::Error { .. }));
        let (fields, error) = match answered.answer.clone() {
            Ok(Form::Error { error }) => (Vec::new(), Some(error)),
            Ok(form) => (form.fields().to_vec(), None),
            Err(fault) => (Vec::new(), Some(fault.to_string())),
        };
        let exchange = Some(self.note(answered, Some(&user.id)).await);
        self.change_state(&user.id, &of.action, change).await?;
        Ok(Drawn { fields, error, error_is_the_hubs, verdict, remarks, exchange })
    }
}
