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

mod after;

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
        Self::with(url, token, hub, None).await
    }

    async fn with(
        url: &str,
        token: Option<&str>,
        hub: JoinSet<()>,
        vendors: Option<Arc<dyn Vendors>>,
    ) -> Self {
        let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let instance = Instance::open(Settings::new(&base, data)).await.unwrap();
        let known = instance.add_hub(url, token).await.unwrap();
        let page = Page::new(Setup {
            instance,
            hub: known.id,
            token: token.map(str::to_owned),
            vendors,
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
        let text = self.posted("/enable", &form).await;
        assert!(text.contains("s test went well."), "{text}");
    }

    /// The page that a form leads to.
    async fn posted(&self, path: &str, form: &str) -> String {
        let (status, location, text) = self.post(path, form).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}: {text}");
        self.get(&location).await
    }

    /// Enables the action, sends a Look to it, and waits for the outcome's page.
    async fn send(&self, more: &str) -> String {
        self.enable().await;
        let (status, location, text) = self.post("/send", &format!("{ORDER}{more}")).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
        self.over(&location).await;
        self.get(&location).await
    }

    /// Waits until the send that the address shows is over.
    async fn over(&self, location: &str) {
        let id: u64 = location.rsplit("run=").next().unwrap().parse().unwrap();
        let running = self.page.instance().running().into_iter().find(|one| one.run == id);
        if let Some(running) = running {
            running.finished().await;
        }
    }

    /// The page of the latest exchange with an address that ends so.
    async fn exchange(&self, end: &str) -> String {
        let all = self.page.instance().journal().all();
        let found = all.iter().rev().find(|one| one.exchange.url.ends_with(end)).unwrap();
        self.get(&format!("/wire/{}", found.id)).await
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
        "/wire/1",
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
    let listed = bench.get("/wire?call=execute").await;
    assert!(listed.contains("<strong>execute</strong> ledger"), "{listed}");
    let wire = bench.exchange("/execute").await;
    assert!(wire.contains("authorization:</dt> <dd>Token token=&quot;••••&quot;"), "{wire}");
    assert!(wire.contains("What Looker does with this"), "{wire}");
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
    let wire = bench.exchange("/execute").await;
    assert!(wire.contains("mistaken for a success"), "{wire}");
    assert!(wire.contains("It takes this for a success, and it is none"), "{wire}");
}

#[tokio::test]
async fn a_remark_stands_beside_the_line_that_it_concerns() {
    let bench = Bench::before(&["execute/delivery/state-refresh-name"]).await;
    bench.send("").await;
    let wire = bench.exchange("/execute").await;
    let mut marked = wire.split("<span class=\"marked\">").skip(1);
    let marked = marked.find(|rest| rest.trim_start().starts_with("&quot;refreshTime&quot;"));
    let marked = marked.unwrap_or_else(|| panic!("the line is marked: {wire}"));
    let (_, after) = marked.split_once("</span><div class=\"remark").expect("a remark follows");
    let remark = after.split("</div>").next().unwrap_or_default();
    assert!(remark.contains("refreshTime"), "{remark}");
    assert!(
        remark.contains("sendoff explain execute&#x2f;delivery&#x2f;state-refresh-name"),
        "{remark}"
    );
}

#[tokio::test]
async fn what_a_hub_fetched_has_its_time_and_can_be_had_whole() {
    let bench = Bench::before(&[]).await;
    bench.enable().await;
    let order = ORDER.replace("way=push", "way=url");
    let (_, location, _) = bench.post("/send", &order).await;
    bench.over(&location).await;
    let all = bench.page.instance().journal().all();
    let fetched = all.iter().find(|one| one.exchange.url.contains("/downloads/")).unwrap();
    assert!(jiff::Timestamp::now().duration_since(fetched.exchange.started).as_secs() < 60);
    let shown = bench.get(&format!("/wire/{}", fetched.id)).await;
    assert!(shown.contains(">all of it</a>"), "{shown}");
    let whole = bench.get(&format!("/wire/{}/answer", fetched.id)).await;
    assert_eq!(whole.len() as u64, fetched.exchange.response_body.total());
    assert!(whole.starts_with("Users ID,"), "{whole}");
}

#[tokio::test]
async fn a_fault_of_lookers_is_named_and_can_be_shared() {
    let bench = Bench::before(&[]).await;
    let text = bench.send("&fault=cut@2000&seed=7").await;
    assert!(text.contains("seed=7 fault=cut@2000"), "{text}");
    // The link sets it, and no other link carries it on.
    let link =
        "&#x2f;?data=look%3Acustomers&amp;action=ledger&amp;faults=seed%3D7%20fault%3Dcut%402000";
    assert!(text.contains(link), "{text}");
    let text =
        bench.get("/?data=look:customers&action=ledger&faults=seed%3D7%20fault%3Dcut%402000").await;
    assert!(text.contains("name=\"fault_text\" value=\"seed=7 fault=cut@2000\""), "{text}");
    assert_eq!(text.matches("cut%402000").count(), 0, "{text}");
    assert!(!text.contains("answered 200: success"), "{text}");
    let text = bench.posted("/send", "action=x&fault_text=nonsense").await;
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

/// A hub that answers every request so, at an address of its own.
async fn scripted(answer: fn(&str, &str) -> (&'static str, String)) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let base = url.clone();
    let hub = Router::new().fallback(move |request: Request<Body>| {
        let (media_type, text) = answer(&base, request.uri().path());
        async move { ([(header::CONTENT_TYPE, media_type)], text) }
    });
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, hub).await.unwrap() });
    (url, serving)
}

