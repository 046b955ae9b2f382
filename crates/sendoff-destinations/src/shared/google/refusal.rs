//! One reading of Google's refusals: who must act, what to do, whether it may pass.
//!
//! The shapes are those of
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>,
//! <https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes> and, for the token
//! endpoint, RFC 6749 section 5.2, as they were on 25 November 2026.

use sendoff::{Class, Error};
use serde::Deserialize;

use super::Vendor;
use crate::shared::object_store::reworded;

/// What Google said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Body {
    error: Shape,
    #[serde(default)]
    error_description: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    /// Of the APIs.
    Object(Detail),
    /// Of the token endpoint.
    Code(String),
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Vec<One>,
    #[serde(default)]
    details: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    reason: String,
}

impl Said {
    pub(super) fn read(words: &str) -> Option<Self> {
        let body: Body = serde_json::from_str(words).ok()?;
        Some(match body.error {
            Shape::Code(reason) => Self { reason, message: body.error_description },
            Shape::Object(detail) => {
                let reasons = detail.errors.iter().chain(&detail.details);
                let reason = reasons.map(|one| &one.reason).find(|reason| !reason.is_empty());
                let reason = reason.unwrap_or(&detail.status).clone();
                Self { reason, message: detail.message }
            }
        })
    }
}

/// Who must act, at which field, and what to do.
struct Verdict {
    class: Class,
    field: &'static str,
    advice: String,
    passes: bool,
    /// A quota is used up for longer than anybody waits.
    spent: bool,
}

/// The error for a refusal that reads `words`; `login` says that a user's own rights were used.
pub(super) fn of(vendor: &Vendor, login: bool, error: Error, words: &str) -> Error {
    let Some(said) = Said::read(words) else { return error };
    let status = error.http_status().unwrap_or(0);
    if status == 401 && login && error.class() == Class::Vendor {
        // The door says itself what became of the login.
        return error;
    }
    let verdict = verdict(vendor, login, status, &said.reason);
    // Google's own words may be long; what to do comes at their end.
    let mut message: String = said.message.trim().trim_end_matches('.').chars().take(400).collect();
    if !message.is_empty() {
        message.insert_str(0, ": ");
    }
    let code = [status.to_string(), said.reason];
    let code = code.join(" ");
    let mut text = format!("{} refused ({}){message}.", vendor.name, code.trim());
    if !verdict.advice.is_empty() {
        text = format!("{text} {}", verdict.advice);
    }
    let error = reworded(error, verdict.class, text);
    // The right is there; what it may be used for today is not.
    let error = if verdict.spent { error.status(429) } else { error };
    let error = if verdict.passes { error.retry_later() } else { error };
    if verdict.field.is_empty() { error } else { error.field(verdict.field) }
}

fn verdict(vendor: &Vendor, login: bool, status: u16, reason: &str) -> Verdict {
    let Vendor { place, place_is, .. } = *vendor;
    let plain = |class, field, advice: &str| Verdict {
        class,
        field,
        advice: advice.to_owned(),
        passes: false,
        spent: false,
    };
    match (status, reason) {
        (403, "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED") => {
            Verdict { passes: true, ..plain(Class::Vendor, "", "Try again later.") }
        }
        (403, "dailyLimitExceeded" | "quotaExceeded") => {
            let advice = "The quota of the project is used up: try again tomorrow.";
            Verdict { spent: true, ..plain(Class::Vendor, "", advice) }
        }
        (403, "storageQuotaExceeded" | "teamDriveFileLimitExceeded")
        | (403, "numChildrenInNonRootLimitExceeded") => plain(
            Class::Form,
            place,
            &format!("There is no room left: tidy up, or choose another {place_is}."),
        ),
        (403, "accessNotConfigured" | "SERVICE_DISABLED") => {
            plain(Class::Settings, "", "Enable the API in the project of Google Cloud.")
        }
        (403, "domainPolicy") => {
            plain(Class::Settings, "", "Ask the administrator of Google Workspace to allow it.")
        }
        (401, _) if login => plain(Class::Login, "", "Please log in again."),
        (403, "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT") if login => {
            plain(Class::Login, "", "Please log in again and grant every right that is asked for.")
        }
        (401, _) => plain(Class::Settings, "", "Check the service account and its key."),
        (403, "insufficientFilePermissions" | "insufficientParentPermissions") => plain(
            Class::Form,
            place,
            &format!("Choose another {place_is}, or ask its owner for the right to write there."),
        ),
        (403, _) if login => plain(
            Class::Vendor,
            "",
            &format!("Choose another {place_is}, or ask its owner for the right to do this."),
        ),
        (403, _) => plain(
            Class::Settings,
            "",
            &format!("Give the service account the right to do this on the {place_is}."),
        ),
        (404, _) => plain(Class::Form, place, &format!("Choose another {place_is}.")),
        (412, _) => plain(
            Class::Form,
            "filename",
            "A file of this name already stands there. Choose another name, or another answer to \
             what happens if the file exists.",
        ),
        (400, "userProjectMissing") => {
            plain(Class::Form, "user_project", "Name the project that pays for the requests.")
        }
        _ => plain(Class::Vendor, "", ""),
    }
}

