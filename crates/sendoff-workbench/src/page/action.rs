//! The right side: which action, whether the data suits it, and its form as Looker draws it.

use sendoff_protocol::{ActionType, Definition, DownloadSetting, Field, FieldType, Format};
use sendoff_protocol::{Formatting, RequiredField, VisualizationFormatting};
use serde::Serialize;

use super::data::Chosen;
use super::view::Pairs;
use crate::formats::{DASHBOARD_FORMATS, LOOK_FORMATS};
use crate::model::unmet;

/// In the names of a form's fields, so that an action's own fields and the page's do not collide.
pub(super) const FIELD: &str = "field.";
pub(super) const PARAM: &str = "param.";

/// An action in the list.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    name: String,
    label: String,
    description: String,
    /// Why the data cannot be sent to it, as sentences.
    unmet: Vec<String>,
    /// What it needs of the data and has, as sentences.
    met: Vec<String>,
}

impl Card {
    pub(super) fn of(action: &Definition, chosen: &Chosen) -> Self {
        let kind = chosen.kind();
        let mut unsuited = Vec::new();
        if !action.supported_action_types.is_empty()
            && !action.supported_action_types.contains(&kind)
        {
            unsuited.push(format!("It takes {}.", spoken_kinds(&action.supported_action_types)));
        } else if kind == ActionType::Query {
            unsuited.extend(unmet(&action.required_fields, &chosen.fields));
        }
        let met = if unsuited.is_empty() && kind == ActionType::Query {
            met(&action.required_fields, chosen)
        } else {
            Vec::new()
        };
        Self {
            name: action.name.clone(),
            label: if action.label.is_empty() { &action.name } else { &action.label }.clone(),
            description: action.description.clone().unwrap_or_default(),
            unmet: unsuited,
            met,
        }
    }

