//! Google's services as the bench plays them, and what is measured against them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::body::csv_rows;
use crate::child::{Hub, Server};
use crate::client::{Client, request};
use crate::figures::{Bench, Figure, MIB, check, median, note_processor_time};
use crate::table::Row;

/// How many folders the drive has.
const FOLDERS: usize = 10_000;
/// How long each of Google's answers takes, in milliseconds.
const LATENCY: u64 = 50;
/// The spreadsheet that is there.
const SPREADSHEET: &str = "spreadsheet-of-the-bench";
/// What goes there, and what a write should carry at most.
const SHEET_ROWS: u64 = 100_000;
const WRITE: u64 = 2_000_000;
/// A key of nobody's.
const KEY: &str = include_str!("../../sendoff-destinations/src/shared/google/test_key.pem");

/// Answers a request whose body is gone; `head` is in small letters.
pub(crate) fn answer(head: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default()
    };
    if target.contains("upload_id=") {
        return piece(header("content-range: bytes "), path);
    }
    if target.contains("uploadtype=resumable") {
        let host = header("host:");
        let location = format!("location: https://{host}{target}&upload_id=bench\r\n");
        return response("200 OK", &location, "");
    }
    let text = match path {
        "/token" => r#"{"access_token":"bench-token","expires_in":3599}"#.to_owned(),
        "/oauth2/v2/userinfo" => r#"{"email":"ada@example.com","verified_email":true}"#.to_owned(),
        "/drive/v3/drives" => r#"{"drives":[{"id":"0ASharedDrive","name":"Finance"}]}"#.to_owned(),
        "/drive/v3/files" => page(target),
        path if path.starts_with("/v4/spreadsheets/") => sheets(path),
        _ => {
            let id = path.rsplit('/').next().unwrap_or_default();
            format!(
                r#"{{"id":"{id}","name":"Folder","mimeType":"application/vnd.google-apps.folder","parents":["0AHome"],"capabilities":{{"canAddChildren":true}}}}"#
            )
        }
    };
    response("200 OK", "content-type: application/json\r\n", &text)
}

