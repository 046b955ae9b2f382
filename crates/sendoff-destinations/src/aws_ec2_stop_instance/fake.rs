//! A stand-in for EC2, written from <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/> as it
//! was on 25 November 2026: DescribeInstances with a filter, StopInstances, StartInstances and
//! RebootInstances, each refused whole if one id is wrong, and every signature recomputed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};

use super::StopInstance;
use super::instance::is_id;
use crate::shared::aws_signed::{Arrived, Caller};
use crate::shared::in_order;
use crate::shared::xml;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(StopInstance::new(None)), Arc::new(FakeEc2::default()))
}

const ID: &str = "AKIACANARYOFEC2KEYS0";
const SECRET: &str = "canary/secret+access/key/of/amazon/ec200";
const REGION: &str = "eu-central-1";

/// One region of one account. Every instance that nobody has named stands and runs.
#[derive(Default)]
pub(crate) struct FakeEc2 {
    /// What was changed, by instance id.
    states: Mutex<BTreeMap<String, &'static str>>,
    ledger: RowLedger,
}

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"hosts.id","label":"Hosts ID","type":"string","tags":["aws_resource_id"]}],"measures":[]}"#,
    before: r#"{"hosts.id":{"value":"i-"#,
    after: r#""}}"#,
};

/// Ids that begin so exist nowhere.
const UNKNOWN: &str = "i-0dead";

impl FakeEc2 {
    fn states(&self) -> MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let Some((form, digests)) = in_order::text(body).await else {
            return refusal(400, "InvalidRequest", "The body broke off.");
        };
        let caller = Caller { id: ID, secret: SECRET, region: REGION, service: "ec2" };
        let arrived = Arrived {
            method: &head.method,
            path: head.uri.path(),
            query: &[],
            headers: &head.headers,
            body_hash: &digests.sha256,
        };
        if let Err((status, code, message)) = caller.check(&arrived) {
            return refusal(status, code, &message);
        }
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let one = |name: &str| {
            pairs.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
        };
        let many = |name: &str| -> Vec<&str> {
            let values = pairs
                .iter()
                .filter(|(each, _)| each.rsplit_once('.').is_some_and(|(stem, _)| stem == name));
            values.map(|(_, value)| value.as_str()).collect()
        };
        if one("Version") != Some("2016-11-15") {
            return refusal(400, "InvalidParameterValue", "The version is not valid.");
        }
        match one("Action") {
            Some("DescribeInstances") if one("Filter.1.Name") == Some("instance-id") => {
                self.describe(&many("Filter.1.Value"))
            }
            Some("StopInstances") => self.command(&many("InstanceId"), "stopping", &one),
            Some("StartInstances") => self.command(&many("InstanceId"), "pending", &one),
            // It answers for all, and names none.
            Some("RebootInstances") => self.command(&many("InstanceId"), "running", &one),
            _ => refusal(400, "InvalidAction", "The action is not valid for this web service."),
        }
    }

    fn describe(&self, ids: &[&str]) -> Response<Bytes> {
        let states = self.states();
        let known = ids.iter().filter(|id| is_id(id) && !id.starts_with(UNKNOWN));
        let items: String = known
            .map(|id| {
                let state = states.get(*id).copied().unwrap_or("running");
                format!(
                    "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState>\
                     <code>16</code><name>{state}</name></instanceState></item></instancesSet>\
                     </item>"
                )
            })
            .collect();
        answer(
            200,
            format!(
                "<DescribeInstancesResponse><reservationSet>{items}</reservationSet></DescribeInstancesResponse>"
            ),
        )
    }

    fn command<'a>(
        &self,
        ids: &[&str],
        to: &'static str,
        one: &dyn Fn(&str) -> Option<&'a str>,
    ) -> Response<Bytes> {
        if ids.is_empty() {
            return refusal(400, "MissingParameter", "The request must contain instances.");
        }
        if let Some(id) = ids.iter().find(|id| !is_id(id)) {
            let message = format!("Invalid id: \"{id}\"");
            return refusal(400, "InvalidInstanceID.Malformed", &message);
        }
        let unknown: Vec<_> = ids.iter().filter(|id| id.starts_with(UNKNOWN)).copied().collect();
        if !unknown.is_empty() {
            let message = format!("The instance IDs '{}' do not exist", unknown.join(", "));
            return refusal(400, "InvalidInstanceID.NotFound", &message);
        }
        if one("DryRun") == Some("true") {
            let message = "Request would have succeeded, but DryRun flag is set.";
            return refusal(412, "DryRunOperation", message);
        }
        self.ledger.batch(ids.len());
        let mut states = self.states();
        let items: String = ids
            .iter()
            .map(|id| {
                match id.trim_start_matches("i-").parse() {
                    // To stop what is stopped changes nothing.
                    Ok(row) => self.ledger.take_keyed(row, to),
                    Err(_) => self.ledger.stranger(),
                }
                let before = states.insert((*id).to_owned(), to).unwrap_or("running");
                format!(
                    "<item><instanceId>{id}</instanceId><currentState><code>64</code><name>{to}\
                     </name></currentState><previousState><code>16</code><name>{before}</name>\
                     </previousState></item>"
                )
            })
            .collect();
        let action = one("Action").unwrap_or_default();
        let said = match action {
            "RebootInstances" => "<return>true</return>".to_owned(),
            _ => format!("<instancesSet>{items}</instancesSet>"),
        };
        answer(200, format!("<{action}Response>{said}</{action}Response>"))
    }
}

impl Fake for FakeEc2 {
    fn origins(&self) -> Vec<String> {
        vec!["https://*.amazonaws.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [("access_key_id", ID), ("secret_access_key", SECRET), ("region", REGION)]
            .into_iter()
            .collect()
    }

    fn answers(&self) -> Values {
        [("operation", "stop"), ("max_instances", "10000000")].into_iter().collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Every id is kept before the first machine is stopped. An account has a thousand, or some
        // thousands: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html
        let takes = TakesRows::new(SHAPE, &self.ledger).at_most(400).in_bulk(20_000);
        Some(takes.after_all_are_read())
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (code, message) = match status {
            401 => ("AuthFailure", "AWS was not able to validate the provided access credentials"),
            // A missing right to look is no refusal.
            403 => ("Blocked", "Your account is currently blocked."),
            503 => ("RequestLimitExceeded", "Request limit exceeded."),
            _ => ("InternalError", "An internal error has occurred"),
        };
        ("text/xml", words(code, message))
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        // Every request is a POST to the same path; its body tells looking from changing.
        *method == Method::POST
    }
}

fn words(code: &str, message: &str) -> String {
    let message = xml::escape(message);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors><RequestID>0</RequestID></Response>"
    )
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    answer(status, words(code, message))
}

fn answer(status: u16, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}
