//! The wire: every exchange, its lines, and what the protocol says to each.

use axum::body::Body;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Page;
use super::view::{Pairs, shown};
use crate::copy;
use crate::exchange::{Exchange, Peek};
use crate::instance::{Entry, ExchangeId};
use crate::lines::{LineKind, Side, body_lines};
use crate::recording::{Reader, Recorded};
use crate::remarks::Remark;
use crate::verdict::{Severity, Verdict};

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
    when: String,
    method: String,
    url: String,
    sent: SideView,
    got: SideView,
    status: Option<u16>,
    until_answer: f64,
    until_end: f64,
    verdict: Verdict,
    /// Whether somebody should look.
    grave: bool,
    remarks: usize,
}

/// What went one way, line by line.
#[derive(Default, Serialize)]
struct SideView {
    /// Method and URL, or the status.
    start: LineView,
    headers: Vec<LineView>,
    /// Why no whole answer came.
    failure: Option<LineView>,
    /// The lines of the body, joined where nothing is to be said between them.
    body: Vec<LineView>,
    bytes: u64,
    /// Whether the screen shows less than came.
    is_cut: bool,
    /// Whether it can be had whole.
    is_kept: bool,
}

/// A line, or several of which the last one is marked, and what the protocol says to it.
#[derive(Default, Serialize)]
struct LineView {
    /// Before the marked one.
    before: String,
    name: String,
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
        let mut sent = SideView::of(&exchange.request_body);
        let mut got = SideView::of(&exchange.response_body);
        for line in exchange.lines(&entry.remarks) {
            let said = line.remarks.iter().filter_map(|at| entry.remarks.get(*at));
            let remarks = said.map(RemarkView::of).collect();
            match line.side {
                Side::Sent => sent.add(line.kind, line.text, remarks),
                Side::Got => got.add(line.kind, line.text, remarks),
            }
        }
        Self {
            id: entry.id,
            call: exchange.call.map(|call| call.to_string()).unwrap_or_default(),
            action: exchange.action.clone().unwrap_or_default(),
            when: when(exchange),
            method: exchange.method.clone(),
            url: exchange.url.clone(),
            sent,
            got,
            status: exchange.status,
            until_answer: exchange.until_answer.as_secs_f64(),
            until_end: exchange.until_end.as_secs_f64(),
            grave: entry.verdict.severity != Severity::Success,
            verdict: entry.verdict.clone(),
            remarks: entry.remarks.len(),
        }
    }
}

impl SideView {
    fn of(body: &Peek) -> Self {
        let (bytes, is_kept) = (body.total(), body.kept().is_some());
        let (_, is_cut) = body_lines(body);
        Self { bytes, is_cut, is_kept, ..Self::default() }
    }

    fn add(&mut self, kind: LineKind, text: String, remarks: Vec<RemarkView>) {
        let mut line = LineView { text, remarks, ..LineView::default() };
        match kind {
            LineKind::Start => self.start = line,
            LineKind::Failure => self.failure = Some(line),
            LineKind::Header => {
                if let Some((name, value)) = line.text.split_once(": ") {
                    (line.name, line.text) = (name.to_owned(), value.to_owned());
                }
                self.headers.push(line);
            }
            LineKind::Body => self.add_to_body(line),
        }
    }

    fn add_to_body(&mut self, line: LineView) {
        let last = self.body.last_mut().filter(|last| last.remarks.is_empty());
        let piece = match last {
            Some(last) => last,
            None => {
                self.body.push(LineView::default());
                let end = self.body.len() - 1;
                &mut self.body[end]
            }
        };
        if line.remarks.is_empty() {
            piece.before += &line.text;
            piece.before.push('\n');
        } else {
            (piece.text, piece.remarks) = (line.text, line.remarks);
        }
    }
}

/// Recordings of others may not say when it was.
fn when(exchange: &Exchange) -> String {
    match exchange.started == jiff::Timestamp::default() {
        true => String::new(),
        false => exchange.started.strftime("%H:%M:%S").to_string(),
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
            let made =
                self.instance().replay(hub, &recorded, &none, Default::default(), None).await;
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
