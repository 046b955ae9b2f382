//! A stand-in for HubSpot's CRM objects, written from
//! <https://developers.hubspot.com/docs/api-reference/2026-03/crm/objects/contacts/batch/update-contacts>
//! and <https://developers.hubspot.com/docs/api-reference/2026-03/crm/properties/get-properties> as
//! they were on 25 November 2026: it refuses a whole request for one unknown property, one id that
//! comes twice, or one record too many, and an upsert whose records name no unique property.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{ByteStream, Values};
use serde_json::{Value, json};

use crate::shared::in_order;

const TOKEN: &str = "pat-na1-canary-6f0d2c81-hubspot";

/// One account.
pub(crate) struct FakeHubspot {
    path: &'static str,
    shape: RowShape,
    ledger: RowLedger,
}

/// In front of a row's number, so that an id has no leading zero.
const AHEAD: u64 = 70_000_000_000;

const PROPERTIES: [(&str, &str, bool); 6] = [
    ("crm_city", "string", false),
    ("email", "string", false),
    ("lifetime_value", "number", false),
    ("birthday", "date", false),
    ("lifecyclestage", "enumeration", false),
    ("createdate", "datetime", true),
];

impl FakeHubspot {
    pub(crate) fn new(path: &'static str, tag: &'static str) -> Self {
        let fields = match tag {
            "hubspot_contact_id" => {
                r#"{"dimensions":[{"name":"crm.id","label":"CRM ID","type":"string","tags":["hubspot_contact_id"]},{"name":"crm.city","label":"CRM City","type":"string","tags":[]},{"name":"crm.birthday","label":"CRM Birthday","type":"date_date","tags":[]}],"measures":[{"name":"orders.ltv","label":"Orders LTV","type":"sum","tags":["hubspot:lifetime_value"]}]}"#
            }
            _ => {
                r#"{"dimensions":[{"name":"crm.id","label":"CRM ID","type":"string","tags":["hubspot_company_id"]},{"name":"crm.city","label":"CRM City","type":"string","tags":[]},{"name":"crm.birthday","label":"CRM Birthday","type":"date_date","tags":[]}],"measures":[{"name":"orders.ltv","label":"Orders LTV","type":"sum","tags":["hubspot:lifetime_value"]}]}"#
            }
        };
        let shape = RowShape {
            fields,
            before: r#"{"crm.id":{"value":"7"#,
            after: r#""},"crm.city":{"value":"Graz"},"crm.birthday":{"value":"1990-02-28"},"orders.ltv":{"value":9007199254740993}}"#,
        };
        Self { path, shape, ledger: RowLedger::default() }
    }

    async fn answer(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refusal(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.");
        }
        let Some((text, _)) = in_order::text(body).await else {
            return refusal(400, "VALIDATION_ERROR", "Invalid input JSON.");
        };
        let path: Vec<_> = head.uri.path().trim_matches('/').split('/').collect();
        match (&head.method, &path[..]) {
            (&Method::GET, ["crm", "properties", "2026-03", objects]) if *objects == self.path => {
                let list = PROPERTIES.map(|(name, kind, read_only)| {
                    let options = match kind {
                        "enumeration" => json!([{"value": "customer", "label": "Customer"}]),
                        _ => json!([]),
                    };
                    json!({"name": name, "label": name, "type": kind, "fieldType": "select",
                           "options": options, "hasUniqueValue": false,
                           "modificationMetadata": {"readOnlyValue": read_only}})
                });
                answer(200, &json!({"results": list}))
            }
            (
                &Method::POST,
                ["crm", "objects", "2026-03", objects, "batch", verb @ ("update" | "upsert")],
            ) if *objects == self.path
                && header("content-type").is_some_and(|kind| kind == "application/json") =>
            {
                self.take(serde_json::from_str(&text).unwrap_or_default(), *verb == "upsert")
            }
            _ => refusal(404, "OBJECT_NOT_FOUND", "resource not found"),
        }
    }

