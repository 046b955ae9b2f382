//! One Jira: where it is, how it is spoken to, what it answers.

use std::borrow::Cow;

use sendoff::prelude::*;
use sendoff::{Call, Http, Item, Listing, Page, Paging, Reply};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

/// Things on one page of a list. Jira gives no more than 50 of most.
const PAGE: usize = 50;

/// Fields of one type of issue that are looked at.
const MOST_FIELDS: usize = 1_000;

/// How an admin's account logs in.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginWith {
    #[choice(label = "User name and API token, or password (Server)")]
    Basic,
    #[choice(label = "Personal access token (Data Center)")]
    Token,
}

/// Which of the two APIs it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Version 3, texts as documents.
    Cloud,
    /// Version 2, texts as wiki markup.
    Server,
}

impl Kind {
    fn version(self) -> u8 {
        match self {
            Self::Cloud => 3,
            Self::Server => 2,
        }
    }
}

/// A Jira and a login to it.
pub(super) struct Site<'a> {
    http: &'a Http,
    base: Url,
    user: &'a str,
    secret: &'a Secret,
    login: LoginWith,
    pub(super) kind: Kind,
}

/// An issue that stands there.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) key: String,
}

/// The address as the admin wrote it: its port and path stay.
pub(super) fn address(settings: &super::Settings) -> Result<Url> {
    let url = read_address(&settings.address)?;
    if url.scheme() == "http" && !settings.allow_http {
        return Err(Error::settings(
            "The address of JIRA begins with http://, so that the password would be sent \
             unencrypted. Use https://, or set \"Allow Unencrypted HTTP\" to Yes.",
        )
        .field("address"));
    }
    Ok(url)
}

