//! An exchange as something to paste: a `sendoff send` line, a curl line, a Rust test.
//!
//! Secrets stand as variables of the shell, named after the params that they belong to.

use std::fmt::Write;

use sendoff_protocol::{Format, Formatting, VisualizationFormatting};
use serde_json::Value;

use crate::formats::Rendering;
use crate::instance::{Order, Way, What};
use crate::recording::Recorded;
use crate::request::MASK;
use crate::verdict::Call;

/// In `'…'` for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `api_key` becomes `API_KEY`.
fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// `--param name='value'`, or the variable where the value is masked.
fn pair(flag: &str, name: &str, value: &str) -> String {
    match value == MASK {
        true => format!(" \\\n  {flag} {}=\"${{{}}}\"", quoted(name), variable(name)),
        false => format!(" \\\n  {flag} {}", quoted(&format!("{name}={value}"))),
    }
}

/// The delivery as `sendoff send` makes it against that hub. What was ordered is used where it is
/// known, else the data that stands in the request.
///
/// # Errors
/// It is no delivery, or its data is not in it.
pub fn send_line(
    recorded: &Recorded,
    order: Option<&Order>,
    hub: &str,
) -> Result<String, &'static str> {
    if recorded.call != Call::Execute {
        return Err("Only deliveries can be sent again.");
    }
    let action = recorded.action.as_deref().ok_or("The recording does not name the action.")?;
    let text = recorded.request.body.text.clone().unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut line = format!(
        "sendoff send {} \\\n  --to {} --token \"${{SENDOFF_TOKEN}}\"",
        quoted(action),
        quoted(hub)
    );
    let members = |name: &str| body[name].as_object().into_iter().flatten();
    for (name, value) in members("data") {
        let own = ["value", "rendered", "state_url", "state_redir_url", "state_json"];
        if let Some(value) = value.as_str().filter(|_| !own.contains(&name.as_str())) {
            line += &pair("--param", name, value);
        }
    }
    for (name, value) in members("form_params") {
        if let Some(value) = value.as_str().filter(|_| name != "format") {
            line += &pair("--field", name, value);
        }
    }
    match order {
        Some(order) => ordered(&mut line, order)?,
        None => return sent(line, &body),
    }
    Ok(line)
}

fn ordered(line: &mut String, order: &Order) -> Result<(), &'static str> {
    let what = match &order.what {
        What::Look(slug) => format!("--look {}", quoted(slug)),
        What::Dashboard(slug) => format!("--dashboard {}", quoted(slug)),
        What::Sql(sql) => format!("--sql {}", quoted(sql)),
        What::Table(_) => return Err("A table that was imported is not there for the command."),
        What::Cell { value, rendered } => {
            format!("--cell {} --rendered {}", quoted(value), quoted(rendered))
        }
        What::Generated { bytes, seed } => format!("--generate {bytes} --seed {seed}"),
        What::File(path) => format!("--data {}", quoted(&path.to_string_lossy())),
    };
    // Writing into a String cannot fail.
    let _ = write!(line, " \\\n  {what}");
    if let Some(format) = order.format {
        let _ = write!(line, " --format {format}");
    }
    match order.way {
        Some(Way::Url) => line.push_str(" --stream"),
        Some(Way::Push) => line.push_str(" --push"),
        None => {}
    }
    if let Some(Rendering { formatting, visualization }) = order.rendering {
        line.push_str(match formatting {
            Formatting::Unformatted => " --unformatted",
            _ => " --formatted",
        });
        line.push_str(match visualization {
            VisualizationFormatting::Apply => " --visualization",
            _ => " --no-visualization",
        });
    }
    if order.all_results {
        line.push_str(" --all-results");
    }
    if !order.faults.is_empty() {
        let _ = write!(line, " \\\n  --fault {}", quoted(&order.faults.to_string()));
    }
    Ok(())
}

/// With the data that stands in the request, as a document of the shell.
fn sent(mut line: String, body: &Value) -> Result<String, &'static str> {
    if body["type"] == "cell" {
        let value = body["data"]["value"].as_str().unwrap_or_default();
        let rendered = body["data"]["rendered"].as_str().unwrap_or_default();
        let _ = write!(line, " \\\n  --cell {} --rendered {}", quoted(value), quoted(rendered));
        return Ok(line);
    }
    let attachment = &body["attachment"];
    let Some(data) = attachment["data"].as_str() else {
        return Err("The data is not in the request: it went by a download URL, or was cut.");
    };
    let mimetype = attachment["mimetype"].as_str().unwrap_or_default();
    let extension = attachment["extension"].as_str().unwrap_or_default();
    let format = body["form_params"]["format"].as_str().and_then(|f| f.parse::<Format>().ok());
    let format = format.or_else(|| Format::ALL.into_iter().find(|f| f.extension() == extension));
    let format = format.ok_or("The attachment is of no format that Looker knows.")?;
    let _ = write!(line, " \\\n  --format {format} --push --data -");
    if mimetype.ends_with(";base64") {
        let data = data.trim_end();
        return Ok(format!("base64 -d <<'END' | {line}\n{data}\nEND"));
    }
    // A document of the shell ends with a newline; data without one has it by printf.
    if data.ends_with('\n') && !data.lines().any(|l| l == "END") {
        return Ok(format!("{line} <<'END'\n{data}END"));
    }
    Ok(format!("printf %s {} | {line}", quoted(data)))
}

