//! What came of a request, as Looker reads it: the one place where an error becomes JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use sendoff_protocol as wire;

use crate::fields::Problems;
use crate::redact::Redactor;
use crate::{Arrival, Class, Error, Receipt, Retry, text};

/// The answer to a delivery.
pub(super) fn of_delivery(
    result: &Result<Receipt, Error>,
    webhook_id: Option<&str>,
    redact: &Redactor,
) -> wire::Executed {
    let mut outcome = match result {
        Ok(receipt) => wire::Outcome {
            message: Some(redact.clean(&receipt.sentence()).into_owned()),
            refresh_query: receipt.wants_refresh(),
            ..wire::Outcome::default()
        },
        Err(error) => failed(error, redact),
    };
    outcome.webhook_id = webhook_id.map(str::to_owned);
    wire::Executed { looker: outcome }
}

/// The answer to a delivery whose form has problems.
pub(super) fn of_form_problems(problems: &Problems, webhook_id: Option<&str>) -> wire::Executed {
    let list = problems.list();
    // The history of schedules shows the sentence alone, so it names the field.
    let sentences: Vec<_> = list
        .iter()
        .map(|problem| match problem.message.starts_with(&problem.label) {
            true => problem.message.clone(),
            false => format!("{}: {}", problem.label, problem.message),
        })
        .collect();
    let mut outcome = failed(&Error::form("", sentences.join(" ")), &Redactor::default());
    outcome.validation_errors =
        list.iter().map(|p| (p.field.to_owned(), p.message.clone())).collect();
    outcome.webhook_id = webhook_id.map(str::to_owned);
    wire::Executed { looker: outcome }
}

/// The sentence for an admin whose settings have problems. The first half is the reference hub's
/// own wording, which admins' runbooks quote.
pub(super) fn settings_sentence(problems: &Problems) -> String {
    let sentences: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| {
            if problem.message.ends_with("is required.") {
                format!("Required setting \"{}\" not specified in action settings.", problem.label)
            } else {
                format!("Setting \"{}\": {}", problem.label, problem.message)
            }
        })
        .collect();
    format!("{} A Looker admin can change it under Admin > Actions.", sentences.join(" "))
}

fn failed(error: &Error, redact: &Redactor) -> wire::Outcome {
    let message = redact.clean(&sentence(error)).into_owned();
    let (http_code, status_code) = status(error);
    let mut validation_errors = BTreeMap::new();
    if let (Class::Form, Some(field)) = (error.class(), error.field_name())
        && !field.is_empty()
    {
        validation_errors.insert(field.to_owned(), redact.clean(error.message()).into_owned());
    }
    wire::Outcome {
        success: false,
        message: Some(message.clone()),
        validation_errors,
        error: Some(wire::ErrorDetail {
            http_code,
            status_code: status_code.to_owned(),
            message,
            location: "ActionContainer".to_owned(),
            documentation_url: DOCUMENTATION.to_owned(),
        }),
        ..wire::Outcome::default()
    }
}

/// Where each kind of failure is explained.
const DOCUMENTATION: &str = "https://github.com/sendoff/sendoff/blob/main/docs/failures.md";

/// The message, with what may stand at the destination and when to try again.
pub(super) fn sentence(error: &Error) -> String {
    let mut text = error.message().to_owned();
    match error.arrival() {
        Arrival::Maybe if !text.contains("may have arrived") => {
            text.push_str(
                " The data may have arrived: look at the destination before you send again.",
            );
        }
        Arrival::Rows(rows) if rows > 0 && !text.contains("cannot be taken back") => {
            let word = if rows == 1 { "row was" } else { "rows were" };
            text.push_str(&format!(
                " {} {word} accepted before that and cannot be taken back.",
                text::count(rows)
            ));
        }
        _ => {}
    }
    if let Retry::After(wait) = error.retry() {
        text.push_str(&try_again(wait));
    }
    text
}

