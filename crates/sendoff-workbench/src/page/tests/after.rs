//! The page after a form was posted: its address can be drawn again, what was filled in is still
//! there, and what stands at a vendor is said to be of the send that brought it.

use futures_util::future::BoxFuture;

use super::*;

#[tokio::test]
async fn a_page_after_a_form_can_be_drawn_again() {
    let bench = Bench::before(&[]).await;
    let form = format!("data=look:customers&action=ledger&do=enable&param.api_key={SECRET}");
    let (_, location, _) = bench.post("/enable", &form).await;
    assert_eq!(location, "/?data=look%3Acustomers&action=ledger");
    let told = "s test went well.";
    assert!(bench.get(&location).await.contains(told));
    assert!(!bench.get(&location).await.contains(told), "it is told once");
    let (_, location, _) = bench.post("/data/upload", "").await;
    assert_eq!(location, "", "no form with a file");
    for (path, stands_on) in [
        ("/enable", "/"),
        ("/form", "/"),
        ("/send", "/"),
        ("/data/upload", "/"),
        ("/schedules/new", "/schedules"),
        ("/wire/replay", "/"),
    ] {
        let request = Request::get(path).header(header::HOST, HOST).body(Body::empty()).unwrap();
        let response = bench.routes.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(response.headers()[header::LOCATION], stands_on, "{path}");
    }
}

#[tokio::test]
async fn a_refused_send_keeps_what_was_chosen() {
    let bench = Bench::before(&[]).await;
    bench.enable().await;
    let order = format!("{ORDER}&field.note=keep+me&fault_text=nonsense");
    let (_, location, _) = bench.post("/send", &order).await;
    assert_eq!(location, "/?data=look%3Acustomers&action=ledger");
    let text = bench.get(&location).await;
    assert!(text.contains("Nothing was sent.</strong> "), "{text}");
    assert!(text.contains("nonsense") && text.contains(">keep me</textarea>"), "{text}");
    assert!(!bench.get(&location).await.contains("Nothing was sent.</strong>"), "it is told once");
}

/// A shelf that another send filled, and that the next send fills if it may.
#[derive(Default)]
struct Shelf(Mutex<Vec<Delivered>>);

impl Shelf {
    fn put(&self, name: &str, start: &str) {
        let start = Some(start.to_owned());
        locked(&self.0).push(Delivered { name: name.to_owned(), start, ..Delivered::default() });
    }
}

impl Vendors for Shelf {
    fn known(&self, _: &str) -> Option<Known> {
        Some(Known::default())
    }
    fn objects<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Vec<Delivered>> {
        Box::pin(async { locked(&self.0).clone() })
    }
    fn visits(&self, _: &str) -> Vec<Visit> {
        Vec::new()
    }
    fn mischiefs(&self, _: &str) -> Vec<Mischief> {
        Vec::new()
    }
    fn prepare(&self, _: &str, _: &str) {}
    fn heal(&self, _: &str) {}
}

async fn before_a_shelf(faults: &'static [&'static str]) -> (Bench, Arc<Shelf>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut hub = JoinSet::new();
    hub.spawn(async move { bad::serve_with(faults, listener).await.unwrap() });
    let shelf = Arc::new(Shelf::default());
    let vendors = Arc::clone(&shelf) as Arc<dyn Vendors>;
    (Bench::with(&url, Some(bad::TOKEN), hub, Some(vendors)).await, shelf)
}

#[tokio::test]
async fn what_earlier_sends_left_is_not_shown_as_this_ones() {
    let (bench, shelf) = before_a_shelf(&["execute/delivery/succeeds"]).await;
    shelf.put("old.csv", "of the first send");
    let text = bench.send("").await;
    assert!(text.contains("answered 200: failure"), "{text}");
    assert!(text.contains("<strong>nothing new</strong>"), "{text}");
    assert!(text.contains("1 from earlier sends"), "{text}");
    assert!(!text.contains("of the first send") && !text.contains("class=\"stop good\""), "{text}");
}

#[tokio::test]
async fn what_a_send_brought_is_shown_and_what_it_brought_again_too() {
    let (bench, shelf) = before_a_shelf(&[]).await;
    shelf.put("old.csv", "of the first send");
    // It brings what was there already.
    let text = bench.send("").await;
    assert!(text.contains("1 object there") && text.contains("of the first send"), "{text}");
    let (_, location, _) = bench.post("/send", ORDER).await;
    bench.over(&location).await;
    shelf.put("new.csv", "of this send");
    let text = bench.get(&location).await;
    assert!(text.contains("1 object there") && text.contains("of this send"), "{text}");
    assert!(text.contains("1 from earlier sends") && !text.contains("of the first send"), "{text}");
}