    /// Whether a word of the search stands in it.
    pub(super) fn is_found(&self, words: &str) -> bool {
        let text = format!("{} {} {}", self.name, self.label, self.description).to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Whether the data suits it.
    pub(super) fn suits(&self) -> bool {
        self.unmet.is_empty()
    }
}

impl Chosen {
    /// What an action is sent.
    pub(super) fn kind(&self) -> ActionType {
        match (&self.cell, self.is_dashboard) {
            (Some(_), _) => ActionType::Cell,
            (None, true) => ActionType::Dashboard,
            (None, false) => ActionType::Query,
        }
    }
}

fn spoken_kinds(kinds: &[ActionType]) -> String {
    let spoken = kinds.iter().map(|kind| match kind {
        ActionType::Cell => "single cells",
        ActionType::Query => "Looks and queries",
        ActionType::Dashboard => "dashboards",
        _ => "nothing",
    });
    format!("{} only", spoken.collect::<Vec<_>>().join(" and "))
}

/// Which columns fulfil what the action requires.
fn met(required: &[RequiredField], chosen: &Chosen) -> Vec<String> {
    let tags = required.iter().flat_map(|entry| {
        let several = entry.any_tag.iter().chain(&entry.all_tags).flatten();
        entry.tag.iter().chain(several)
    });
    let with = |tag: &String| {
        let column = chosen.fields.iter().find(|field| field.tags.contains(tag))?;
        Some(format!("“{}” has the tag it needs: {tag}.", column.label))
    };
    tags.filter_map(with).collect()
}

/// One field of a form.
#[derive(Debug, Default, Serialize)]
pub(super) struct FieldView {
    id: String,
    /// In the page's form.
    input: String,
    name: String,
    label: String,
    help: String,
    kind: &'static str,
    value: String,
    options: Vec<OptionView>,
    interactive: bool,
    required: bool,
    /// What the hub says is wrong with the answer.
    error: String,
    /// Where a login begins; only if it is a web address.
    oauth_url: String,
}

#[derive(Debug, Serialize)]
struct OptionView {
    name: String,
    label: String,
    selected: bool,
}

/// The form as it is drawn.
#[derive(Debug, Default, Serialize)]
pub(super) struct FormView {
    pub(super) fields: Vec<FieldView>,
    /// An error in place of fields.
    pub(super) error: String,
    /// Whether the hub says so.
    pub(super) error_is_the_hubs: bool,
    /// What the hub should mend, and Looker's users would stumble over.
    pub(super) remarks: Vec<String>,
    /// Whether nothing but a login can be done.
    pub(super) logs_in: bool,
    /// Whether there is a login, after which the form is asked for again.
    pub(super) has_login: bool,
}

impl FormView {
    /// `kept` are answers that stand over the form's defaults, `sent` those that the hub was just
    /// told, `wrong` what the hub said about them.
    pub(super) fn of(
        action: &str,
        fields: &[Field],
        kept: &Pairs,
        sent: &Pairs,
        wrong: &Pairs,
    ) -> Self {
        let mut view = Self::default();
        let is_login =
            |field: &Field| matches!(field.kind, FieldType::OauthLink | FieldType::OauthLinkGoogle);
        let is_idle = |field: &Field| is_login(field) || field.kind == FieldType::Message;
        view.has_login = fields.iter().any(is_login);
        view.logs_in = view.has_login && fields.iter().all(is_idle);
        for (n, field) in fields.iter().enumerate() {
            let value = kept.get(&field.name).or(field.default.as_ref());
            if let Some(lost) = sent.get(&field.name).filter(|sent| !sent.is_empty())
                && value != Some(lost)
            {
                view.remarks.push(format!(
                    "The hub was told “{lost}” for {} and did not give it back as the field's \
                     default, so that Looker shows it no more.",
                    spoken(field)
                ));
            }
            view.fields.push(FieldView::of(action, n, field, value, wrong.get(&field.name)));
        }
        view
    }
}

/// What users read of a field.
fn spoken(field: &Field) -> &str {
    field.label.as_deref().filter(|label| !label.is_empty()).unwrap_or(&field.name)
}

impl FieldView {
    fn of(
        action: &str,
        number: usize,
        field: &Field,
        value: Option<&String>,
        wrong: Option<&String>,
    ) -> Self {
        let value = value.cloned().unwrap_or_default();
        let options = field.options.iter().map(|option| OptionView {
            selected: option.name == value,
            name: option.name.clone(),
            label: option.label.clone(),
        });
        let kind = match field.kind {
            FieldType::Textarea => "textarea",
            FieldType::Select => "select",
            FieldType::OauthLink => "login",
            FieldType::OauthLinkGoogle => "google",
            FieldType::Message => "message",
            _ => "string",
        };
        // A hub's URL must not run script in the page.
        let web = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
        Self {
            id: format!("field-{action}-{number}"),
            input: format!("{FIELD}{}", field.name),
            name: field.name.clone(),
            label: spoken(field).to_owned(),
            help: field.description.clone().unwrap_or_default(),
            kind,
            options: options.collect(),
            value: if kind == "message" { field.value.clone().unwrap_or(value) } else { value },
            interactive: field.interactive,
            required: field.required,
            error: wrong.cloned().unwrap_or_default(),
            oauth_url: field.oauth_url.as_ref().filter(web).cloned().unwrap_or_default(),
        }
    }
}

/// What can be chosen about how the data is sent.
#[derive(Debug, Default, Serialize)]
pub(super) struct OptionsView {
    formats: Vec<Choice>,
    formattings: Vec<Choice>,
    visuals: Vec<Choice>,
    /// How the data goes.
    ways: Vec<Choice>,
    /// Whether all results can be asked for: only what streams gets more than 5,000 rows.
    streams: bool,
}

#[derive(Debug, Serialize)]
struct Choice {
    id: &'static str,
    label: &'static str,
    chosen: bool,
}

impl OptionsView {
    pub(super) fn of(action: &Definition, chosen: &Chosen, given: &Pairs) -> Self {
        let asked = |name: &str| given.get(name).map(String::as_str);
        let downloads = &action.supported_download_settings;
        let streams = downloads.contains(&DownloadSetting::Url);
        let query = chosen.kind() == ActionType::Query;
        let mut ways = Vec::new();
        if query && streams {
            ways.push(("url", "fetched by the hub"));
            if downloads.contains(&DownloadSetting::Push) {
                ways.push(("push", "in the request"));
            }
        }
        Self {
            // CSV is what most people can read.
            formats: choices(formats(action, chosen), asked("format").or(Some("csv"))),
            formattings: choices(formattings(action), asked("formatting")),
            visuals: choices(visuals(action), asked("visual")),
            ways: choices(ways, asked("way")),
            streams: streams && query,
        }
    }
}

/// The formats that the action takes and the data can be had in.
fn formats(action: &Definition, chosen: &Chosen) -> Vec<(&'static str, &'static str)> {
    let all: &[Format] = match chosen.kind() {
        ActionType::Query => &LOOK_FORMATS,
        ActionType::Dashboard => &DASHBOARD_FORMATS,
        _ => &[],
    };
    let supported = action.supported_formats.as_ref();
    let wanted = |format: &&Format| supported.is_none_or(|list| list.contains(format));
    all.iter().filter(wanted).map(|format| (format.as_str(), spoken_format(*format))).collect()
}

fn spoken_format(format: Format) -> &'static str {
    match format {
        Format::Txt => "Text, tab-separated",
        Format::Csv => "CSV",
        Format::InlineJson => "JSON, inline",
        Format::Json => "JSON",
        Format::JsonLabel => "JSON with labels",
        Format::JsonDetail => "JSON, detailed",
        Format::JsonDetailLiteStream => "JSON, detailed, streamed",
        Format::JsonBi => "JSON for BI",
        Format::Xlsx => "Excel",
        Format::Html => "HTML",
        Format::WysiwygPdf => "PDF as on screen",
        Format::AssembledPdf => "PDF, assembled",
        Format::WysiwygPng => "PNG",
        Format::CsvZip => "CSV in a zip",
        _ => "another format",
    }
}

