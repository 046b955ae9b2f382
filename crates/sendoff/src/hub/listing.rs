//! The list of actions, and one of them.

use std::sync::Mutex;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use sendoff_protocol as wire;
use sendoff_protocol::LookerVersion;

use super::Inner;
use super::answer::{Answer, JSON, json, to_json, typed};
use super::auth::Grant;
use crate::action::AnyAction;
use crate::login::LoginBy;
use crate::spec::{Download, Icon, Spec};

/// List answers as they were last written. They hold every icon, and Looker asks often.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Vec<(Key, Bytes)>>);

/// What a list answer depends on: the base URL, and which actions are shown.
type Key = (String, Vec<bool>);

/// More than a hub has addresses and its Lookers have versions; the base URL may come from a
/// header, so there must be a bound.
const KEPT: usize = 16;

impl Written {
    fn get_or(&self, key: Key, write: impl FnOnce() -> Bytes) -> Bytes {
        let lock = || self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some((_, bytes)) = lock().iter().find(|(known, _)| *known == key) {
            return bytes.clone();
        }
        let bytes = write();
        let mut kept = lock();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((key, bytes.clone()));
        bytes
    }
}

/// Every action that the caller may use and its Looker is new enough for.
pub(super) fn all(hub: &Inner, parts: &Parts, grant: &Grant) -> Response<Answer> {
    let base = base_url(hub, parts);
    let version = looker_version(&parts.headers);
    let shown = hub.actions.iter().map(|action| {
        let spec = action.spec();
        // Without a version there is nothing to filter by. Protocol fact B.
        grant.allows(spec.name) && version.is_none_or(|version| version >= spec.minimum_looker)
    });
    let shown: Vec<bool> = shown.collect();
    let bytes = hub.written.get_or((base.clone(), shown.clone()), || {
        let shown = hub.actions.iter().zip(&shown).filter(|(_, shown)| **shown);
        to_json(&wire::Listing {
            label: Some(hub.label.clone()),
            integrations: shown
                .map(|(action, _)| definition(hub, action.as_ref(), &base))
                .collect(),
        })
    });
    typed(StatusCode::OK, JSON, bytes)
}

/// One action's definition.
pub(super) fn one(hub: &Inner, action: usize, parts: &Parts) -> Response<Answer> {
    json(StatusCode::OK, &definition(hub, hub.actions[action].as_ref(), &base_url(hub, parts)))
}

pub(super) fn looker_version(headers: &HeaderMap) -> Option<LookerVersion> {
    LookerVersion::from_user_agent(headers.get(USER_AGENT)?.to_str().ok()?)
}

/// Where the caller reaches this hub.
pub(super) fn base_url(hub: &Inner, parts: &Parts) -> String {
    if let Some(url) = &hub.base_url {
        return url.clone();
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let first = |name: &str| header(name).and_then(|list| list.split(',').next()).map(str::trim);
    let scheme = first("x-forwarded-proto").unwrap_or("http");
    let host = first("x-forwarded-host")
        .or_else(|| header(HOST.as_str()))
        .or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
        .unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// An action as Looker lists it.
fn definition(hub: &Inner, action: &dyn AnyAction, base: &str) -> wire::Definition {
    let spec = action.spec();
    let logs_in = hub.desk.can_log_in(&spec);
    let mut params = action.params();
    // What could stand in for logins must, where there are none.
    for param in params.iter_mut().filter(|param| spec.or_setting == Some(&*param.name)) {
        param.required |= !logs_in;
    }
    wire::Definition {
        name: spec.name.to_owned(),
        label: spec.label.to_owned(),
        description: (!spec.description.is_empty()).then(|| spec.description.to_owned()),
        url: format!("{base}/actions/{}/execute", spec.name),
        form_url: Some(format!("{base}/actions/{}/form", spec.name)),
        token_url: match spec.login {
            Some(LoginBy::OAuth(oauth)) if oauth.v2 && logs_in => {
                format!("{base}/actions/{}/oauth_token", spec.name)
            }
            _ => String::new(),
        },
        icon_data_uri: spec.icon.map(data_uri),
        params,
        required_fields: required_fields(&spec),
        supported_action_types: spec.accepts.to_vec(),
        supported_formats: spec.formats.map(<[_]>::to_vec),
        supported_formattings: spec.formatting.map(|formatting| vec![formatting]),
        supported_visualization_formattings: spec.visualization.map(|applied| vec![applied]),
        supported_download_settings: vec![match spec.download {
            Download::Push => wire::DownloadSetting::Push,
            Download::Url => wire::DownloadSetting::Url,
        }],
        uses_oauth: spec.login.is_some() && logs_in,
        delegate_oauth: matches!(spec.login, Some(LoginBy::Delegate(_))),
        privacy_link: None,
    }
}

fn required_fields(spec: &Spec) -> Vec<wire::RequiredField> {
    let fields = spec.required_tags.iter();
    fields
        .map(|any| match any {
            [tag] => wire::RequiredField { tag: Some((*tag).to_owned()), ..Default::default() },
            tags => wire::RequiredField {
                any_tag: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
                ..Default::default()
            },
        })
        .collect()
}

fn data_uri(icon: Icon) -> String {
    let encoded = base64_simd::STANDARD.encode_to_string(icon.bytes);
    format!("data:{};base64,{encoded}", icon.media_type)
}