    fn take(&self, body: Value, upsert: bool) -> Response<Bytes> {
        let invalid = |message: &str| refusal(400, "VALIDATION_ERROR", message);
        let Some(inputs) = body["inputs"].as_array().filter(|inputs| !inputs.is_empty()) else {
            return invalid("Some required fields were not set: [inputs]");
        };
        if inputs.len() > 100 {
            return invalid("The number of inputs exceeds the limit of 100");
        }
        let mut ids = HashSet::new();
        for input in inputs {
            let Some(id) = input["id"].as_str() else { return invalid("id must be a string") };
            if !ids.insert(id) {
                return invalid("Duplicate IDs found in batch input");
            }
            match input["idProperty"].as_str() {
                None if upsert => return invalid("idProperty is required for upsert"),
                None | Some("email") => {}
                Some(name) => return invalid(&format!("Property {name} is not unique")),
            }
            let Some(properties) = input["properties"].as_object() else {
                return invalid("Some required fields were not set: [properties]");
            };
            for (name, value) in properties {
                let known = PROPERTIES.iter().find(|(known, ..)| known == name);
                match known {
                    None => return invalid(&format!("Property \"{name}\" does not exist")),
                    Some((.., true)) => {
                        return invalid(&format!("\"{name}\" is a read only property"));
                    }
                    Some((_, "enumeration", _))
                        if !matches!(value.as_str(), Some("" | "customer")) =>
                    {
                        return invalid(&format!("{value} was not one of the allowed options"));
                    }
                    Some((_, "date", _)) if value.as_str() != Some("636163200000") => {
                        return invalid(&format!("{value} is not a valid date in UTC"));
                    }
                    Some(_) if !value.is_string() => {
                        return invalid(&format!("{value} is not a string"));
                    }
                    Some(_) => {}
                }
            }
        }
        self.ledger.batch(inputs.len());
        for input in inputs {
            let id: Option<u64> = input["id"].as_str().and_then(|id| id.parse().ok());
            match id.and_then(|id| id.checked_sub(AHEAD)) {
                // An update of the same values is the same record as before.
                Some(row) => self.ledger.take_keyed(row, &input["properties"].to_string()),
                None => self.ledger.stranger(),
            }
        }
        let result = |input: &Value| json!({"id": input["id"], "objectWriteTraceId": input["objectWriteTraceId"]});
        let results: Vec<_> = inputs.iter().map(result).collect();
        answer(200, &json!({"status": "COMPLETE", "results": results}))
    }
}

impl Fake for FakeHubspot {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.hubapi.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [("hubspot_access_token", TOKEN)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        Values::default()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        Some(TakesRows::new(self.shape, &self.ledger).at_most(6_000))
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (category, message) = match status {
            401 => ("INVALID_AUTHENTICATION", "Authentication credentials not found."),
            403 => ("MISSING_SCOPES", "This app hasn't been granted all required scopes."),
            404 => ("OBJECT_NOT_FOUND", "resource not found"),
            429 => ("RATE_LIMITS", "You have reached your ten_secondly_rolling limit."),
            500.. => ("INTERNAL_ERROR", "internal error"),
            _ => ("VALIDATION_ERROR", "Invalid input JSON."),
        };
        ("application/json", words(category, message).to_string())
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        *method == Method::POST
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        // Still at work, and a batch of which nothing came.
        let texts =
            [r#"{"status":"PROCESSING","results":[]}"#, r#"{"status":"CANCELED","results":[]}"#];
        texts.map(|text| ("application/json", text.to_owned())).into()
    }
}

fn words(category: &str, message: &str) -> Value {
    json!({"status": "error", "message": message, "category": category, "correlationId": "0"})
}

fn refusal(status: u16, category: &str, message: &str) -> Response<Bytes> {
    answer(status, &words(category, message))
}

fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
