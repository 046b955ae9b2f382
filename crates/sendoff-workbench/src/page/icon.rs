//! An action's icon as its hub gave it, if it is one; a letter otherwise. Nothing is fetched from
//! elsewhere, and a drawing cannot run script.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::Page;

/// An SVG may style itself and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";
/// Larger ones are no icons.
const LARGEST: usize = 1 << 20;

pub(super) async fn icon(State(page): State<Page>, Path(name): Path<String>) -> Response {
    let action = page.instance().action(&page.action_id(&name)).ok();
    let uri = action.as_ref().and_then(|action| action.definition.icon_data_uri.as_deref());
    let (media_type, bytes) = match uri.and_then(decoded) {
        Some(icon) => icon,
        None => {
            let label = action.map(|action| action.definition.label).unwrap_or_default();
            ("image/svg+xml", monogram(if label.is_empty() { &name } else { &label }))
        }
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, bytes).into_response()
}

/// The image in a `data:` URI, if its bytes are what it says.
fn decoded(uri: &str) -> Option<(&'static str, Vec<u8>)> {
    let (head, data) = uri.strip_prefix("data:")?.split_once(',')?;
    if data.len() > LARGEST {
        return None;
    }
    let (media_type, base64) = match head.strip_suffix(";base64") {
        Some(media_type) => (media_type, true),
        None => (head, false),
    };
    let media_type = media_type.split(';').next()?;
    let bytes = if base64 {
        let compact: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        base64_simd::forgiving_decode_to_vec(&compact).ok()?
    } else {
        percent_decode_str(data).collect()
    };
    const KNOWN: [(&str, &[u8]); 5] = [
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/gif", b"GIF8"),
        ("image/webp", b"RIFF"),
        ("image/x-icon", b"\0\0\x01\0"),
    ];
    if media_type == "image/svg+xml" {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned();
        return start.contains("<svg").then_some(("image/svg+xml", bytes));
    }
    let known = KNOWN.iter().find(|(_, magic)| bytes.starts_with(magic))?;
    Some((known.0, bytes))
}

fn monogram(name: &str) -> Vec<u8> {
    let letter = name.chars().find(|letter| letter.is_alphanumeric()).unwrap_or('?');
    let letter = letter.to_uppercase().next().unwrap_or(letter);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" \
         height=\"32\" rx=\"6\" fill=\"#5a6057\"/><text x=\"16\" y=\"22\" font-family=\"sans-serif\" \
         font-size=\"17\" font-weight=\"600\" text-anchor=\"middle\" fill=\"#fff\">{letter}</text></svg>"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_are_icons() {
        let svg =
            "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=";
        assert_eq!(decoded(svg).unwrap().0, "image/svg+xml");
        assert_eq!(decoded("data:image/svg+xml,%3Csvg%2F%3E").unwrap().1, b"<svg/>");
        assert_eq!(decoded("data:image/gif;base64,R0lGODlh").unwrap().0, "image/gif");
        for broken in [
            "https://example.com/icon.png",
            "data:image/png;base64,!!!",
            "data:image/png;base64,PHN2Zy8+",
            "data:text/html,<script>alert(1)</script>",
            "data:image/svg+xml,<html>",
            "nonsense",
        ] {
            assert!(decoded(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_monogram_is_a_letter_and_nothing_else() {
        assert!(String::from_utf8(monogram("<script>")).unwrap().contains(">S<"));
        assert!(String::from_utf8(monogram("")).unwrap().contains(">?<"));
    }
}