fn read_address(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::settings(format!(
            "The address of JIRA is not valid: {why}. It must look like https://example.atlassian.net."
        ))
    };
    let text = text.trim();
    let text =
        if text.contains("://") { Cow::Borrowed(text) } else { format!("https://{text}").into() };
    let mut url = Url::parse(&text).map_err(|fault| wrong(&fault.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the login does not belong there"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

impl<'a> Site<'a> {
    /// Finds out what kind of Jira it is, unless its address says so.
    pub(super) async fn open(
        cx: &'a Context<super::Settings>,
        settings: &'a super::Settings,
    ) -> Result<Self> {
        let base = address(settings)?;
        let mut site = Self {
            http: cx.http(),
            user: settings.username.trim(),
            secret: &settings.password,
            login: settings.login_with,
            kind: Kind::Cloud,
            base,
        };
        let host = site.base.host_str().unwrap_or_default();
        if !host.ends_with(".atlassian.net") && host != "api.atlassian.com" {
            site.kind = cx.remember("kind", site.asked_kind()).await?;
        }
        Ok(site)
    }

    /// Version 2 is the one that both have.
    async fn asked_kind(&self) -> Result<Kind> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Info {
            #[serde(default)]
            deployment_type: String,
        }
        let call = self.http.get(self.url("/rest/api/2/serverInfo"));
        let info: Info = self.signed(call).send().await?.success().await?.json().await?;
        Ok(if info.deployment_type == "Cloud" { Kind::Cloud } else { Kind::Server })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    fn signed(&self, call: Call) -> Call {
        match self.login {
            LoginWith::Basic => call.basic(self.user, self.secret),
            LoginWith::Token => call.bearer(self.secret),
        }
    }

    pub(super) fn get(&self, path: &str) -> Call {
        let path = format!("/rest/api/{}{path}", self.kind.version());
        self.signed(self.http.get(self.url(&path)))
    }

    pub(super) fn post(&self, path: &str) -> Call {
        self.post_through(self.http, path)
    }

    /// A POST through a batch's own door.
    pub(super) fn post_through(&self, http: &Http, path: &str) -> Call {
        let path = format!("/rest/api/{}{path}", self.kind.version());
        self.signed(http.post(self.url(&path)))
    }

    /// Where a person looks at an issue.
    pub(super) fn link(&self, key: &str) -> Option<String> {
        // Under this address are APIs alone.
        (self.base.host_str() != Some("api.atlassian.com"))
            .then(|| self.url(&format!("/browse/{key}")))
    }

    /// All projects that the account may see.
    pub(super) async fn projects(&self) -> Result<Listing> {
        if self.kind == Kind::Server {
            // Not in pages there.
            let all: Vec<Json> = self.get("/project").send().await?.success().await?.json().await?;
            return Ok(all.iter().filter_map(project).collect::<Vec<_>>().into());
        }
        let page = |at| self.page("/project/search?orderBy=name", "values", at, project);
        Listing::paged("projects", Paging::default(), page).await
    }

    /// The types that issues of a project can have; those that need a parent are left out.
    pub(super) async fn issue_types(&self, project: &str) -> Result<Listing> {
        let path = format!("/issue/createmeta/{}/issuetypes", encoded(project));
        let list = if self.kind == Kind::Cloud { "issueTypes" } else { "values" };
        let page = |at| self.page(&path, list, at, issue_type);
        Listing::paged("issue types", Paging::default(), page).await
    }

    /// What an issue of this type can and must have.
    pub(super) async fn fields(&self, project: &str, kind: &str) -> Result<Vec<Json>> {
        let path = format!("/issue/createmeta/{}/issuetypes/{}", encoded(project), encoded(kind));
        let list = if self.kind == Kind::Cloud { "fields" } else { "values" };
        let mut fields = Vec::new();
        loop {
            let mut page = self.part(&path, fields.len()).await?;
            let Json::Array(new) = page[list].take() else { return Ok(fields) };
            let none = new.is_empty();
            fields.extend(new);
            if none || fields.len() >= total(&page) || fields.len() >= MOST_FIELDS {
                return Ok(fields);
            }
        }
    }

    async fn page(
        &self,
        path: &str,
        list: &str,
        at: Option<String>,
        item: fn(&Json) -> Option<Item>,
    ) -> Result<Page> {
        let at: usize = at.and_then(|at| at.parse().ok()).unwrap_or(0);
        let page: Json = self.part(path, at).await?;
        let all = page[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let next = at + all.len();
        let more = !all.is_empty() && next < total(&page);
        let items = all.iter().filter_map(item).collect();
        Ok(Page { items, next: more.then(|| next.to_string()) })
    }

    /// What stands from `at` on in a list.
    async fn part(&self, path: &str, at: usize) -> Result<Json> {
        let range = [("startAt", at.to_string()), ("maxResults", PAGE.to_string())];
        self.get(path).query(range).send().await?.success().await?.json().await
    }

    /// The newest issue of a project with this label that is not done.
    pub(super) async fn open_issue(&self, project: &str, label: &str) -> Result<Option<Issue>> {
        #[derive(Deserialize)]
        struct Found {
            issues: Vec<Issue>,
        }
        let jql = format!(
            "project = {} AND labels = \"{label}\" AND statusCategory != Done ORDER BY created DESC",
            quoted(project)
        );
        let path = if self.kind == Kind::Cloud { "/search/jql" } else { "/search" };
        let call =
            self.get(path).query([("jql", jql.as_str()), ("maxResults", "1"), ("fields", "key")]);
        let found: Found = call.send().await?.success().await?.json().await?;
        Ok(found.issues.into_iter().next())
    }
}

fn project(project: &Json) -> Option<Item> {
    let text = |name: &str| project[name].as_str();
    let key = text("key").map(|key| format!(" ({key})")).unwrap_or_default();
    Some(Item::new(text("id")?, format!("{}{key}", text("name")?)))
}

fn issue_type(kind: &Json) -> Option<Item> {
    let text = |name: &str| kind[name].as_str();
    (kind["subtask"] != true).then_some(())?;
    Some(Item::new(text("id")?, text("name")?))
}

/// How many there are in all, whichever page this is.
fn total(page: &Json) -> usize {
    page["total"].as_u64().map_or(0, |total| total as usize)
}

/// A text in JQL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text as one segment of a path.
fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// The reply itself if Jira did as it was asked.
///
/// # Errors
/// What Jira says of single fields stands at those of the form.
pub(super) async fn accepted(reply: Reply) -> Result<Reply> {
    if reply.status().as_u16() != 400 {
        return reply.success().await;
    }
    let said = reply.text().await?;
    let json: Json = serde_json::from_str(&said).unwrap_or_default();
    let of_fields = json["errors"].as_object().into_iter().flatten();
    let mut sentences: Vec<String> = json["errorMessages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect();
    let mut at = None;
    for (name, why) in of_fields {
        let why = why.as_str().unwrap_or_default();
        sentences.push(format!("{name}: {why}"));
        let field = match name.as_str() {
            "summary" | "description" | "project" => name.clone(),
            "issuetype" => "issueType".to_owned(),
            _ => "further_fields".to_owned(),
        };
        at.get_or_insert(field);
    }
    let mut words: String = sentences.join(" ").chars().take(500).collect();
    if words.is_empty() {
        words = said.chars().filter(|c| !c.is_control()).take(300).collect();
    }
    if !words.ends_with(['.', '!', '?']) {
        words.push('.');
    }
    let sentence = format!("JIRA refused the issue: {words}");
    Err(match at {
        Some(field) => Error::form(field, sentence).status(400),
        None => Error::vendor(sentence).status(400),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_port_and_path() {
        for (given, want) in [
            ("https://x.atlassian.net", "https://x.atlassian.net/"),
            ("x.atlassian.net/", "https://x.atlassian.net/"),
            ("https://jira.corp:8443/jira/", "https://jira.corp:8443/jira"),
            ("http://jira.local", "http://jira.local/"),
            ("https://x.example/a?b#c", "https://x.example/a"),
        ] {
            assert_eq!(read_address(given).unwrap().as_str(), want);
        }
        for wrong in ["", "ftp://x.example", "https://", "https://user:pass@x.example"] {
            assert!(read_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_goes_out_unencrypted_only_if_the_admin_says_so() {
        let settings = |address: &str, allow_http| crate::jira_create_issue::Settings {
            address: address.into(),
            username: "u".into(),
            password: "p".into(),
            login_with: LoginWith::Basic,
            allow_http,
        };
        let refused = address(&settings("http://jira.local", false)).unwrap_err();
        assert!(refused.message().contains("Allow Unencrypted HTTP"), "{refused}");
        assert!(address(&settings("http://jira.local", true)).is_ok());
        // Without a scheme it is https.
        assert_eq!(address(&settings("jira.local", false)).unwrap().scheme(), "https");
    }

    #[test]
    fn texts_end_nothing_in_jql() {
        assert_eq!(quoted("a\" OR \\ 1=1"), r#""a\" OR \\ 1=1""#);
    }
}
