//! The login as Looker's form shows it: the link, and what stands around it.

use sendoff_protocol as wire;
use sendoff_protocol::FieldType;
use serde::{Deserialize, Serialize};

use super::seal::{Purpose, Seal};
use super::{Button, Connection, Delegate, Desk, LoginBy, OAuth};
use crate::fields::Values;
use crate::spec::Spec;
use crate::{Error, Result};

/// Where the login goes back to, sealed into the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    #[serde(rename = "b")]
    pub(super) back: Back,
    /// The Looker instance that asked.
    #[serde(rename = "i")]
    pub(super) instance: String,
}

/// How Looker gets the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Back {
    /// Version 1: this hub posts them to `state_url`.
    #[serde(rename = "1")]
    Posted(String),
    /// Version 2: the browser takes a sealed code to `state_redir_url`, and Looker has it
    /// exchanged at the token URL.
    #[serde(rename = "2")]
    Fetched(String),
    /// Looker named neither, as when an admin tests the action.
    #[serde(rename = "0")]
    Nowhere,
}

/// What a login link is made from.
pub(crate) struct Asked<'a> {
    pub(crate) spec: &'a Spec,
    /// Where the caller reaches this hub.
    pub(crate) base: &'a str,
    /// The request's `data`.
    pub(crate) data: &'a Values,
    pub(crate) instance: Option<&'a str>,
}

/// The form of somebody who is not logged in: one field, and above it why, if there is more to say
/// than that.
///
/// # Errors
/// The hub's, when the login would go back to a host that is no Looker.
pub(crate) fn login_form(
    desk: &Desk,
    asked: &Asked<'_>,
    why: Option<&str>,
) -> Result<Vec<wire::Field>> {
    let label = asked.spec.label;
    let once = format!("To send to {label}, log in once to your account there.");
    let description = match why {
        Some(why) => format!("{why} {once}"),
        None => once,
    };
    let (name, button, field_label, url) = match asked.spec.login {
        Some(LoginBy::OAuth(oauth)) => {
            let url = link(desk, asked, &oauth)?;
            (oauth.field_name, kind(&oauth), oauth.field_label, url)
        }
        _ => {
            // The page in Looker itself.
            let url = asked.data.get("state_url").filter(|url| !url.trim().is_empty());
            let url = url.ok_or_else(|| {
                Error::looker(format!(
                    "Looker did not say where {label} is connected (state_url is empty). A Looker \
                     admin connects it under Admin > Actions."
                ))
            })?;
            ("login", FieldType::OauthLink, "Log in", url.to_owned())
        }
    };
    Ok(vec![wire::Field {
        name: name.to_owned(),
        label: Some(field_label.to_owned()),
        description: Some(description),
        kind: button,
        oauth_url: Some(url),
        ..wire::Field::default()
    }])
}

/// The field behind the form of somebody who is logged in, where Looker can take another login.
pub(crate) fn switch_account(
    desk: &Desk,
    asked: &Asked<'_>,
    account: Option<&str>,
) -> Option<wire::Field> {
    let Some(LoginBy::OAuth(oauth)) = asked.spec.login else { return None };
    if back(asked, &oauth) == Back::Nowhere {
        return None;
    }
    let url = match link(desk, asked, &oauth) {
        Ok(url) => url,
        Err(error) => {
            tracing::warn!(action = asked.spec.name, %error, "no switch of accounts is offered");
            return None;
        }
    };
    let description = match account {
        Some(account) => format!("Signed in as {account}."),
        None => format!("Signed in to {}.", asked.spec.label),
    };
    Some(wire::Field {
        name: "switch_account".to_owned(),
        label: Some("Switch account".to_owned()),
        description: Some(description),
        kind: kind(&oauth),
        oauth_url: Some(url),
        ..wire::Field::default()
    })
}

fn kind(oauth: &OAuth) -> FieldType {
    match oauth.button {
        Button::Plain => FieldType::OauthLink,
        Button::Google => FieldType::OauthLinkGoogle,
    }
}

fn back(asked: &Asked<'_>, oauth: &OAuth) -> Back {
    let given = |name: &str| asked.data.get(name).filter(|url| !url.trim().is_empty());
    match (given("state_redir_url").filter(|_| oauth.v2), given("state_url")) {
        (Some(url), _) => Back::Fetched(url.to_owned()),
        (None, Some(url)) => Back::Posted(url.to_owned()),
        (None, None) => Back::Nowhere,
    }
}

fn link(desk: &Desk, asked: &Asked<'_>, oauth: &OAuth) -> Result<String> {
    let back = back(asked, oauth);
    if let Back::Posted(url) | Back::Fetched(url) = &back {
        desk.hosts.check(url)?;
    }
    let name = asked.spec.name;
    let link = Link { back, instance: asked.instance.unwrap_or_default().to_owned() };
    let json = serde_json::to_vec(&link)
        .map_err(|fault| Error::hub("A login link could not be written.").cause(fault))?;
    let seal = Seal { purpose: Purpose::Link, action: name, instance: "" };
    let sealed = desk.ring.seal(seal, &json)?;
    Ok(format!("{}/actions/{name}/oauth?state={sealed}", asked.base))
}

/// Whether this is Looker's test of the connection. Protocol fact B.
pub(crate) fn is_test(data: &Values) -> bool {
    data.get("test").is_some_and(|text| !matches!(text.trim(), "" | "false" | "0" | "null"))
}

/// The answer to the test of a delegated login, in the reference hub's exact shape.
pub(crate) fn connected(
    delegate: &Delegate,
    version: Option<wire::LookerVersion>,
    connections: &[Connection],
) -> wire::Form {
    if connections.is_empty() {
        return wire::Form::Error { error: delegate.nothing_connected.to_owned() };
    }
    let several = version.is_some_and(|version| version >= wire::LookerVersion::new(7, 3, 0));
    let fields = connections.iter().map(|Connection { id, name }| wire::Field {
        name: "Connected".to_owned(),
        kind: FieldType::Message,
        value: Some(if several {
            serde_json::json!({"installation_id": id, "installation_name": name}).to_string()
        } else {
            format!("Connected with {name} ({id})")
        }),
        ..wire::Field::default()
    });
    wire::Form::Object { fields: fields.collect() }
}
