//! EC2's Query API: looks at instances, changes them, and tells what came of each.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use sendoff::prelude::*;
use sendoff::{Arrival, Http};
use sha2::{Digest, Sha256};

use super::instance::is_id;
use super::{Operation, VENDOR};
use crate::shared::aws::{self, Keys};
use crate::shared::targets::Outcomes;
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
    pub(super) fn new(http: &'a Http, keys: Keys, region: &str) -> Self {
        let host = format!("ec2.{region}.{}", aws::domain(region));
        Self { http, keys, region: region.to_owned(), host }
    }

    /// Changes the instances and notes what came of each.
    ///
    /// # Errors
    /// Only what concerns all of them: the keys, the network, the end of the delivery.
    pub(super) async fn change(
        &self,
        how: How,
        ids: Vec<&str>,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let mut due = match self.states(&ids).await? {
            Some(states) => due(how.operation, &ids, &states, outcomes),
            // The keys may stop but not look, as the reference asks of them.
            None => ids,
        };
        while !due.is_empty() {
            match self.command(how, &due).await {
                Ok(Ok(answer)) => {
                    let now = pairs(&answer, "currentState");
                    for id in due {
                        match now.get(id) {
                            Some(state) => outcomes.done(state),
                            None if how.operation == Operation::Reboot => {
                                outcomes.done("rebooting")
                            }
                            None => outcomes.failed(id, "is missing in Amazon's answer"),
                        }
                    }
                    return Ok(());
                }
                Ok(Err(refusal)) if refusal.code == "DryRunOperation" => {
                    due.iter().for_each(|_| outcomes.done("would be changed (dry run)"));
                    return Ok(());
                }
                Ok(Err(refusal)) => due = self.without_named(due, refusal, outcomes)?,
                Err(error) if error.arrival() == Arrival::Maybe => {
                    return self.look_again(how, &due, &error, outcomes).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// EC2 refuses a request whole; where it names the instances at fault, the others can go on.
    fn without_named<'i>(
        &self,
        due: Vec<&'i str>,
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
            due.into_iter().partition(|id| named.is_empty() || named.contains(id));
        // A refusal that names none of these would be the same for ever.
        let (at_fault, rest) =
            if at_fault.is_empty() { (rest, Vec::new()) } else { (at_fault, rest) };
        for id in at_fault {
            outcomes.failed(id, format!("was refused: {} ({})", refusal.message, refusal.code));
        }
        Ok(rest)
    }

    /// The answer to a command was lost: the instances themselves tell what came of it.
    async fn look_again(
        &self,
        how: How,
        due: &[&str],
        error: &Error,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
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
        Ok(())
    }

    /// The state of each instance that exists; nothing if the keys may not look.
    async fn states(&self, ids: &[&str]) -> Result<Option<BTreeMap<String, String>>> {
        let mut states = BTreeMap::new();
        let mut page = None;
        loop {
            let mut pairs = vec![
                ("Action".to_owned(), "DescribeInstances".to_owned()),
                // A filter passes over ids that do not exist; a list of ids would fail for them.
                ("Filter.1.Name".to_owned(), "instance-id".to_owned()),
            ];
            pairs.extend(numbered("Filter.1.Value", ids));
            pairs.extend(page.take().map(|token| ("NextToken".to_owned(), token)));
            match self.ask(pairs).await? {
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
            Operation::Start => ("StartInstances", None),
            Operation::Reboot => ("RebootInstances", None),
        };
        let mut pairs = vec![("Action".to_owned(), action.to_owned())];
        pairs.extend(option.map(|name| (name.to_owned(), "true".to_owned())));
        if how.dry_run {
            pairs.push(("DryRun".to_owned(), "true".to_owned()));
        }
        pairs.extend(numbered("InstanceId", ids));
        self.ask(pairs).await
    }

    async fn ask(&self, mut pairs: Vec<(String, String)>) -> Result<Result<String, Refusal>> {
        pairs.push(("Version".to_owned(), "2016-11-15".to_owned()));
        let reboots = pairs.iter().any(|(_, value)| value == "RebootInstances");
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
        // To stop what is stopped changes nothing; a second reboot is a second one.
        let call = if reboots { call } else { call.repeatable() };
        let reply = call.send().await?;
        let status = reply.status();
        if status.is_success() {
            return Ok(Ok(reply.text().await?));
        }
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(reply.success().await.err().unwrap_or_else(|| Error::vendor(VENDOR)));
        }
        let text = reply.text().await?;
        let part = |tag| xml::text(&text, tag).unwrap_or_default();
        let (code, message) = (part("Code"), part("Message"));
        Ok(Err(Refusal { status: status.as_u16(), code, message }))
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
        self.code.is_empty() || CODES.contains(&self.code.as_str())
    }

    fn error(self) -> Error {
        let Self { status, code, message } = self;
        let code = if code.is_empty() { format!("status {status}") } else { code };
        let said = if message.is_empty() { "it gave no reason" } else { &message };
        if code == "RequestLimitExceeded" || code == "Unavailable" {
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
            (Operation::Stop | Operation::Hibernate, Some("stopping")) => {
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