/// A spreadsheet with one tab, which takes anything.
fn sheets(path: &str) -> String {
    let sheets = r#"[{"properties":{"sheetId":0,"title":"Data","gridProperties":{"rowCount":1000,"columnCount":26}}}]"#;
    let seen = path.split('/').count() == 4 && !path.contains(':');
    let sheets = if seen { format!(r#","sheets":{sheets}"#) } else { String::new() };
    format!(r#"{{"spreadsheetId":"{SPREADSHEET}","properties":{{"title":"Bench"}}{sheets}}}"#)
}

/// As many folders as are asked for, of all that there are.
fn page(target: &str) -> String {
    let size = target.split("pagesize=").nth(1).and_then(|rest| rest.split('&').next());
    let size = size.and_then(|size| size.parse().ok()).unwrap_or(100).min(FOLDERS);
    let folder = |n| format!(r#"{{"id":"folder-of-bench-{n:05}","name":"Folder {n:05}"}}"#);
    let files: Vec<_> = (0..size).map(folder).collect();
    format!(r#"{{"files":[{}],"nextPageToken":"more"}}"#, files.join(","))
}

/// What was got of an upload, or the file if that was the last piece.
fn piece(range: &str, path: &str) -> String {
    let (bytes, total) = range.split_once('/').unwrap_or_default();
    let last = bytes.rsplit('-').next().unwrap_or_default();
    if total == "*" {
        return response("308 Resume Incomplete", &format!("range: bytes=0-{last}\r\n"), "");
    }
    let text = match path.contains("/storage/") {
        true => format!(r#"{{"name":"bench.csv","generation":"1","size":"{total}"}}"#),
        false => {
            format!(r#"{{"id":"1","name":"bench.csv","mimeType":"text/csv","size":"{total}"}}"#)
        }
    };
    response("200 OK", "content-type: application/json\r\n", &text)
}

fn response(status: &str, headers: &str, text: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{text}", text.len())
}

impl Bench {
    async fn hub_of_google(&self, vendor: &Server) -> Result<Hub> {
        let hosts =
            ["oauth2", "www", "storage", "sheets"].map(|host| format!("{host}.googleapis.com"));
        let origins = hosts.map(|host| format!("https://{host}=http://{}", vendor.address));
        let more = [
            ("SENDOFF_ORIGINS", origins.join(",")),
            ("GOOGLE_DRIVE_CLIENT_ID", "bench".to_owned()),
            ("GOOGLE_DRIVE_CLIENT_SECRET", "a secret of nobody".to_owned()),
        ];
        Hub::start_with(&self.hub, &more).await
    }

    /// One level after the other of a drive with many folders, each asked for anew.
    pub(crate) async fn drive_form(&self) -> Result<Row> {
        let vendor = Server::part(&["vendor", "--google", "--latency", &LATENCY.to_string()])?;
        let hub = self.hub_of_google(&vendor).await?;
        let mut client = Client::connect(hub.server.address).await?;
        let (mut times, mut folders) = (Vec::new(), 0);
        for round in 0..=(5 * self.rounds) {
            let folder = match round {
                0 => "root".to_owned(),
                _ => format!("folder-of-bench-{round:05}"),
            };
            let body = serde_json::json!({
                "type": "query",
                "data": {"state_json": state(), "domain_allowlist": "example.com"},
                "form_params": {"drive": "mydrive", "fetchpls": "fetch", "folder": folder},
            });
            let body = body.to_string();
            let started = Instant::now();
            let path = "/actions/google_drive/form";
            let answer = client.call(path, &hub.token, body.as_bytes()).await?;
            let text = String::from_utf8_lossy(answer.body).into_owned();
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
            folders = text.matches("folder-of-bench-").count();
            ensure!(folders >= 199, "the form shows {folders} folders: {text}");
        }
        let first = *times.first().context("a first form")?;
        let worst = times.iter().copied().fold(0.0, f64::max);
        Ok(Row {
            figure: Figure::DriveForm.title().into(),
            measured: format!(
                "first {first:.0} ms, then {:.0} ms, worst {worst:.0} ms, {folders} of {FOLDERS} \
                 folders shown",
                median(&mut times)
            ),
            yardstick: format!("one answer {LATENCY} ms"),
            ratio: None,
            must: "300 ms".into(),
            ok: worst < 300.0,
        })
    }

    /// How many requests a large result takes: Google allows a user 60 writes a minute.
    pub(crate) async fn sheets(&self) -> Result<Row> {
        let vendor = Server::part(&["vendor", "--google"])?;
        let hub = self.hub_of_google(&vendor).await?;
        let execute = serde_json::json!({
            "type": "query",
            "scheduled_plan": {
                "scheduled_plan_id": 88,
                "title": "Bench",
                "download_url": format!("http://{}/cells/{SHEET_ROWS}", vendor.address),
            },
            "attachment": null,
            "data": {"state_json": state()},
            "form_params": {"spreadsheet": SPREADSHEET, "overwrite": "yes", "format": "csv"},
        });
        let path = "/actions/google_sheets/execute";
        let execute = request(path, &hub.token, execute.to_string().as_bytes());
        let before = hub.server.memory()?.now;
        let mut times = Vec::new();
        let (mut calls, mut bytes) = (0, 0);
        for _ in 0..self.rounds {
            let mut client = Client::connect(hub.server.address).await?;
            crate::figures::total(vendor.address).await?;
            let started = Instant::now();
            check(client.exchange(&execute).await?)?;
            times.push(started.elapsed().as_secs_f64());
            let total = crate::figures::total(vendor.address).await?;
            (calls, bytes) = (total.requests, total.bytes);
        }
        let growth = hub.server.memory()?.peak.saturating_sub(before) as f64 / MIB;
        // A look before and one when the rows are ready, so that nothing is written over that came in
        // between; one hidden tab, one last step, and the rows in writes of what Google advises.
        let fewest = 4 + bytes.div_ceil(WRITE);
        Ok(Row {
            figure: Figure::Sheets.title().into(),
            measured: format!(
                "{calls} calls for {:.1} MB, {:.1} s, memory +{growth:.1} MiB",
                bytes as f64 / 1e6,
                median(&mut times)
            ),
            yardstick: format!("{fewest} calls of 2 MB"),
            ratio: None,
            must: "the fewest, ≤ 60".into(),
            ok: calls > 4 && calls <= fewest.min(60) && bytes > 20 * SHEET_ROWS,
        })
    }

    /// A download that goes on to Google in pieces.
    pub(crate) async fn google_upload(&self, figure: Figure) -> Result<Row> {
        let vendor = Server::part(&["vendor", "--google"])?;
        let hub = self.hub_of_google(&vendor).await?;
        let times = usize::try_from(self.bytes)?.div_ceil(csv_rows().len());
        let bytes = (times * csv_rows().len()) as u64;
        let (action, data, form) = match figure {
            Figure::DriveUpload => {
                ("google_drive", serde_json::json!({"state_json": state()}), serde_json::json!({}))
            }
            _ => (
                "google_cloud_storage",
                serde_json::json!({
                    "client_email": "bench@example.com", "private_key": KEY, "project_id": "bench"
                }),
                serde_json::json!({"bucket": "bench"}),
            ),
        };
        let mut form = form;
        form["filename"] = "bench.csv".into();
        form["format"] = "csv".into();
        let execute = serde_json::json!({
            "type": "query",
            "scheduled_plan": {
                "scheduled_plan_id": 88,
                "title": "Bench",
                "download_url": format!("http://{}/give/{times}", vendor.address),
            },
            "attachment": null,
            "data": data,
            "form_params": form,
        });
        let path = format!("/actions/{action}/execute");
        let execute = request(&path, &hub.token, execute.to_string().as_bytes());
        let before = hub.server.memory()?.now;
        let mut speeds = Vec::new();
        for _ in 0..self.rounds {
            let mut client = Client::connect(hub.server.address).await?;
            let started = Instant::now();
            check(client.exchange(&execute).await?)?;
            speeds.push(bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
            let total = crate::figures::total(vendor.address).await?;
            ensure!(total.bytes >= bytes, "Google got {} bytes only", total.bytes);
        }
        let growth = hub.server.memory()?.peak.saturating_sub(before) as f64 / MIB;
        note_processor_time(&[("hub", &hub.server)], &speeds, bytes)?;
        let speed = median(&mut speeds);
        Ok(Row {
            figure: figure.title().into(),
            measured: format!("{speed:.0} MB/s, memory +{growth:.1} MiB"),
            yardstick: "–".into(),
            ratio: None,
            must: "≤ 24 MiB".into(),
            ok: growth <= 24.0,
        })
    }
}

/// What Looker keeps for a user who has logged in, for a long time to come.
fn state() -> String {
    serde_json::json!({
        "tokens": {
            "access_token": "bench-token", "refresh_token": "bench-refresh-token",
            "expiry_date": 4_102_444_800_000_u64,
        },
        "redirect": "https://hub.example/actions/google_drive/oauth_redirect",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn google_is_played_as_far_as_the_hub_asks() {
        let begun =
            answer("post /x http/1.1\r\nhost: www.googleapis.com", "/x?uploadtype=resumable");
        assert!(
            begun.contains("location: https://www.googleapis.com/x?uploadtype=resumable&upload_id")
        );
        let more = answer("put\r\ncontent-range: bytes 0-99/*", "/x?upload_id=1");
        assert!(more.starts_with("HTTP/1.1 308 ") && more.contains("range: bytes=0-99\r\n"));
        let last = answer("put\r\ncontent-range: bytes 100-149/150", "/storage?upload_id=1");
        assert!(last.contains(r#""size":"150""#), "{last}");
        assert!(sheets("/v4/spreadsheets/x").contains(r#""rowCount":1000"#));
        let path = "/v4/spreadsheets/x:batchupdate";
        let done =
            format!(r#"{{"spreadsheetId":"{SPREADSHEET}","properties":{{"title":"Bench"}}}}"#);
        assert_eq!(sheets(path), done);
        assert_eq!(page("/drive/v3/files?pagesize=200").matches("\"id\"").count(), 200);
    }
}
