//! A stand-in for Airtable, written from <https://airtable.com/developers/web/api/create-records>,
//! <https://airtable.com/developers/web/api/update-multiple-records> and
//! <https://airtable.com/developers/web/api/get-base-schema> as they were on 25 November 2026: ten
//! records a request at most, unknown fields and texts for numbers refuse the request whole.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object, Provider, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value, json};

use super::{Airtable, LOGIN};
use crate::shared::in_order;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let fake = FakeAirtable { provider: Provider::new(LOGIN), ledger: RowLedger::default() };
    (Box::new(Airtable), Arc::new(fake))
}

/// One base with one table.
pub(crate) struct FakeAirtable {
    provider: Provider,
    ledger: RowLedger,
}

const BASE: &str = "appCANARY00000001";
const TABLE: &str = "tblORDERS0000001";

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"orders.id","label":"Orders ID","label_short":"ID","type":"string","tags":[]},{"name":"orders.city","label":"Orders City","label_short":"City","type":"string","tags":[]}],"measures":[{"name":"orders.total","label":"Orders Total","label_short":"Total","type":"sum","tags":["airtable:Order Total"]}]}"#,
    before: r#"{"orders.id":{"value":"O"#,
    after: r#""},"orders.city":{"value":null},"orders.total":{"value":12.5}}"#,
};

impl FakeAirtable {
    async fn answer(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        if !self.provider.knows(&head.headers) {
            return refusal(401, "AUTHENTICATION_REQUIRED", "Authentication required");
        }
        let Some((text, _)) = in_order::text(body).await else {
            return refusal(400, "INVALID_REQUEST_BODY", "Could not parse request body");
        };
        let path: Vec<_> = head.uri.path().trim_matches('/').split('/').collect();
        match (&head.method, &path[..]) {
            (&Method::GET, ["v0", "meta", "whoami"]) => {
                // With the scope user.email:read there would be an address too
                // (<https://airtable.com/developers/web/api/get-user-id-scopes>).
                answer(200, &json!({"id": "usrCANARY00000001", "scopes": LOGIN.scopes}))
            }
            (&Method::GET, ["v0", "meta", "bases"]) => {
                // Two pages, so that paging is tried.
                let query = head.uri.query().unwrap_or_default();
                if query.contains("offset=") {
                    answer(200, &json!({"bases": [{"id": "appOTHER", "name": "Other"}]}))
                } else {
                    let bases = json!([{"id": BASE, "name": "Sales", "permissionLevel": "create"}]);
                    answer(200, &json!({"bases": bases, "offset": "itrNEXT"}))
                }
            }
            (&Method::GET, ["v0", "meta", "bases", BASE, "tables"]) => {
                let field =
                    |name: &str, kind: &str| json!({"id": "fld", "name": name, "type": kind});
                let fields = [
                    field("ID", "singleLineText"),
                    field("City", "singleLineText"),
                    field("Order Total", "number"),
                    field("Added", "createdTime"),
                ];
                let table = json!({"id": TABLE, "name": "Orders", "fields": fields});
                answer(200, &json!({"tables": [table]}))
            }
            (&Method::POST | &Method::PATCH, ["v0", BASE, TABLE | "Orders"]) => {
                let body: Value = serde_json::from_str(&text).unwrap_or_default();
                self.take(head.method == Method::PATCH, &body)
            }
            _ => refusal(
                403,
                "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
                "Invalid permissions, or the requested model was not found.",
            ),
        }
    }

    fn take(&self, merges: bool, body: &Value) -> Response<Bytes> {
        let invalid = |kind: &str, message: &str| refusal(422, kind, message);
        let records = body["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        if records.is_empty() || records.len() > 10 {
            let text = "You must provide an array of up to 10 record objects.";
            return invalid("INVALID_RECORDS", text);
        }
        if merges && body["performUpsert"]["fieldsToMergeOn"][0] != "ID" {
            return invalid(
                "INVALID_REQUEST_UNKNOWN",
                "Invalid request: parameter validation failed",
            );
        }
        for record in records {
            for (name, value) in record["fields"].as_object().into_iter().flatten() {
                match (name.as_str(), value) {
                    ("ID" | "City", Value::String(_) | Value::Null) => {}
                    ("Order Total", Value::Number(_) | Value::Null) => {}
                    ("ID" | "City" | "Order Total", _) if body["typecast"] == true => {}
                    ("ID" | "City" | "Order Total", _) => {
                        let text = format!("Field \"{name}\" cannot accept the provided value");
                        return invalid("INVALID_VALUE_FOR_COLUMN", &text);
                    }
                    _ => {
                        let text = format!("Unknown field name: \"{name}\"");
                        return invalid("UNKNOWN_FIELD_NAME", &text);
                    }
                }
            }
        }
        self.ledger.batch(records.len());
        let mut made = Vec::new();
        for record in records {
            let id = record["fields"]["ID"].as_str().and_then(|id| id.strip_prefix('O'));
            match id.and_then(|row| row.parse().ok()) {
                Some(row) if merges => self.ledger.take_keyed(row, &record.to_string()),
                Some(row) => self.ledger.take(row),
                None => self.ledger.stranger(),
            }
            made.push(json!({"id": "rec", "fields": record["fields"]}));
        }
        answer(200, &json!({"records": made}))
    }
}

impl Fake for FakeAirtable {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.airtable.com".to_owned()]
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        [("base", BASE), ("table", TABLE)].into_iter().collect()
    }

    fn provider(&self) -> Option<&Provider> {
        Some(&self.provider)
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // No base holds more records: https://support.airtable.com/docs/airtable-plans
        Some(TakesRows::new(SHAPE, &self.ledger).at_most(500).in_bulk(500_000))
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (kind, message) = match status {
            401 => ("AUTHENTICATION_REQUIRED", "Authentication required"),
            403 => ("NOT_AUTHORIZED", "You are not authorized to perform this operation"),
            404 => ("NOT_FOUND", "Could not find what you are looking for"),
            429 => ("RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later"),
            500.. => ("SERVER_ERROR", "Server error"),
            _ => ("INVALID_REQUEST_UNKNOWN", "Invalid request: parameter validation failed"),
        };
        ("application/json", words(kind, message).to_string())
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        matches!(*method, Method::POST | Method::PATCH)
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![("application/json", r#"{"records":[]}"#.to_owned())]
    }
}

fn words(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "message": message}})
}

fn refusal(status: u16, kind: &str, message: &str) -> Response<Bytes> {
    answer(status, &words(kind, message))
}

fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