fn formattings(action: &Definition) -> Vec<(&'static str, &'static str)> {
    let takes = |one| action.supported_formattings.as_ref().is_none_or(|list| list.contains(&one));
    let all = [
        (Formatting::Formatted, ("formatted", "formatted: $1,234.50")),
        (Formatting::Unformatted, ("unformatted", "unformatted: 1234.5")),
    ];
    all.into_iter().filter(|(one, _)| takes(*one)).map(|(_, spoken)| spoken).collect()
}

fn visuals(action: &Definition) -> Vec<(&'static str, &'static str)> {
    let list = action.supported_visualization_formattings.as_ref();
    let takes = |one| list.is_none_or(|list| list.contains(&one));
    let all = [
        (VisualizationFormatting::Noapply, ("noapply", "as the query gives it")),
        (VisualizationFormatting::Apply, ("apply", "as the visualisation shows it")),
    ];
    all.into_iter().filter(|(one, _)| takes(*one)).map(|(_, spoken)| spoken).collect()
}

fn choices(list: Vec<(&'static str, &'static str)>, asked: Option<&str>) -> Vec<Choice> {
    let known = asked.filter(|asked| list.iter().any(|(id, _)| id == asked));
    let chosen = |n: usize, id: &str| known.map_or(n == 0, |known| known == id);
    let choice = |(n, (id, label)): (usize, (&'static str, &'static str))| Choice {
        id,
        label,
        chosen: chosen(n, id),
    };
    list.into_iter().enumerate().map(choice).collect()
}

/// A param as its input is drawn when an admin enables the action.
#[derive(Debug, Serialize)]
pub(super) struct ParamView {
    id: String,
    input: String,
    label: String,
    help: String,
    required: bool,
    sensitive: bool,
    /// Never a sensitive one.
    value: String,
    /// Whether it has a value, also one that is not shown.
    is_set: bool,
    user_attribute: String,
}

/// The params, with what is set.
pub(super) fn params(action: &Definition, set: &Pairs) -> Vec<ParamView> {
    let view = |(n, param): (usize, &sendoff_protocol::Param)| {
        let value = set.get(&param.name).cloned().unwrap_or_default();
        ParamView {
            id: format!("param-{}-{n}", action.name),
            input: format!("{PARAM}{}", param.name),
            label: if param.label.is_empty() { &param.name } else { &param.label }.clone(),
            help: param.description.clone().unwrap_or_default(),
            required: param.required,
            sensitive: param.sensitive,
            is_set: !value.is_empty(),
            value: if param.sensitive { String::new() } else { value },
            user_attribute: param.user_attribute_name.clone().unwrap_or_default(),
        }
    };
    action.params.iter().enumerate().map(view).collect()
}