/// Whether the data came by a download URL, which nobody can use again.
fn is_fetched(recorded: &Recorded) -> bool {
    let body = recorded.request.body.text.as_deref().unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    recorded.call == Call::Execute && body["scheduled_plan"]["download_url"].is_string()
}

/// The call as curl makes it.
///
/// # Errors
/// The recording has not the whole body.
pub fn curl_line(recorded: &Recorded, url: &str) -> Result<String, &'static str> {
    if recorded.request.body.cut {
        return Err("The recording has not the whole body.");
    }
    if is_fetched(recorded) {
        return Err(
            "The hub fetched the data by a URL that works once: copy the `sendoff send` line, \
                    or send the data in the request.",
        );
    }
    let mut line = format!("curl -sS -X {} {}", quoted(&recorded.request.method), quoted(url));
    for (name, value) in &recorded.request.headers {
        let own = ["host", "transfer-encoding", "content-length", "connection"];
        if own.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let header = match name.eq_ignore_ascii_case("authorization") {
            true => "\"Authorization: Token token=\\\"${SENDOFF_TOKEN}\\\"\"".to_owned(),
            false => quoted(&format!("{name}: {value}")),
        };
        let _ = write!(line, " \\\n  -H {header}");
    }
    let body = recorded.request.body.text.clone().unwrap_or_default();
    if !body.is_empty() {
        let _ = write!(line, " \\\n  --data-binary {}", with_variables(&body));
    }
    Ok(line)
}

/// The body in `'…'`, its masked members as variables of the shell: `'…"key":"'"${KEY}"'"…'`.
fn with_variables(body: &str) -> String {
    let mut text = String::from("'");
    let mut rest = body;
    let mark = format!("\":\"{MASK}\"");
    while let Some(at) = rest.find(&mark) {
        let before = &rest[..at];
        let name = before.rsplit('"').next().unwrap_or_default();
        text += &before.replace('\'', r"'\''");
        let _ = write!(text, "\":\"'\"${{{}}}\"'\"", variable(name));
        rest = &rest[at + mark.len()..];
    }
    text += &rest.replace('\'', r"'\''");
    text.push('\'');
    text
}

/// A test in Rust with the bytes that were sent, for an action built with the `sendoff` library.
///
/// # Errors
/// It is no call of an action, or the recording has not the whole body.
pub fn rust_test(recorded: &Recorded) -> Result<String, &'static str> {
    let page = match recorded.call {
        Call::Execute => "execute",
        Call::Form | Call::Test => "form",
        _ => return Err("Only forms and deliveries make a test of an action."),
    };
    if recorded.request.body.cut {
        return Err("The recording has not the whole body.");
    }
    if is_fetched(recorded) {
        return Err(
            "The hub fetched the data by a URL that works once: send it in the request, and \
                    copy that.",
        );
    }
    let action = recorded.action.as_deref().ok_or("The recording does not name the action.")?;
    let body = recorded.request.body.text.clone().unwrap_or_default();
    let answer = recorded.response.as_ref();
    let answer = answer.and_then(|response| response.body.text.clone()).unwrap_or_default();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let asserted = match (&answer["looker"]["success"], &answer["looker"]["message"]) {
        (Value::Bool(success), Value::String(message)) => format!(
            "    assert_eq!(answer[\"looker\"][\"success\"], {success}, \"{{answer}}\");\n    \
             assert_eq!(answer[\"looker\"][\"message\"], {message:?});\n"
        ),
        (Value::Bool(success), _) => {
            format!("    assert_eq!(answer[\"looker\"][\"success\"], {success}, \"{{answer}}\");\n")
        }
        _ if page == "form" => {
            "    assert!(answer.get(\"error\").is_none(), \"{answer}\");\n".to_owned()
        }
        _ => "    assert_eq!(answer[\"looker\"][\"success\"], true, \"{answer}\");\n".to_owned(),
    };
    let function = variable(action).to_ascii_lowercase();
    Ok(format!(
        "/// What Looker sent to `{action}` at {started}.\n\
         #[tokio::test]\n\
         async fn {function}_answers_this_{page}() {{\n    \
             use http_body_util::{{BodyExt, Full}};\n    \
             use tower::ServiceExt;\n\n    \
             const BODY: &[u8] = {body}.as_bytes();\n    \
             let secret = sendoff::Secret::from(\"a long random text\");\n    \
             let token = sendoff::Token::issue(&secret, []).unwrap();\n    \
             let hub = hub(secret);\n    \
             let request = http::Request::post(\"/actions/{action}/{page}\")\n        \
                 .header(\"authorization\", format!(\"Token token=\\\"{{token}}\\\"\"))\n        \
                 .header(\"content-type\", \"application/json\")\n        \
                 .body(Full::new(bytes::Bytes::from_static(BODY)))\n        \
                 .unwrap();\n    \
             let response = hub.oneshot(request).await.unwrap();\n    \
             let answer = response.into_body().collect().await.unwrap().to_bytes();\n    \
             let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();\n\
         {asserted}}}\n",
        started = recorded.started,
        body = rust_string(&body),
    ))
}

/// A raw string with as many `#` as it takes.
fn rust_string(text: &str) -> String {
    let mut hashes = String::from("#");
    while text.contains(&format!("\"{hashes}")) {
        hashes.push('#');
    }
    // A raw string cannot hold a lone carriage return.
    match text.contains('\r') {
        true => format!("{text:?}"),
        false => format!("r{hashes}\"{text}\"{hashes}"),
    }
}

#[cfg(test)]
mod tests;
