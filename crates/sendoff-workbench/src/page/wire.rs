//! The wire: every exchange, its lines, and what the protocol says to each.

use axum::body::Body;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Page;
use super::view::{Pairs, shown};
use crate::copy;
use crate::exchange::{Exchange, Peek};
use crate::instance::{Entry, ExchangeId};
use crate::recording::{Reader, Recorded};
use crate::remarks::{Place, Remark};
use crate::verdict::{Severity, Verdict};

/// A text inside JSON is cut here, so that its line shows how it ends.
const TEXT: usize = 240;
/// What is no JSON is shown up to here.
const RAW: usize = 6_000;
/// And JSON up to so many lines.
const LINES: usize = 400;
/// So many calls of a recording are made again.
const REPLAYED: usize = 200;
/// A larger recording is not taken.
const RECORDING_AT_MOST: usize = 256 << 20;
/// So many exchanges are listed.
const LISTED: usize = 200;

/// An exchange as it is shown.
#[derive(Serialize)]
pub(super) struct ExchangeView {
    id: ExchangeId,
    call: String,
    action: String,
    user: String,
    when: String,
    method: String,
    url: String,
    line_remarks: Vec<RemarkView>,
    request_headers: Vec<HeaderView>,
    request: BodyView,
    status: Option<u16>,
    status_text: String,
    status_remarks: Vec<RemarkView>,
    answer_headers: Vec<HeaderView>,
    answer: BodyView,
    until_answer: f64,
    until_end: f64,
    failure: String,
    verdict: Verdict,
    /// Whether somebody should look.
    grave: bool,
    remarks: usize,
}

#[derive(Serialize)]
struct HeaderView {
    name: String,
    value: String,
    remarks: Vec<RemarkView>,
}

#[derive(Serialize)]
struct BodyView {
    bytes: u64,
    /// Lines of it, each followed by what the protocol says to its last one.
    pieces: Vec<PieceView>,
    /// Whether the screen shows less than came.
    is_cut: bool,
    /// Whether it can be had whole.
    is_kept: bool,
}

#[derive(Default, Serialize)]
struct PieceView {
    text: String,
    remarks: Vec<RemarkView>,
}

#[derive(Clone, Serialize)]
struct RemarkView {
    text: String,
    looker: String,
    source: String,
    check: String,
}

impl RemarkView {
    fn of(remark: &Remark) -> Self {
        Self {
            text: remark.text.clone(),
            looker: remark.looker.clone(),
            source: format!("{}, Action API §{}", remark.strength, remark.section),
            check: remark.check.clone().unwrap_or_default(),
        }
    }
}

impl ExchangeView {
    pub(super) fn of(entry: &Entry) -> Self {
        let exchange = &entry.exchange;
        let at = |wanted: &dyn Fn(&Place) -> bool| {
            let remarks = entry.remarks.iter().filter(|remark| wanted(&remark.place));
            remarks.map(RemarkView::of).collect::<Vec<_>>()
        };
        let headers = |list: &[(String, String)], wanted: &dyn Fn(&Place, &str) -> bool| {
            let view = |(name, value): &(String, String)| HeaderView {
                remarks: at(&|place| wanted(place, name)),
                name: name.clone(),
                value: value.clone(),
            };
            list.iter().map(view).collect::<Vec<_>>()
        };
        let in_request = |place: &Place| match place {
            Place::RequestMember(name) => Some(name.clone()),
            _ => None,
        };
        let in_answer = |place: &Place| match place {
            Place::AnswerMember(name) => Some(name.clone()),
            Place::AnswerBody => Some(String::new()),
            _ => None,
        };
        let is_named = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        Self {
            id: entry.id,
            call: exchange.call.map(|call| call.to_string()).unwrap_or_default(),
            action: exchange.action.clone().unwrap_or_default(),
            user: entry.user.clone().unwrap_or_default(),
            when: when(exchange),
            method: exchange.method.clone(),
            url: exchange.url.clone(),
            line_remarks: at(&|place| *place == Place::RequestLine),
            request_headers: headers(
                &exchange.request_headers,
                &|place, name| matches!(place, Place::RequestHeader(wanted) if is_named(name, wanted)),
            ),
            request: BodyView::of(&exchange.request_body, &entry.remarks, &in_request),
            status: exchange.status,
            status_text: status_text(exchange),
            status_remarks: at(&|place| *place == Place::Status),
            answer_headers: headers(
                &exchange.response_headers,
                &|place, name| matches!(place, Place::AnswerHeader(wanted) if is_named(name, wanted)),
            ),
            answer: BodyView::of(&exchange.response_body, &entry.remarks, &in_answer),
            until_answer: exchange.until_answer.as_secs_f64(),
            until_end: exchange.until_end.as_secs_f64(),
            failure: exchange.failure.clone().unwrap_or_default(),
            grave: entry.verdict.severity != Severity::Success,
            verdict: entry.verdict.clone(),
            remarks: entry.remarks.len(),
        }
    }
}

