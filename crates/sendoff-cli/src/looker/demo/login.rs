//! The login pages of the demo's vendors. The hub leads a browser to the vendor itself, where the
//! demo has no account; here it is led to a page that stands for the vendor's.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::testing::Provider;
use url::Url;

/// Below it are the pages, by action.
pub(super) const PATH: &str = "/stand-in/";
/// Nothing is loaded and nothing is run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Leads the browser to the stand-in in place of the vendor.
pub(super) fn lead_here<B>(action: &str, response: &mut Response<B>) {
    let Some(to) = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()) else {
        return;
    };
    let here = format!("{PATH}{action}/login?to={}", utf8_percent_encode(to, NON_ALPHANUMERIC));
    if let Ok(here) = HeaderValue::from_str(&here) {
        response.headers_mut().insert(header::LOCATION, here);
    }
}

/// The page, and what follows when its button is pressed.
pub(super) fn answer(action: &str, provider: Option<&Provider>, at: &Uri) -> Response<Full<Bytes>> {
    let query = at.query().unwrap_or_default();
    let to = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "to");
    let vendor = to.and_then(|(_, to)| Url::parse(&to).ok());
    let (Some(provider), Some(vendor)) = (provider, vendor) else {
        return page(StatusCode::NOT_FOUND, "<p>There is no such login page.</p>");
    };
    if !at.path().ends_with("/agree") {
        let host = escaped(vendor.host_str().unwrap_or_default());
        let agree = format!("{PATH}{action}/agree?{query}");
        return page(
            StatusCode::OK,
            &format!(
                "<p><small>Stand-in for {host}</small></p><h1>Log in at {host}</h1><p>This page stands for the vendor's. Nobody is asked \
                 for a password, and nothing leaves this machine.</p>\
                 <p><a href=\"{}\">Log in as Ana and allow it</a></p>",
                escaped(&agree)
            ),
        );
    }
    match provider.authorize(&vendor).map(|back| HeaderValue::from_str(back.as_str())) {
        Ok(Ok(back)) => {
            let mut response = page(StatusCode::SEE_OTHER, "");
            response.headers_mut().insert(header::LOCATION, back);
            response
        }
        Ok(Err(_)) => page(StatusCode::BAD_GATEWAY, "<p>The way back is no URL.</p>"),
        Err(why) => {
            let why = escaped(&why);
            page(StatusCode::BAD_REQUEST, &format!("<p>The vendor would refuse: {why}.</p>"))
        }
    }
}

fn page(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Log in</title><style>:root{{color-scheme:light \
         dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:15vh auto;padding:0 \
         1rem}}h1{{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}}\
         small{{padding:.2rem .6rem;border:1px dashed;border-radius:99px}}a{{display:inline-block;padding:.5rem 1rem;border-radius:9px;background:#0b6b53;\
         color:#fff;text-decoration:none}}</style>{body}</html>"
    );
    let mut response = Response::new(Full::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
