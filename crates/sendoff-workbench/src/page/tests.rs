//! The page over HTTP, in this process, before a right hub, a wrong one and none.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::*;
use crate::instance::Settings;
use crate::{DataLimits, bad};

const HOST: &str = "127.0.0.1:8090";
const SECRET: &str = "canary-api-key-3f9a";
/// A Look that has what the wrong hubs' action needs.
const ORDER: &str = "data=look:customers&action=ledger&format=csv&way=push&field.path=out";

/// A page before a hub with these faults.
struct Bench {
    page: Page,
    routes: Router,
    _hub: JoinSet<()>,
}

impl Bench {
    async fn before(faults: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut hub = JoinSet::new();
        hub.spawn(async move { bad::serve_with(faults, listener).await.unwrap() });
        Self::at(&url, Some(bad::TOKEN), hub).await
    }

    async fn at(url: &str, token: Option<&str>, hub: JoinSet<()>) -> Self {
        let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let instance = Instance::open(Settings::new(&base, data)).await.unwrap();
        let known = instance.add_hub(url, token).await.unwrap();
        let page = Page::new(Setup {
            instance,
            hub: known.id,
            token: token.map(str::to_owned),
            vendors: None,
            hub_process: None,
        });
        let routes = page.routes();
        let mut tasks = hub;
        let server = page.clone();
        tasks.spawn(async move { server.serve(listener).await.unwrap() });
        Self { page, routes, _hub: tasks }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        #[allow(clippy::disallowed_methods, reason = "the page is ours")]
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::get(path).header(header::HOST, HOST).body(Body::empty()).unwrap();
        let (status, text) = self.ask(request).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    async fn post(&self, path: &str, form: &str) -> (StatusCode, String, String) {
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let location = response.headers().get(header::LOCATION);
        let location = location.map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
        #[allow(clippy::disallowed_methods, reason = "the page is ours")]
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, location, String::from_utf8_lossy(&body).into_owned())
    }

    async fn enable(&self) {
        let form = format!("action=ledger&do=enable&param.api_key={SECRET}");
        let (status, _, text) = self.post("/enable", &form).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("s test went well."), "{text}");
    }

    /// Enables the action, sends a Look to it, and waits for the outcome's page.
    async fn send(&self, more: &str) -> String {
        self.enable().await;
        let (status, location, text) = self.post("/send", &format!("{ORDER}{more}")).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
        let id: u64 = location.rsplit("run=").next().unwrap().parse().unwrap();
        let running = self.page.instance().running().into_iter().find(|one| one.run == id);
        if let Some(running) = running {
            running.finished().await;
        }
        self.get(&location).await
    }
}

