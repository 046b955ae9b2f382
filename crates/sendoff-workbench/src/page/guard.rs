//! Who may talk to the page: a browser on this machine, from the page itself. The page sends data
//! to hubs with a token, so no other site may make a browser do that.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing is loaded from anywhere else, nothing inline is run, nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Refuses names that are not this machine's (DNS rebinding) and requests that other sites make.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let refusal = refusal(request.method(), request.headers());
    let mut response = match refusal {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers would send `Origin: null` with the page's own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_this_machine(host) {
        return Some("The workbench answers on 127.0.0.1, [::1] and localhost only.\n");
    }
    if *method == Method::GET || *method == Method::HEAD {
        return None;
    }
    let same = text(header::ORIGIN)
        .and_then(|origin| origin.strip_prefix("http://"))
        .is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    (!same).then_some("Only the workbench's own page may ask for this.\n")
}

/// Any port: a tunnel may end on another one than the page listens on.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        refusal(&method, &headers).is_none()
    }

    #[test]
    fn only_this_machine_is_answered() {
        for host in ["127.0.0.1:8090", "localhost", "LOCALHOST:1", "[::1]:8090", "[::1]"] {
            assert!(asked(Method::GET, host, None), "{host}");
        }
        let foreign =
            ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "localhost.evil", ""];
        for host in foreign {
            assert!(!asked(Method::GET, host, None), "{host}");
        }
    }

    #[test]
    fn only_the_page_itself_may_change_anything() {
        let host = "127.0.0.1:8090";
        assert!(asked(Method::POST, host, Some("http://127.0.0.1:8090")));
        for origin in
            ["http://127.0.0.1:9999", "https://127.0.0.1:8090", "http://evil.example", "null"]
        {
            assert!(!asked(Method::POST, host, Some(origin)), "{origin}");
        }
        assert!(!asked(Method::POST, host, None));
    }
}
