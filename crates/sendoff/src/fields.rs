//! Settings and forms as structs: what an action asks for, and how the answers are read.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sendoff_protocol::{self as wire, Members};

/// Answers as they came: names and texts.
pub type Values = Members;

/// A struct whose members are the fields of a form or the params of an action.
///
/// Derive it with `#[derive(Fields)]`:
///
/// ```
/// use sendoff::{Fields, Secret};
///
/// #[derive(Fields)]
/// pub struct Settings {
///     /// Made in the vendor's console under "API keys".
///     #[field(label = "API key")]
///     api_key: Secret,
///     /// Leave empty for the vendor's default region.
///     region: Option<String>,
///     #[field(default = "500")]
///     batch_size: u32,
/// }
/// ```
///
/// The name is the name on the wire and, in title case, the label; the doc comment is the
/// description; `Option` makes a field optional; [`Secret`] makes it sensitive. `#[field(...)]`
/// takes `label`, `default`, `textarea`, `interactive`, `user_attribute`, `per_user`, `public` (a
/// [`Secret`] that the definition shows as not sensitive), `name` (where the wire name is no Rust
/// name) and `flatten` (the members of another `Fields` struct stand here).
///
/// Members should be private: then a field that is shown but never read is a compiler warning.
pub trait Fields: Sized + Send + 'static {
    /// The same fields, to be completed (choices, defaults) before they are drawn.
    type View: Send;

    /// The fields with what the user chose so far.
    fn view(draft: &Values) -> Self::View;

    /// The fields in order.
    fn list(view: Self::View, out: &mut Vec<Field>);

    /// Reads the answers; what is missing or wrong is added to `problems`.
    fn read(values: &Values, problems: &mut Problems) -> Option<Self>;
}

/// The fields of `F`, to be completed before they are drawn.
pub type View<F> = <F as Fields>::View;

impl Fields for () {
    type View = ();

    fn view(_: &Values) {}

    fn list((): (), _: &mut Vec<Field>) {}

    fn read(_: &Values, _: &mut Problems) -> Option<Self> {
        Some(())
    }
}

/// What is wrong with the answers, field by field.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

/// What is wrong with one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's name on the wire.
    pub field: &'static str,
    /// The field's label.
    pub label: String,
    /// A sentence for the person who fills it in.
    pub message: String,
}

impl Problems {
    /// Reads one field.
    pub fn read<T: Value>(&mut self, values: &Values, field: Field) -> Option<T> {
        let given = values.get(field.name).filter(|text| !text.trim().is_empty());
        let read = match given.or(field.default.as_deref()) {
            Some(text) => T::parse(text),
            None => T::absent().ok_or_else(|| format!("{} is required.", field.label)),
        };
        read.map_err(|message| self.add(&field, message)).ok()
    }

    fn add(&mut self, field: &Field, message: String) {
        self.0.push(Problem { field: field.name, label: field.label.clone(), message });
    }

    /// The problems, in the order of the fields.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

/// A type that a field can have. It decides whether the field is required or sensitive, and how
/// it is drawn.
pub trait Value: Sized {
    /// Whether an answer must be given.
    const REQUIRED: bool = true;
    /// Whether Looker hides the value and every log leaves it out.
    const SENSITIVE: bool = false;

    /// How the field is drawn.
    fn widget() -> Widget {
        Widget::Line
    }

    /// The value of a field without an answer, if that is allowed.
    fn absent() -> Option<Self> {
        None
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// A sentence for the person who filled it in.
    fn parse(text: &str) -> Result<Self, String>;
}

/// How a field is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Widget {
    /// One line of text.
    Line,
    /// Many lines of text.
    Area,
    /// A list to choose from: name and label of each choice.
    Select(Vec<(String, String)>),
    /// Text without input.
    Message(String),
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl<T: Value> Value for Option<T> {
    const REQUIRED: bool = false;
    const SENSITIVE: bool = T::SENSITIVE;

    fn widget() -> Widget {
        T::widget()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
}

/// Drawn as a choice of yes and no, since Looker's forms have no checkbox.
impl Value for bool {
    const REQUIRED: bool = false;

    fn widget() -> Widget {
        Widget::Select(vec![("no".into(), "No".into()), ("yes".into(), "Yes".into())])
    }

    fn absent() -> Option<Self> {
        Some(false)
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" | "on" => Ok(true),
            "no" | "false" | "0" | "off" => Ok(false),
            _ => Err(format!("Choose yes or no; {} is neither.", quoted(text))),
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| {
                    format!(
                        "Enter a whole number from {} to {}; {} is none.",
                        <$type>::MIN, <$type>::MAX, quoted(text)
                    )
                })
            }
        }
    )*};
}
whole_numbers!(u16, u32, u64);

/// A secret: never printed, and taken out of every message of its delivery.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(SecretString::from(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Value for Secret {
    const SENSITIVE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned().into())
    }
}

/// An enum whose variants are the choices of a list. Derive it with `#[derive(Choice)]`.
///
/// The wire name of `KeepBoth` is `keep_both` and its label `Keep both`, unless
/// `#[choice(name = "…", label = "…")]` says otherwise.
pub trait Choice: Copy + 'static {
    /// Each choice with its name on the wire and its label.
    const ALL: &'static [(Self, &'static str, &'static str)];
}

#[doc(hidden)]
pub fn choice_widget<C: Choice>() -> Widget {
    Widget::Select(
        C::ALL.iter().map(|(_, name, label)| (name.to_string(), label.to_string())).collect(),
    )
}