#[tokio::test]
async fn every_page_is_drawn_and_nobody_else_may_frame_or_load_anything() {
    let bench = Bench::before(&[]).await;
    for path in [
        "/",
        "/?data=dashboard:shop",
        "/?data=sql",
        "/?data=table:",
        "/schedules",
        "/wire",
        "/load",
        "/check",
        "/looker",
        "/?data=look:servers&cell=0.1",
    ] {
        let text = bench.get(path).await;
        assert!(text.starts_with("<!doctype html>"), "{path}");
        assert!(!text.contains(bad::TOKEN), "{path} holds the token");
        for (n, _) in text.match_indices("http") {
            let rest: String = text[n..].chars().take(24).collect();
            let ours = rest.starts_with("http://127.0.0.1") || !rest.contains("://");
            assert!(ours, "{path} points to {rest}");
        }
    }
    let request = Request::get("/").header(header::HOST, HOST).body(Body::empty()).unwrap();
    let response = bench.routes.clone().oneshot(request).await.unwrap();
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test]
async fn another_sites_page_gets_nothing_done() {
    let bench = Bench::before(&[]).await;
    let foreign = |origin: &str, host: &str| {
        Request::post("/looker")
            .header(header::HOST, host)
            .header(header::ORIGIN, origin)
            .body(Body::from("do=list"))
            .unwrap()
    };
    let before = bench.page.instance().journal().all().len();
    for (origin, host) in [("http://evil.example", HOST), ("http://evil.example", "evil.example")] {
        let (status, _) = bench.ask(foreign(origin, host)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let rebound = Request::get("/").header(header::HOST, "evil.example:8090");
    let (status, _) = bench.ask(rebound.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(bench.page.instance().journal().all().len(), before);
}

#[tokio::test]
async fn a_look_is_sent_and_the_outcome_is_told_in_words() {
    let bench = Bench::before(&[]).await;
    let text = bench.send("").await;
    assert!(text.contains("answered 200: success"), "{text}");
    assert!(text.contains("<h4>Looker's user sees</h4>"), "{text}");
    assert!(text.contains("Nothing: it was sent."), "{text}");
    let wire = bench.get("/wire?call=execute").await;
    assert!(wire.contains("authorization:</dt> <dd>Token token=&quot;••••&quot;"), "{wire}");
    let history = bench.get("/schedules").await;
    assert!(
        history.contains(">Customers to reach</a>") && history.contains(">success<"),
        "{history}"
    );
}

#[tokio::test]
async fn a_failure_that_looker_takes_for_a_success_is_red() {
    let bench = Bench::before(&["execute/delivery/not-empty"]).await;
    let text = bench.send("").await;
    assert!(text.contains("Looker takes this for a success, and it is none"), "{text}");
}

#[tokio::test]
async fn a_fault_of_lookers_is_named_and_can_be_shared() {
    let bench = Bench::before(&[]).await;
    let text = bench.send("&fault=cut@2000&seed=7").await;
    assert!(text.contains("seed=7 fault=cut@2000"), "{text}");
    assert!(!text.contains("answered 200: success"), "{text}");
    let (status, _, text) = bench.post("/send", "action=x&fault_text=nonsense").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("`nonsense` is no fault"), "{text}");
}

#[tokio::test]
async fn a_hub_that_is_none_is_told_in_a_sentence() {
    // A port that nobody has: it was ours a moment ago.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let gone = Bench::at(&url, None, JoinSet::new()).await;
    let text = gone.get("/").await;
    assert!(text.contains("s list cannot be used."), "{text}");
    assert!(text.contains("hub not reached"), "{text}");
    let wrong = Bench::before(&["list/answer/is-json"]).await;
    assert!(wrong.get("/").await.contains("s list cannot be used."));
}

#[tokio::test]
async fn markup_in_data_and_in_forms_stays_text() {
    let bench = Bench::before(&[]).await;
    let sql = "SELECT '<script>alert(1)</script>' AS \"<b>name</b>\"";
    let encoded: String =
        percent_encoding::utf8_percent_encode(sql, percent_encoding::NON_ALPHANUMERIC).collect();
    let text = bench.get(&format!("/?data=sql&sql={encoded}")).await;
    assert!(text.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "{text}");
    assert!(!text.contains("<script>alert"), "{text}");
    let field = sendoff_protocol::Field {
        name: "\"><script>".into(),
        label: Some("<img src=x>".into()),
        oauth_url: Some("javascript:alert(1)".into()),
        kind: sendoff_protocol::FieldType::OauthLink,
        ..Default::default()
    };
    let none = Pairs::new();
    let form = action::FormView::of("file", &[field], &none, &none, &none);
    let drawn = serde_json::to_string(&form).unwrap();
    assert!(!drawn.contains("javascript:"), "{drawn}");
}

#[tokio::test]
async fn wrong_sql_is_a_sentence_and_a_file_becomes_data() {
    let bench = Bench::before(&[]).await;
    let text = bench.get("/?data=sql&sql=SELEC").await;
    assert!(text.contains("role=\"alert\">SQL: "), "{text}");
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"leads.csv\"\r\n\
                Content-Type: text/csv\r\n\r\nemail,score\r\na@example.com,1\r\n\r\n--b--\r\n";
    let upload = |body: &'static str| {
        Request::post("/data/upload")
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(Body::from(body))
            .unwrap()
    };
    let (status, text) = bench.ask(upload(body)).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    let text = bench.get("/?data=table:leads").await;
    assert!(text.contains("a@example.com") && text.contains("<span class=\"badge tag\">email"));
    let (status, text) = bench.ask(upload("--b\r\n--b--\r\n")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
}

#[tokio::test]
async fn a_schedule_is_made_sent_paused_and_deleted() {
    let bench = Bench::before(&[]).await;
    bench.enable().await;
    let order = ORDER;
    let (_, _, draft) = bench.post("/schedules/new", order).await;
    assert!(draft.contains("name=\"data\" value=\"look:customers\""), "{draft}");
    let (status, _, text) = bench.post("/schedules", &format!("{order}&cron=never&zone=UTC")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("`never` is no cron expression"), "{text}");
    let made = format!("{order}&cron=0+6+*+*+1&zone=Europe/Berlin&title=Weekly");
    let (status, ..) = bench.post("/schedules", &made).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let id = bench.page.instance().schedules()[0].id;
    assert!(bench.get("/schedules").await.contains("Weekly"));
    bench.post(&format!("/schedules/{id}"), "do=send").await;
    for running in bench.page.instance().running() {
        running.finished().await;
    }
    assert!(bench.get("/schedules").await.contains("schedule, sent now"));
    bench.post(&format!("/schedules/{id}"), "do=pause").await;
    assert!(!bench.page.instance().schedules()[0].enabled);
    bench.post(&format!("/schedules/{id}"), "do=delete").await;
    assert!(bench.page.instance().schedules().is_empty());
}

#[tokio::test]
async fn an_exchange_is_copied_recorded_and_played_again() {
    let bench = Bench::before(&[]).await;
    bench.send("").await;
    let all = bench.page.instance().journal().all();
    let execute = all.iter().find(|one| one.exchange.url.ends_with("/execute")).unwrap().id;
    let text = bench.get(&format!("/wire/{execute}")).await;
    for part in ["sendoff send", "curl ", "#[tokio::test]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(bad::TOKEN) && !text.contains(SECRET), "{text}");
    let recording = bench.get("/wire/record").await;
    assert_eq!(recording.lines().count(), all.len(), "{recording}");
    let part = |name: &str, more: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{text}\r\n")
    };
    let body = part("recording", "; filename=\"r.jsonl\"", &recording) + "--b--\r\n";
    let request = Request::post("/wire/replay")
        .header(header::HOST, HOST)
        .header(header::ORIGIN, format!("http://{HOST}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(Body::from(body))
        .unwrap();
    let (status, text) = bench.ask(request).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("Played again") && text.contains("execute ledger"), "{text}");
    assert!(!text.contains("differs"), "{text}");
}

#[tokio::test]
async fn what_the_data_lacks_is_said_in_words() {
    let bench = Bench::before(&[]).await;
    let text = bench.get("/?data=look:penguins").await;
    assert!(text.contains("No column has one of the tags `email`."), "{text}");
    let text = bench.get("/?data=look:customers&action=ledger").await;
    assert!(text.contains("“Users Email” has the tag it needs: email."), "{text}");
    let text = bench.get("/?data=look:customers&action=note").await;
    assert!(text.contains("It takes single cells only."), "{text}");
}

#[tokio::test]
async fn a_form_is_drawn_again_with_what_the_hub_gave_back() {
    let bench = Bench::before(&[]).await;
    bench.enable().await;
    let asked = "data=look:customers&action=ledger&field.mode=replace&field.path=kept";
    let (_, _, text) = bench.post("/form", asked).await;
    assert!(text.contains("<option value=\"replace\" selected>"), "{text}");
    assert!(text.contains("was told “kept” for Path and did not give it back"), "{text}");
    assert!(text.contains("hx-post=\"/form\" hx-trigger=\"change\""), "{text}");
}

#[tokio::test]
async fn a_secret_param_is_kept_and_never_shown() {
    let bench = Bench::before(&[]).await;
    bench.send("").await;
    for path in ["/?action=ledger", "/wire", "/wire/1", "/wire/record", "/looker", "/schedules"] {
        assert!(!bench.get(path).await.contains(SECRET), "{path}");
    }
    // Empty means that it stays.
    let (_, _, text) = bench.post("/enable", "action=ledger&do=enable&param.api_key=").await;
    assert!(text.contains("s test went well."), "{text}");
}

#[tokio::test]
async fn a_login_button_leads_to_the_hub() {
    let bench = Bench::before(&[]).await;
    bench.post("/enable", "action=drive&do=enable").await;
    let text = bench.get("/?data=look:customers&action=drive").await;
    assert!(text.contains("Log in<span"), "{text}");
    assert!(text.contains("&#x2f;actions&#x2f;drive&#x2f;oauth?state="), "{text}");
    assert!(text.contains("id=\"send-now\" class=\"primary wide-on-phone\" disabled"), "{text}");
}