/// Of a hub's request for a result only the call that it belongs to says when it was.
fn when(exchange: &Exchange) -> String {
    match exchange.started == jiff::Timestamp::default() {
        true => String::new(),
        false => exchange.started.strftime("%H:%M:%S").to_string(),
    }
}

fn status_text(exchange: &Exchange) -> String {
    let code = exchange.status.and_then(|status| http::StatusCode::from_u16(status).ok());
    code.and_then(|code| code.canonical_reason()).unwrap_or_default().to_owned()
}

impl BodyView {
    fn of(body: &Peek, remarks: &[Remark], member: &dyn Fn(&Place) -> Option<String>) -> Self {
        let (text, is_cut) = readable(body);
        let mut pieces = vec![PieceView::default()];
        let mut left: Vec<(String, RemarkView)> = remarks
            .iter()
            .filter_map(|remark| Some((member(&remark.place)?, RemarkView::of(remark))))
            .collect();
        for line in text.split_inclusive('\n') {
            let last = pieces.len() - 1;
            pieces[last].text.push_str(line);
            let names = |name: &str| {
                let quoted = format!("\"{name}\":");
                !name.is_empty() && line.trim_start().starts_with(&quoted)
            };
            let (here, later) = left.into_iter().partition(|(name, _)| names(name));
            left = later;
            if !here.is_empty() {
                pieces[last].remarks = here.into_iter().map(|(_, remark)| remark).collect();
                pieces.push(PieceView::default());
            }
        }
        let last = pieces.len() - 1;
        pieces[last].remarks.extend(left.into_iter().map(|(_, remark)| remark));
        pieces.retain(|piece| !piece.text.is_empty() || !piece.remarks.is_empty());
        Self { bytes: body.total(), pieces, is_cut, is_kept: body.kept().is_some() }
    }
}

/// JSON is indented, with long texts cut; anything else stays as it came.
fn readable(body: &Peek) -> (String, bool) {
    let text = body.text();
    let mut is_cut = !body.is_whole();
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
        let start: String = text.chars().take(RAW).collect();
        is_cut |= start.len() < text.len();
        return (start, is_cut);
    };
    shorten(&mut value, &mut is_cut);
    let pretty = serde_json::to_string_pretty(&value).unwrap_or(text);
    let start: Vec<&str> = pretty.split_inclusive('\n').take(LINES).collect();
    let start = start.concat();
    is_cut |= start.len() < pretty.len();
    (start, is_cut)
}

