//! What is known of the Action API, by sections: what each citation of a check stands for, and where a
//! reader finds it.

/// A section, and the public sources of its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// `5.8`; a citation of `14.2` is of section `14`.
    pub number: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Keys of [`SOURCES`].
    pub sources: &'static [&'static str],
}

/// Where the facts come from: a key, what it is, and its URL.
pub const SOURCES: &[(&str, &str, &str)] = &[
    (
        "api",
        "the Action API's documentation",
        "https://github.com/looker-open-source/actions/blob/master/docs/action_api.md",
    ),
    ("hub", "Looker's page on action hubs", "https://cloud.google.com/looker/docs/action-hub"),
    (
        "admin",
        "Looker's admin page for actions",
        "https://cloud.google.com/looker/docs/admin-panel-platform-actions",
    ),
    (
        "spec",
        "the specification of Looker's own API",
        "https://github.com/looker-open-source/sdk-codegen/blob/main/spec/Looker.4.0.oas.json",
    ),
    (
        "looks",
        "Looker's page on deliveries of Looks",
        "https://cloud.google.com/looker/docs/delivering-looks-explores",
    ),
    (
        "dashboards",
        "Looker's page on deliveries of dashboards",
        "https://cloud.google.com/looker/docs/scheduling-and-sending-dashboards",
    ),
    (
        "oauth",
        "Looker's page on actions with OAuth",
        "https://cloud.google.com/looker/docs/best-practices/action-hub-oauth-actions",
    ),
    (
        "reference",
        "the source of the reference hub",
        "https://github.com/looker-open-source/actions",
    ),
    (
        "captures",
        "hubs and captures that others have published",
        "https://github.com/search?q=looker+%22scheduled_plan%22+%22form_params%22&type=code",
    ),
];

const fn section(
    number: &'static str,
    title: &'static str,
    sources: &'static [&'static str],
) -> Section {
    Section { number, title, sources }
}

/// Every section that a check cites.
pub const SECTIONS: &[Section] = &[
    section("2", "Headers, tokens and bodies of Looker's requests", &["api", "admin", "reference"]),
    section("3", "Endpoints, and how Looker reaches them", &["api", "hub", "reference"]),
    section("4", "The list and its actions", &["api", "spec", "reference"]),
    section("5.1", "A delivery's members", &["spec", "reference", "captures"]),
    section("5.2", "`scheduled_plan`", &["spec", "reference", "captures"]),
    section("5.3", "`attachment` and the formats", &["api", "reference", "captures"]),
    section("5.5", "`form_params`", &["api", "reference"]),
    section(
        "5.7",
        "Results that are fetched by `download_url`",
        &["spec", "dashboards", "reference"],
    ),
    section("5.8", "The answer to a delivery", &["api", "spec", "reference"]),
    section("6", "Forms", &["api", "spec", "reference"]),
    section("7", "State", &["api", "reference"]),
    section("8.1", "Logins by OAuth, version 1", &["hub", "oauth", "reference"]),
    section("8.2", "Logins by OAuth, version 2", &["reference"]),
    section("10", "Limits and time-outs", &["looks", "reference"]),
    section("14", "Faults of the reference hub that others need not repeat", &["reference"]),
    section("15", "What is not known", &[]),
];

/// The section of a citation.
pub fn section_of(number: &str) -> Option<&'static Section> {
    let is_it = |section: &&Section| {
        let rest = number.strip_prefix(section.number);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    SECTIONS.iter().find(is_it)
}
