//! What the page loads: style, script and logo, all in the binary.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const STYLE: &str = concat!(include_str!("assets/base.css"), include_str!("assets/style.css"));
const HTMX: &str = include_str!("assets/htmx.min.js");
const SCRIPT: &str = include_str!("assets/page.js");
const LOGO: &str = include_str!("assets/logo.svg");

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn htmx() -> Response {
    asset("text/javascript; charset=utf-8", HTMX)
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn logo() -> Response {
    asset("image/svg+xml", LOGO)
}

/// Addresses hold the version, so browsers may keep what they have.
fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "max-age=31536000, immutable"),
    ];
    (headers, text).into_response()
}

/// Changes when an asset does: FNV-1a over all of them.
pub(super) fn version() -> String {
    let all = [STYLE, HTMX, SCRIPT, LOGO].into_iter().flat_map(str::bytes);
    let hash = all.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