/// In every text that a hub may give.
const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}";

fn evil(base: &str, path: &str) -> (&'static str, String) {
    let url = |end: &str| format!("{base}actions/evil/{end}");
    let answer = match path {
        "/" => serde_json::json!({"label": EVIL, "integrations": [{
            "name": "evil", "label": EVIL, "description": EVIL, "url": url("execute"),
            "form_url": url("form"), "icon_data_uri": EVIL,
            "supported_action_types": ["query", "dashboard", "cell"],
            "params": [
                {"name": "p", "label": EVIL, "description": EVIL, "required": false},
                {"name": "q", "label": EVIL, "user_attribute_name": EVIL},
            ],
        }, {
            "name": "choosy", "label": EVIL, "url": url("execute"),
            "supported_action_types": ["query"], "required_fields": [{"tag": EVIL}],
        }]}),
        "/actions/evil/form" => serde_json::json!([
            {"name": EVIL, "label": EVIL, "description": EVIL, "default": EVIL, "required": true},
            {"name": "t", "label": EVIL, "type": "textarea", "default": EVIL},
            {"name": "s", "label": EVIL, "type": "select", "default": EVIL, "interactive": true,
             "options": [{"name": EVIL, "label": EVIL}, {"name": "o", "label": EVIL}]},
            {"name": "m", "label": EVIL, "type": "message", "value": EVIL},
            {"name": "l", "label": EVIL, "type": "oauth_link", "description": EVIL,
             "oauth_url": format!("https://login.example/{EVIL}")},
            {"name": "j", "label": EVIL, "type": "oauth_link", "oauth_url": "javascript:alert(3)"},
        ]),
        _ => serde_json::json!({"looker": {
            "success": false, "message": EVIL, "validation_errors": {"t": EVIL, EVIL: EVIL},
            "state": {"data": EVIL},
        }, EVIL: EVIL}),
    };
    ("application/json", answer.to_string())
}

fn is_harmless(text: &str, place: &str) {
    for sign in ["<script>alert", "<img src=x", "=\"javascript:", "alert(2)&gt;49"] {
        assert!(!text.contains(sign), "{place}: {sign} in {text}");
    }
    // All attributes are in double quotes: no value may end one.
    assert!(!text.contains("\"'>"), "{place}: {text}");
}