#[cfg(test)]
mod tests {
    use sendoff::Retry;

    use super::*;

    const DRIVE: Vendor = Vendor {
        name: "Google Drive",
        place: "folderid",
        place_is: "folder",
        upload_host: "www.googleapis.com",
    };

    fn read(status: u16, login: bool, words: &str) -> Error {
        let error = match (status, login) {
            (401 | 403, true) => Error::login("log in"),
            (401 | 403, false) => Error::settings("check"),
            (429 | 500.., _) => Error::vendor("later").retry_later(),
            _ => Error::vendor("no"),
        };
        of(&DRIVE, login, error.status(status), words)
    }

    fn api(status: u16, reason: &str, message: &str) -> String {
        serde_json::json!({"error": {"errors": [{"domain": "global", "reason": reason,
            "message": message}], "code": status, "message": message}})
        .to_string()
    }

    #[test]
    fn too_fast_passes_even_behind_a_long_text_and_a_used_up_quota_does_not() {
        let long = "User Rate Limit Exceeded. ".repeat(30);
        let error = read(403, true, &api(403, "userRateLimitExceeded", &long));
        assert_eq!((error.class(), error.retry()), (Class::Vendor, Retry::Later));
        assert!(error.message().ends_with(". Try again later."), "{error}");
        let error = read(403, true, &api(403, "dailyLimitExceeded", "Daily Limit Exceeded"));
        assert_eq!((error.class(), error.retry()), (Class::Vendor, Retry::No));
        assert_eq!(error.http_status(), Some(429), "no permission is missing");
    }

    #[test]
    fn each_refusal_is_for_the_one_who_can_mend_it() {
        for (status, reason, login, class, field, advice) in [
            (401, "authError", true, Class::Login, None, "log in again"),
            (401, "authError", false, Class::Settings, None, "its key"),
            (403, "insufficientPermissions", true, Class::Login, None, "grant"),
            (403, "accessNotConfigured", true, Class::Settings, None, "Enable the API"),
            (403, "storageQuotaExceeded", true, Class::Form, Some("folderid"), "no room"),
            (403, "insufficientFilePermissions", true, Class::Form, Some("folderid"), "owner"),
            (403, "forbidden", false, Class::Settings, None, "service account"),
            (404, "notFound", true, Class::Form, Some("folderid"), "another folder"),
            (412, "conditionNotMet", false, Class::Form, Some("filename"), "already"),
            (503, "backendError", true, Class::Vendor, None, ""),
        ] {
            let error = read(status, login, &api(status, reason, "Google's own words."));
            assert_eq!((error.class(), error.field_name()), (class, field), "{status} {reason}");
            let text = error.message();
            assert!(text.contains(advice) && text.contains("Google's own words"), "{text}");
            assert!(text.contains(&format!("({status} {reason})")), "{text}");
        }
        assert_eq!(read(503, false, &api(503, "backendError", "x")).retry(), Retry::Later);
    }

    #[test]
    fn every_shape_of_google_is_read_and_other_words_stay_as_they_came() {
        let said = |reason: &str, message: &str| {
            Some(Said { reason: reason.to_owned(), message: message.to_owned() })
        };
        let old = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(Said::read(old), said("invalid_grant", "Invalid JWT Signature."));
        let new = r#"{"error":{"code":403,"message":"No.","status":"PERMISSION_DENIED","details":
            [{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED"}]}}"#;
        assert_eq!(Said::read(new), said("SERVICE_DISABLED", "No."));
        let bare = r#"{"error":{"code":404,"message":"No.","status":"NOT_FOUND"}}"#;
        assert_eq!(Said::read(bare), said("NOT_FOUND", "No."));
        assert_eq!(Said::read("Not Found"), None);
        assert_eq!(read(404, false, "Not Found").message(), "no");
    }
}
