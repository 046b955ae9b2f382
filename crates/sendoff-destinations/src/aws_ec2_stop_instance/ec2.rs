//! EC2's Query API: looks at instances, changes them, and tells what came of each.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use sendoff::prelude::*;
use sendoff::{Arrival, Http, Reply};
use sha2::{Digest, Sha256};

use super::instance::is_id;
use super::{Operation, VENDOR};
use crate::shared::aws::{self, Keys};
use crate::shared::targets::{Audit, Outcomes};
use crate::shared::xml;

/// What is to be done.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) operation: Operation,
    pub(super) dry_run: bool,
}

/// EC2 in one region.
pub(super) struct Ec2<'a> {
    http: &'a Http,
    audit: &'a Audit,
    keys: Keys,
    region: String,
    host: String,
}

/// What EC2 says of a request that it refused.
struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl<'a> Ec2<'a> {
    pub(super) fn new(http: &'a Http, audit: &'a Audit, keys: Keys, region: &str) -> Self {
        let host = format!("ec2.{region}.{}", aws::domain(region));
        Self { http, audit, keys, region: region.to_owned(), host }
    }

    /// Changes the instances and notes what came of each.
    ///
    /// # Errors
    /// Only what concerns all of them: the keys, the network, the end of the delivery. What had no
    /// turn then is noted as untouched.
    pub(super) async fn change(
        &self,
        how: How,
        ids: &[&str],
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let mut due = ids.to_vec();
        let changed = self.try_change(how, &mut due, outcomes).await;
        if changed.is_err() {
            due.into_iter().for_each(|id| outcomes.untouched(id));
        }
        changed
    }

    /// As [`change`](Self::change); after an error `due` holds what has no outcome yet.
    async fn try_change(
        &self,
        how: How,
        due: &mut Vec<&str>,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        // Keys may stop and not look, as the reference asks of them.
        if let Some(states) = self.states(due).await? {
            *due = self::due(how.operation, due, &states, outcomes);
        }
        while !due.is_empty() {
            match self.command(how, due).await {
                Ok(Ok(answer)) => {
                    note(how.operation, due, &answer, outcomes);
                    return Ok(());
                }
                Ok(Err(refusal)) if refusal.code == "DryRunOperation" => {
                    due.iter().for_each(|_| outcomes.done("would be changed (dry run)"));
                    return Ok(());
                }
                Ok(Err(refusal)) => *due = self.without_named(due, refusal, outcomes)?,
                Err(error) if error.arrival() == Arrival::Maybe => {
                    self.look_again(how, due, &error, outcomes).await;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// EC2 refuses a request whole; where it names the instances at fault, the others can go on.
    fn without_named<'i>(
        &self,
        due: &[&'i str],
        refusal: Refusal,
        outcomes: &mut Outcomes,
    ) -> Result<Vec<&'i str>> {
        if !matches!(refusal.status, 400 | 404) || refusal.concerns_all() {
            return Err(refusal.error());
        }
        let named: Vec<&str> = refusal
            .message
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .filter(|word| is_id(word))
            .collect();
        let (at_fault, rest): (Vec<_>, Vec<_>) =
            due.iter().copied().partition(|id| named.is_empty() || named.contains(id));
        // A refusal that names none of these would be the same for ever.
        let (at_fault, rest) =
            if at_fault.is_empty() { (rest, Vec::new()) } else { (at_fault, rest) };
        for id in at_fault {
            outcomes.failed(id, format!("was refused: {} ({})", refusal.message, refusal.code));
        }
        Ok(rest)
    }

    /// The answer to a command was lost: the instances themselves tell what came of it.
    async fn look_again(&self, how: How, due: &[&str], error: &Error, outcomes: &mut Outcomes) {
        let states = self.states(due).await.ok().flatten();
        for id in due {
            let state = states.as_ref().and_then(|states| states.get(*id)).map(String::as_str);
            let reached = match (how.operation, state) {
                (Operation::Start, Some(state @ ("pending" | "running"))) => Some(state),
                (Operation::Start | Operation::Reboot, _) => None,
                (_, Some(state @ ("stopping" | "stopped"))) => Some(state),
                _ => None,
            };
            match (reached, state) {
                (Some(state), _) => outcomes.done(state),
                (None, Some(state)) if how.operation != Operation::Reboot => {
                    outcomes.failed(*id, format!("is {state}: {}", error.message()));
                }
                _ => outcomes.doubtful(*id, format!("may be changed: {}", error.message())),
            }
        }
    }

    /// The state of each instance that exists; nothing if the keys may not look.
    async fn states(&self, ids: &[&str]) -> Result<Option<BTreeMap<String, String>>> {
        let mut states = BTreeMap::new();
        let mut page = None;
        loop {
            let mut pairs = vec![
                // A filter passes over ids that do not exist; a list of ids would fail for them.
                ("Filter.1.Name".to_owned(), "instance-id".to_owned()),
            ];
            pairs.extend(numbered("Filter.1.Value", ids));
            pairs.extend(page.take().map(|token| ("NextToken".to_owned(), token)));
            match self.ask("DescribeInstances", pairs).await? {
                Ok(answer) => {
                    states.extend(self::pairs(&answer, "instanceState"));
                    page = xml::text(&answer, "nextToken").filter(|token| !token.is_empty());
                }
                Err(refusal) if refusal.code == "UnauthorizedOperation" => return Ok(None),
                Err(refusal) => return Err(refusal.error()),
            }
            if page.is_none() {
                return Ok(Some(states));
            }
        }
    }

    async fn command(&self, how: How, ids: &[&str]) -> Result<Result<String, Refusal>> {
        let (action, option) = match how.operation {
            Operation::Stop => ("StopInstances", None),
            Operation::Hibernate => ("StopInstances", Some("Hibernate")),
            Operation::Force => ("StopInstances", Some("Force")),
            Operation::SkipOsShutdown => ("StopInstances", Some("SkipOsShutdown")),
            Operation::Start => ("StartInstances", None),
            Operation::Reboot => ("RebootInstances", None),
        };
        let mut pairs: Vec<_> =
            option.map(|name| (name.to_owned(), "true".to_owned())).into_iter().collect();
        if how.dry_run {
            pairs.push(("DryRun".to_owned(), "true".to_owned()));
        } else {
            let operation = [Some(action), option].into_iter().flatten().collect::<Vec<_>>();
            self.audit.log(&operation.join(" "), &ids.join(" "));
        }
        pairs.extend(numbered("InstanceId", ids));
        let asked = self.ask(action, pairs).await;
        // An answer of 500 and above in which EC2 does not say that it was busy leaves open what
        // was done.
        asked.map_err(|error| match error.http_status() {
            Some(500..) => error.may_have_arrived(),
            _ => error,
        })
    }

    /// EC2's answer, or its own words of refusal.
    async fn ask(
        &self,
        action: &str,
        mut pairs: Vec<(String, String)>,
    ) -> Result<Result<String, Refusal>> {
        pairs.push(("Action".to_owned(), action.to_owned()));
        pairs.push(("Version".to_owned(), "2016-11-15".to_owned()));
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut request = aws::Request {
            method: Method::POST,
            scheme: "https",
            host: &self.host,
            path: "/",
            query: Vec::new(),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body_hash: aws::hex(&Sha256::digest(&body)),
        };
        request.sign(&self.keys, &self.region, "ec2", Timestamp::now());
        let call = aws::send(self.http, &request).body(body);
        let call = match action {
            "DescribeInstances" => call.reads(),
            // A second reboot is a second one.
            "RebootInstances" => call,
            // To stop what is stopped changes nothing.
            _ => call.repeatable(),
        };
        let mut refusal = None;
        let replied = call.send().await?.success_or(|error, words| {
            refusal = Refusal::read(error.http_status(), words);
            error
        });
        match (replied.await, refusal) {
            (Ok(reply), _) => self.answer(action, reply).await.map(Ok),
            // An answer before this one was lost.
            (Err(error), _) if error.arrival() == Arrival::Maybe => Err(error),
            (Err(_), Some(refusal)) => Ok(Err(refusal)),
            (Err(error), None) => Err(error),
        }
    }

    /// The answer, if it is EC2's: a page of something in between has no instances in it either.
    async fn answer(&self, action: &str, reply: Reply) -> Result<String> {
        let text = reply.text().await?;
        if text.contains(&format!("<{action}Response")) {
            return Ok(text);
        }
        let said: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
        let error =
            Error::vendor(format!("{VENDOR} answered something that is not its own: {said}"));
        Err(if action == "DescribeInstances" { error } else { error.may_have_arrived() })
    }
}

impl Refusal {
    /// Whether another request with other instances would be refused the same.
    fn concerns_all(&self) -> bool {
        const CODES: [&str; 8] = [
            "AuthFailure",
            "InvalidClientTokenId",
            "OptInRequired",
            "PendingVerification",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "Blocked",
        ];
        CODES.contains(&self.code.as_str())
    }

    /// What EC2 says in its own form; nothing if somebody else speaks, or EC2 says of itself that it
    /// failed and leaves open how far it came.
    fn read(status: Option<u16>, words: &str) -> Option<Self> {
        let status = status?;
        let refusal = Self {
            status,
            code: xml::text(words, "Code")?,
            message: xml::text(words, "Message").unwrap_or_default(),
        };
        let is_answer = status < 500 && status != 429;
        (is_answer || refusal.is_busy()).then_some(refusal)
    }

    /// EC2 took nothing and asks for time
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).
    fn is_busy(&self) -> bool {
        matches!(
            self.code.as_str(),
            "RequestLimitExceeded" | "Throttling" | "Unavailable" | "ServiceUnavailable"
        )
    }

    fn error(self) -> Error {
        let busy = self.is_busy();
        let Self { status, code, message } = self;
        let said = if message.is_empty() { "it gave no reason" } else { &message };
        if busy {
            let text = format!("{VENDOR} is busy: {said} ({code}). Try again in a few minutes.");
            return Error::vendor(text).status(status).retry_later();
        }
        Error::settings(format!(
            "{VENDOR} refused: {said} ({code}). A Looker admin should check the action's keys, \
             their rights and the region."
        ))
        .status(status)
    }
}

/// Notes what a command came to.
fn note(operation: Operation, ids: &[&str], answer: &str, outcomes: &mut Outcomes) {
    let now = pairs(answer, "currentState");
    for id in ids {
        match now.get(*id) {
            Some(state) => outcomes.done(state),
            None if operation == Operation::Reboot => outcomes.done("rebooting"),
            None => outcomes.failed(*id, "is missing in Amazon's answer"),
        }
    }
}

/// Notes what needs no command or cannot have one; what is left is due.
fn due<'i>(
    operation: Operation,
    ids: &[&'i str],
    states: &BTreeMap<String, String>,
    outcomes: &mut Outcomes,
) -> Vec<&'i str> {
    let mut due = Vec::new();
    for id in ids {
        match (operation, states.get(*id).map(String::as_str)) {
            (_, None) => outcomes.failed(*id, "was not found in this account and region"),
            (_, Some("terminated" | "shutting-down")) => outcomes.failed(*id, "is terminated"),
            (Operation::Start, Some("running" | "pending")) => outcomes.done("already running"),
            (Operation::Start | Operation::Reboot, _) => due.push(*id),
            (_, Some("stopped")) => outcomes.done("already stopped"),
            // By force also what hangs while it stops.
            (
                Operation::Stop | Operation::Hibernate | Operation::SkipOsShutdown,
                Some("stopping"),
            ) => {
                outcomes.done("already stopping");
            }
            _ => due.push(*id),
        }
    }
    due
}

fn numbered(name: &str, values: &[&str]) -> impl Iterator<Item = (String, String)> {
    values
        .iter()
        .enumerate()
        .map(move |(n, value)| (format!("{name}.{}", n + 1), (*value).to_owned()))
}

/// Instance ids with the name of the state that stands behind each in the element `state`.
fn pairs(xml: &str, state: &str) -> BTreeMap<String, String> {
    let parts = xml.split("<instanceId>").skip(1);
    let pair = |part: &str| {
        let (id, rest) = part.split_once("</instanceId>")?;
        let name = xml::text(&xml::text(rest, state)?, "name")?;
        Some((id.to_owned(), name))
    };
    parts.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html>.
    const STOPPED: &str = r#"<StopInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>
  <instancesSet>
    <item>
      <instanceId>i-1234567890abcdef0</instanceId>
      <currentState><code>64</code><name>stopping</name></currentState>
      <previousState><code>16</code><name>running</name></previousState>
    </item>
  </instancesSet>
</StopInstancesResponse>"#;

    #[test]
    fn the_vendors_example_is_read() {
        let states = pairs(STOPPED, "currentState");
        assert_eq!(states["i-1234567890abcdef0"], "stopping");
        assert_eq!(states.len(), 1);
    }
}