#[tokio::test]
async fn markup_of_a_hub_stays_text_on_every_page() {
    let (url, hub) = scripted(evil).await;
    let bench = Bench::at(&url, None, hub).await;
    let name = "action=evil";
    let encoded: String =
        percent_encoding::utf8_percent_encode(EVIL, percent_encoding::NON_ALPHANUMERIC).collect();
    let text =
        bench.posted("/enable", &format!("{name}&do=enable&param.p={encoded}&param.q=x")).await;
    is_harmless(&text, "enable");
    assert!(text.contains("&lt;script&gt;alert(1)"), "it is drawn: {text}");
    let order = format!("data=sql&sql=SELECT+1+AS+n&{name}&field.t={encoded}&title={encoded}");
    let (_, _, text) = bench.post("/form", &order).await;
    is_harmless(&text, "form");
    let (_, location, text) = bench.post("/send", &order).await;
    is_harmless(&text, "send");
    assert!(location.contains("run="), "{text}");
    bench.over(&location).await;
    let (_, _, text) = bench.post("/schedules/new", &order).await;
    is_harmless(&text, "draft");
    bench.post("/schedules", &format!("{order}&cron=0+6+*+*+1&zone=UTC")).await;
    let user = format!("do=user&user.id=eve&user.name={encoded}&user.attributes=a={encoded}");
    bench.post("/looker", &user).await;
    let all = bench.page.instance().journal().all();
    let mut places: Vec<String> = all.iter().map(|one| format!("/wire/{}", one.id)).collect();
    let more = [
        "/",
        "/?action=evil",
        "/?action=choosy",
        "/schedules",
        "/wire",
        "/load",
        "/looker",
        "/runs/1",
    ];
    places.extend(more.map(str::to_owned));
    places.push(location);
    places.push(format!("/?data=sql&sql={encoded}&find={encoded}&action=evil"));
    for place in places {
        is_harmless(&bench.get(&place).await, &place);
    }
    let (_, text) = bench
        .ask(
            Request::get(format!("/?action={encoded}&data=look:{encoded}&cell={encoded}"))
                .header(header::HOST, HOST)
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    is_harmless(&text, "an address");
}

#[tokio::test]
async fn what_is_no_hub_or_has_another_token_is_told_in_a_sentence() {
    let page = |_: &str, _: &str| ("text/html", "<!doctype html><h1>Welcome</h1>".to_owned());
    let (url, hub) = scripted(page).await;
    let text = Bench::at(&url, None, hub).await.get("/").await;
    assert!(text.contains("s list cannot be used.") && text.contains("cannot be read"), "{text}");
    assert!(!text.contains("<h1>Welcome"), "{text}");
    let (url, hub) = scripted(|_, _| ("application/json", "{\"hello\":1}".to_owned())).await;
    let text = Bench::at(&url, None, hub).await.get("/").await;
    assert!(text.contains("The hub lists no action."), "{text}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut hub = JoinSet::new();
    hub.spawn(async move { bad::serve_with(&[], listener).await.unwrap() });
    let bench = Bench::at(&url, Some("another/token"), hub).await;
    let text = bench.get("/").await;
    assert!(text.contains("s list cannot be used.") && text.contains("401"), "{text}");
    assert!(text.contains("is the token one of its own?"), "{text}");
}

#[tokio::test]
async fn a_hub_that_goes_away_or_gives_no_form_costs_nothing_that_was_filled_in() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut hub = JoinSet::new();
    hub.spawn(async move { bad::serve_with(&[], listener).await.unwrap() });
    let bench = Bench::at(&url, Some(bad::TOKEN), JoinSet::new()).await;
    bench.enable().await;
    bench.post("/form", &format!("{ORDER}&field.note=keep+me")).await;
    hub.shutdown().await;
    let order = format!("{ORDER}&field.note=keep+me");
    let (_, location, text) = bench.post("/send", &order).await;
    assert!(location.contains("run="), "{text}");
    bench.over(&location).await;
    let text = bench.get(&location).await;
    assert!(text.contains("gave no answer"), "{text}");
    assert!(text.contains("There is no form.</strong> No connection to "), "{text}");
    // The hub is there again, and so is what was filled in.
    let listener = TcpListener::bind(url.trim_start_matches("http://").trim_end_matches('/')).await;
    hub.spawn(async move { bad::serve_with(&[], listener.unwrap()).await.unwrap() });
    let text = bench.get(&location).await;
    assert!(text.contains(">keep me</textarea>"), "{text}");
    let bench = Bench::before(&["form/answer/is-json"]).await;
    bench.post("/enable", &format!("action=ledger&do=enable&param.api_key={SECRET}")).await;
    let text = bench.get("/?data=look:customers&action=ledger").await;
    assert!(
        text.contains("There is no form.</strong> The hub&#x27;s answer cannot be read"),
        "{text}"
    );
}

#[tokio::test]
async fn a_broken_icon_is_a_letter() {
    let bench = Bench::before(&["list/action/icon-is-image"]).await;
    assert!(bench.get("/").await.contains("src=\"/icon/note\""));
    let icon = bench.get("/icon/note").await;
    assert!(icon.starts_with("<svg") && icon.contains(">N<"), "{icon}");
}

#[tokio::test]
async fn fifty_thousand_rows_are_shown_in_part_and_sent_whole() {
    let bench = Bench::before(&[]).await;
    bench.enable().await;
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
               SELECT i, 'a' || i || '@example.com' AS email FROM n";
    let sql: String =
        percent_encoding::utf8_percent_encode(sql, percent_encoding::NON_ALPHANUMERIC).collect();
    let text = bench.get(&format!("/?data=sql&sql={sql}")).await;
    assert!(text.contains("The first 50 rows are shown; all are sent."), "{text}");
    assert_eq!(text.matches("<tr>").count(), 51);
    let order =
        format!("data=sql&sql={sql}&action=ledger&format=csv&way=url&limit=all&field.path=out");
    let (_, location, _) = bench.post("/send", &order).await;
    bench.over(&location).await;
    let all = bench.page.instance().journal().all();
    let fetched = all.iter().find(|one| one.exchange.url.contains("/downloads/")).unwrap();
    let whole = bench.get(&format!("/wire/{}/answer", fetched.id)).await;
    assert_eq!(whole.lines().count(), 50_001);
    assert!(bench.get(&location).await.contains("answered 200: success"));
}

/// Every way in which a hub can be wrong, before the page of a person who knows nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_hub_does_wrong_the_page_has_a_sentence() {
    let mut all = JoinSet::new();
    for id in bad::faults() {
        all.spawn(async move {
            let faults: &'static [&'static str] = Box::leak(vec![id].into_boxed_slice());
            let bench = Bench::before(faults).await;
            let draws = |text: &str, place: &str| {
                assert!(text.starts_with("<!doctype html>"), "{id}: {place}: {text}");
                assert!(!text.contains("which is a bug"), "{id}: {place}: {text}");
            };
            draws(&bench.get("/").await, "the first page");
            let form = format!("action=ledger&do=enable&param.api_key={SECRET}");
            draws(&bench.posted("/enable", &form).await, "enabling");
            let (status, location, text) = bench.post("/send", ORDER).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{id}: {text}");
            if !location.contains("run=") {
                let text = bench.get(&location).await;
                assert!(text.contains("Nothing was sent.</strong> "), "{id}: {text}");
                return;
            }
            let over = tokio::time::timeout(Duration::from_secs(5), bench.over(&location)).await;
            if over.is_err() {
                // It waits as Looker does; a person stops it.
                let run = location.rsplit("run=").next().unwrap();
                bench.post(&format!("/runs/{run}/cancel"), "").await;
            }
            let text = bench.get(&location).await;
            draws(&text, "the outcome");
            assert!(text.contains("<h4>Looker's user sees</h4>"), "{id}: {text}");
            draws(&bench.get("/schedules").await, "the history");
        });
    }
    assert!(all.len() > 60);
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
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
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    let text = bench.get("/?data=table:").await;
    assert!(text.contains("not taken in.</strong> The upload broke off: "), "{text}");
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
    let text = bench.posted("/enable", "action=ledger&do=enable&param.api_key=").await;
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