fn shorten(value: &mut Value, is_cut: &mut bool) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(TEXT) {
                text.truncate(at);
                text.push('…');
                *is_cut = true;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, is_cut)),
        Value::Object(members) => members.values_mut().for_each(|item| shorten(item, is_cut)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// All exchanges, the newest first.
pub(super) async fn list(State(page): State<Page>, Query(query): Query<Pairs>) -> Response {
    let mut entries = page.instance().journal().all();
    let wanted = query.get("call").cloned().unwrap_or_default();
    entries.reverse();
    let total = entries.len();
    let is_wanted = |entry: &Entry| {
        wanted.is_empty() || entry.exchange.call.is_some_and(|call| call.as_str() == wanted)
    };
    let some = entries.iter().filter(|entry| is_wanted(entry)).take(LISTED);
    let exchanges: Vec<ExchangeView> = some.map(|entry| ExchangeView::of(entry)).collect();
    page.draw(
        "wire.html",
        "/wire",
        minijinja::context! {
            exchanges => shown(exchanges),
            total,
            wanted,
        },
    )
}

/// One exchange, and how to do it again.
pub(super) async fn one(State(page): State<Page>, Path(id): Path<ExchangeId>) -> Response {
    let Some(entry) = page.instance().journal().get(id) else {
        return page.refuse(&format!("The exchange {id} is not kept any more."));
    };
    let exchange = ExchangeView::of(&entry);
    let copies = copies(&page, &entry).await;
    page.draw(
        "exchange_page.html",
        "/wire",
        minijinja::context! {
            exchange => shown(exchange),
            copies => shown(copies),
        },
    )
}

/// One side's body, as much of it as is kept.
pub(super) async fn body(
    State(page): State<Page>,
    Path((id, side)): Path<(ExchangeId, String)>,
) -> Response {
    let entry = page.instance().journal().get(id);
    let peek = entry.as_ref().map(|entry| match side.as_str() {
        "request" => &entry.exchange.request_body,
        _ => &entry.exchange.response_body,
    });
    let Some(peek) = peek else {
        return page.refuse(&format!("The exchange {id} is not kept any more."));
    };
    let name = format!("attachment; filename=\"exchange-{id}-{side}.txt\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let file = match peek.kept() {
        Some(kept) => tokio::fs::File::open(&kept.path).await.ok(),
        None => None,
    };
    let Some(file) = file else {
        return (headers, peek.start().to_vec()).into_response();
    };
    let chunks = futures_util::stream::unfold(file, |mut file| async {
        let mut chunk = vec![0; 64 * 1024];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                Some((Ok(Bytes::from(chunk)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    (headers, Body::from_stream(chunks)).into_response()
}

/// One way to do an exchange again.
#[derive(Serialize)]
struct Copy {
    name: &'static str,
    about: &'static str,
    text: String,
    /// Why it cannot be had.
    why: &'static str,
}

async fn copies(page: &Page, entry: &Entry) -> Vec<Copy> {
    let recorded = Recorded::of(entry).await;
    let hub = page.hub().url;
    let made = [
        (
            "sendoff send",
            "The same delivery from a shell or a CI job.",
            copy::send_line(&recorded, entry.order.as_deref(), &hub),
        ),
        (
            "curl",
            "The request as it was; secrets are variables of the shell.",
            copy::curl_line(&recorded, &entry.exchange.url),
        ),
        (
            "A test in Rust",
            "For an action that is built with the library, with the bytes that were sent.",
            copy::rust_test(&recorded),
        ),
    ];
    let copy = |(name, about, made)| match made {
        Ok(text) => Copy { name, about, text, why: "" },
        Err(why) => Copy { name, about, text: String::new(), why },
    };
    made.into_iter().map(copy).collect()
}

/// Everything that is kept, a line each, with bodies as whole as they are kept.
pub(super) async fn record(State(page): State<Page>) -> Response {
    let entries = page.instance().journal().all().into_iter();
    let lines = futures_util::stream::unfold(entries, |mut entries| async {
        let entry = entries.next()?;
        let line = Recorded::of(&entry).await.line() + "\n";
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), entries))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"exchanges.jsonl\""),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

/// A recorded call, then and now.
#[derive(Serialize)]
struct Again {
    number: u64,
    call: String,
    action: String,
    then: Option<u16>,
    now: Option<u16>,
    exchange: Option<ExchangeId>,
    severity: Severity,
    said: String,
}

/// Makes the calls of a recording again, against this hub or another.
pub(super) async fn replay(State(page): State<Page>, form: Multipart) -> Response {
    match page.replay(form).await {
        Ok((hub, again)) => {
            let more = minijinja::context! { target => hub, again => shown(again) };
            page.draw("replayed.html", "/wire", more)
        }
        Err(why) => page.refuse(&why),
    }
}

impl Page {
    async fn replay(&self, form: Multipart) -> Result<(String, Vec<Again>), String> {
        let (file, fields) = taken(form).await?;
        let unreadable = |error: std::io::Error| format!("The recording cannot be read: {error}.");
        let mut reader = Reader::open(file.path()).await.map_err(unreadable)?;
        let all = reader.all(REPLAYED).await.map_err(unreadable)?;
        if all.is_empty() {
            return Err("The recording holds no exchange.".to_owned());
        }
        let of = |name: &str| fields.get(name).map(|text| text.trim()).unwrap_or_default();
        let (own, token) = (self.hub().url, of("token"));
        let (url, hub) = match of("hub") {
            url if (url.is_empty() || url == own) && token.is_empty() => (own, self.0.setup.hub),
            url => {
                let token = Some(token).filter(|token| !token.is_empty());
                let added = self.instance().add_hub(url, token).await;
                (url.to_owned(), added.map_err(|refused| refused.to_string())?.id)
            }
        };
        let mut again = Vec::new();
        for recorded in all {
            let none = std::collections::BTreeMap::new();
            let made = self.instance().replay(hub, &recorded, &none, Default::default()).await;
            again.push(Again {
                number: recorded.id,
                call: recorded.call.to_string(),
                action: recorded.action.clone().unwrap_or_default(),
                then: recorded.response.as_ref().map(|response| response.status),
                now: made.as_ref().ok().and_then(|made| made.status),
                exchange: made.as_ref().ok().map(|made| made.exchange),
                severity: made.as_ref().map_or(Severity::Unknown, |made| made.verdict.severity),
                said: match made {
                    Ok(made) => made.verdict.admin,
                    Err(refused) => format!("Not made again: {refused}"),
                },
            });
        }
        Ok((url, again))
    }
}

/// The recording in a file of its own, and the other fields.
async fn taken(mut form: Multipart) -> Result<(tempfile::NamedTempFile, Pairs), String> {
    let broke = |error| format!("The upload broke off: {error}.");
    let disk = |error: std::io::Error| format!("The recording cannot be kept: {error}.");
    let file = tokio::task::spawn_blocking(tempfile::NamedTempFile::new).await;
    let file = file.map_err(|error| error.to_string())?.map_err(disk)?;
    let mut fields = Pairs::new();
    while let Some(mut field) = form.next_field().await.map_err(broke)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "recording" {
            fields.insert(name, field.text().await.map_err(broke)?);
            continue;
        }
        let mut out = tokio::fs::OpenOptions::new().write(true).open(file.path()).await;
        let out =
            out.as_mut().map_err(|error| format!("The recording cannot be kept: {error}."))?;
        let mut bytes = 0;
        while let Some(chunk) = field.chunk().await.map_err(broke)? {
            bytes += chunk.len();
            if bytes > RECORDING_AT_MOST {
                return Err("The recording is over 256 MB.".to_owned());
            }
            out.write_all(&chunk).await.map_err(disk)?;
        }
        out.flush().await.map_err(disk)?;
    }
    Ok((file, fields))
}