#[doc(hidden)]
pub fn choice_parse<C: Choice>(text: &str) -> Result<C, String> {
    // Some users have the answer from an attribute or a schedule that was made by hand.
    let found = C::ALL.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text.trim()));
    found.map(|(choice, _, _)| *choice).ok_or_else(|| {
        let names: Vec<_> = C::ALL.iter().map(|(_, name, _)| *name).collect();
        format!("Choose one of {}; {} is none of them.", names.join(", "), quoted(text))
    })
}

/// What the user typed, short enough for a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// One field of a form, or one param of an action.
#[derive(Clone, Debug)]
pub struct Field {
    name: &'static str,
    label: String,
    description: Option<String>,
    required: bool,
    secret: bool,
    sensitive: bool,
    widget: Widget,
    default: Option<String>,
    value: Option<String>,
    interactive: bool,
    user_attribute: Option<&'static str>,
    per_user: bool,
    hidden: bool,
}

impl Field {
    /// A field for values of type `T`.
    pub fn of<T: Value>(name: &'static str) -> Self {
        Self {
            name,
            label: title_case(name),
            description: None,
            required: T::REQUIRED,
            secret: T::SENSITIVE,
            sensitive: T::SENSITIVE,
            widget: T::widget(),
            default: None,
            value: None,
            interactive: false,
            user_attribute: None,
            per_user: false,
            hidden: false,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// What people read.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Help below the field.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The value that counts when no answer is given.
    #[must_use]
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self.required = false;
        self
    }

    /// Many lines of text.
    #[must_use]
    pub fn textarea(mut self) -> Self {
        self.widget = Widget::Area;
        self
    }

    /// Looker fetches the form again when the value changes.
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// The definition shows it as not sensitive although its type is [`Secret`].
    #[must_use]
    pub fn public(mut self) -> Self {
        self.sensitive = false;
        self
    }

    /// The Looker user attribute that the value comes from.
    #[must_use]
    pub fn user_attribute(mut self, name: &'static str) -> Self {
        self.user_attribute = Some(name);
        self
    }

    /// Each Looker user has a value of their own.
    #[must_use]
    pub fn per_user(mut self) -> Self {
        self.per_user = true;
        self
    }

    /// Keeps what the user chose so far.
    #[must_use]
    pub fn filled(mut self, draft: &Values) -> Self {
        self.value = draft.get(self.name).filter(|text| !text.is_empty()).map(str::to_owned);
        self
    }

    /// What the user chose so far.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Makes it a list to choose from; the first choice is the default unless one is set.
    pub fn select<N: Into<String>, L: Into<String>>(
        &mut self,
        choices: impl IntoIterator<Item = (N, L)>,
    ) {
        let choices: Vec<_> = choices.into_iter().map(|(n, l)| (n.into(), l.into())).collect();
        if self.required && self.default.is_none() {
            self.default = choices.first().map(|(name, _): &(String, String)| name.clone());
        }
        self.widget = Widget::Select(choices);
    }

    /// Replaces the help below the field.
    pub fn describe(&mut self, text: impl Into<String>) {
        self.description = Some(text.into());
    }

    /// Replaces what people read.
    pub fn relabel(&mut self, label: impl Into<String>) {
        self.label = label.into();
    }

    /// Drops what the user chose so far, which fits no more.
    pub fn forget(&mut self) {
        self.value = None;
    }

    /// Adds a sentence to the help below the field.
    pub fn remark(&mut self, sentence: &str) {
        let text = self.description.get_or_insert_default();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
    }

    /// Leaves the field out of the form that is being drawn: there is nothing to answer.
    pub fn hide(&mut self) {
        self.hidden = true;
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    pub(crate) fn label_text(&self) -> &str {
        &self.label
    }

    /// Whether the value must be kept out of logs and messages, however the definition shows it.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    pub(crate) fn wire_name(&self) -> &'static str {
        self.name
    }

    /// As a param of the definition.
    pub(crate) fn into_param(self) -> wire::Param {
        wire::Param {
            name: self.name.to_owned(),
            label: self.label,
            description: self.description,
            required: self.required,
            sensitive: self.sensitive,
            user_attribute_name: self.user_attribute.map(str::to_owned),
            per_user: self.per_user.then_some(true),
            delegate_oauth_url: None,
        }
    }

    /// As a field of the form. A value already chosen comes back as the default, or Looker would
    /// forget it when the form is fetched again.
    pub(crate) fn into_form_field(self) -> wire::Field {
        let mut field = wire::Field {
            name: self.name.to_owned(),
            label: Some(self.label),
            description: self.description,
            required: self.required,
            interactive: self.interactive,
            default: self.value.or(self.default),
            ..wire::Field::default()
        };
        match self.widget {
            Widget::Line => {}
            Widget::Area => field.kind = wire::FieldType::Textarea,
            Widget::Message(text) => {
                field.kind = wire::FieldType::Message;
                field.value = Some(text);
            }
            Widget::Select(choices) => {
                field.kind = wire::FieldType::Select;
                field.options = choices
                    .into_iter()
                    .map(|(name, label)| wire::SelectOption { name, label })
                    .collect();
            }
        }
        field
    }
}

/// `secret_key` reads `Secret Key`.
fn title_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split('_') {
        if !out.is_empty() {
            out.push(' ');
        }
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}