/// A destination that names a time further away than this names no time.
const FURTHEST: Duration = Duration::from_secs(30 * 86_400);

fn try_again(wait: Duration) -> String {
    if wait > FURTHEST {
        return " It asks to be left alone for more than 30 days: look into the account there."
            .to_owned();
    }
    format!(" Try again in {}.", text::duration(wait))
}

/// The HTTP code and the name of Google's RPC code that fit the failure.
fn status(error: &Error) -> (u16, &'static str) {
    if error.arrival() == Arrival::Maybe {
        return (500, "UNKNOWN");
    }
    match error.class() {
        Class::Settings => match error.http_status() {
            Some(401) => (401, "UNAUTHENTICATED"),
            Some(403) => (403, "PERMISSION_DENIED"),
            _ => (400, "FAILED_PRECONDITION"),
        },
        Class::Form => match error.http_status() {
            Some(404) => (404, "NOT_FOUND"),
            Some(409 | 412) => (409, "ALREADY_EXISTS"),
            _ => (400, "INVALID_ARGUMENT"),
        },
        Class::Login => match error.http_status() {
            Some(403) => (403, "PERMISSION_DENIED"),
            _ => (401, "UNAUTHENTICATED"),
        },
        Class::Looker => (400, "DATA_LOSS"),
        Class::Hub => match error.http_status() {
            Some(413) => (413, "RESOURCE_EXHAUSTED"),
            _ if error.retry() == Retry::No => (500, "INTERNAL"),
            _ => (503, "UNAVAILABLE"),
        },
        Class::Vendor => match error.http_status() {
            Some(401) => (401, "UNAUTHENTICATED"),
            // Google says "too fast" so, too.
            Some(403) if error.retry() != Retry::No => (429, "RESOURCE_EXHAUSTED"),
            Some(403) => (403, "PERMISSION_DENIED"),
            Some(404) => (404, "NOT_FOUND"),
            Some(408) => (408, "DEADLINE_EXCEEDED"),
            Some(409 | 412) => (409, "ALREADY_EXISTS"),
            Some(413) => (413, "OUT_OF_RANGE"),
            Some(429) => (429, "RESOURCE_EXHAUSTED"),
            Some(code @ 400..=499) => (code, "INVALID_ARGUMENT"),
            _ => (502, "UNAVAILABLE"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_outcomes_read_differently() {
        let redact = Redactor::default();
        let done = of_delivery(&Ok(Receipt::new("x").bytes(3)), Some("0f"), &redact);
        assert!(done.looker.success);
        assert_eq!(done.looker.webhook_id.as_deref(), Some("0f"));

        let refused = of_delivery(&Err(Error::vendor("X said no.").status(403)), None, &redact);
        let error = refused.looker.error.unwrap();
        assert!(!refused.looker.success);
        assert_eq!((error.http_code, error.status_code.as_str()), (403, "PERMISSION_DENIED"));

        let fast = Error::vendor("X said: too fast.").status(403).retry_later();
        let error = of_delivery(&Err(fast), None, &redact).looker.error.unwrap();
        assert_eq!((error.http_code, error.status_code.as_str()), (429, "RESOURCE_EXHAUSTED"));

        let lost =
            of_delivery(&Err(Error::vendor("X fell silent.").may_have_arrived()), None, &redact);
        assert_eq!(lost.looker.error.unwrap().status_code, "UNKNOWN");
        assert!(lost.looker.message.unwrap().contains("may have arrived"));
    }

    #[test]
    fn the_code_tells_who_acts_by_class_and_status() {
        type Make = fn(&'static str) -> Error;
        let form: Make = |text| Error::form("path", text);
        let (settings, login): (Make, Make) = (Error::settings, Error::login);
        let (vendor, looker, hub): (Make, Make, Make) = (Error::vendor, Error::looker, Error::hub);
        for (make, status, code, name) in [
            (settings, None, 400, "FAILED_PRECONDITION"),
            (settings, Some(401), 401, "UNAUTHENTICATED"),
            (settings, Some(403), 403, "PERMISSION_DENIED"),
            (settings, Some(404), 400, "FAILED_PRECONDITION"),
            (form, None, 400, "INVALID_ARGUMENT"),
            (form, Some(400), 400, "INVALID_ARGUMENT"),
            (form, Some(404), 404, "NOT_FOUND"),
            (form, Some(409), 409, "ALREADY_EXISTS"),
            (form, Some(412), 409, "ALREADY_EXISTS"),
            (login, None, 401, "UNAUTHENTICATED"),
            (login, Some(403), 403, "PERMISSION_DENIED"),
            (looker, None, 400, "DATA_LOSS"),
            (looker, Some(500), 400, "DATA_LOSS"),
            (hub, None, 500, "INTERNAL"),
            (hub, Some(413), 413, "RESOURCE_EXHAUSTED"),
            (vendor, None, 502, "UNAVAILABLE"),
            (vendor, Some(400), 400, "INVALID_ARGUMENT"),
            (vendor, Some(401), 401, "UNAUTHENTICATED"),
            (vendor, Some(403), 403, "PERMISSION_DENIED"),
            (vendor, Some(404), 404, "NOT_FOUND"),
            (vendor, Some(408), 408, "DEADLINE_EXCEEDED"),
            (vendor, Some(409), 409, "ALREADY_EXISTS"),
            (vendor, Some(412), 409, "ALREADY_EXISTS"),
            (vendor, Some(413), 413, "OUT_OF_RANGE"),
            (vendor, Some(422), 422, "INVALID_ARGUMENT"),
            (vendor, Some(429), 429, "RESOURCE_EXHAUSTED"),
            (vendor, Some(500), 502, "UNAVAILABLE"),
            (vendor, Some(503), 502, "UNAVAILABLE"),
        ] {
            let error = || match status {
                Some(status) => make("No.").status(status),
                None => make("No."),
            };
            let class = error().class();
            assert_eq!(super::status(&error()), (code, name), "{class:?} {status:?}");
            // What may have arrived is said before all else.
            let lost = error().may_have_arrived();
            assert_eq!(super::status(&lost), (500, "UNKNOWN"), "{class:?} {status:?}");
        }
        assert_eq!(super::status(&Error::hub("Busy.").retry_later()), (503, "UNAVAILABLE"));
    }

    #[test]
    fn a_wrong_answer_stands_at_its_field_and_a_wait_is_named() {
        let error = Error::form("bucket", "No such bucket.").retry_after(Duration::from_secs(90));
        let answer = of_delivery(&Err(error), None, &Redactor::default()).looker;
        assert_eq!(answer.validation_errors["bucket"], "No such bucket.");
        assert_eq!(answer.message.unwrap(), "No such bucket. Try again in 1 min 30 s.");
    }

    #[test]
    fn a_time_that_nobody_can_wait_for_is_not_told_in_hours() {
        let says = |seconds| {
            sentence(&Error::vendor("X is busy.").retry_after(Duration::from_secs(seconds)))
        };
        assert_eq!(says(86_399), "X is busy. Try again in 23 h 59 min.");
        assert_eq!(says(3 * 86_400), "X is busy. Try again in 3 days.");
        for far in [2_300_605_080, u64::MAX] {
            assert!(says(far).ends_with("for more than 30 days: look into the account there."));
        }
    }

    #[test]
    fn what_cannot_be_taken_back_is_said_once() {
        let error = Error::vendor("3 of 7 rows accepted. What was accepted cannot be taken back.");
        assert_eq!(sentence(&error.rows_accepted(3)).matches("taken back").count(), 1);
        let said = sentence(&Error::vendor("X is down.").rows_accepted(3));
        assert_eq!(said, "X is down. 3 rows were accepted before that and cannot be taken back.");
    }
}
