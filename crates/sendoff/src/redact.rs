//! Takes secrets out of texts that people or logs will read.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What stands where a secret stood.
const MASK: &str = "[secret]";

/// Shorter texts are not taken for secrets: replacing every `eu` would ruin each sentence.
const SHORTEST: usize = 6;

// What percent-encoders leave as it is differs: nothing, RFC 3986's unreserved set, that and
// slashes, what JavaScript's encodeURIComponent leaves, what may stay in a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const SLASHES: &AsciiSet = &UNRESERVED.remove(b'/');
const COMPONENT: &AsciiSet =
    &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
const PATH: &AsciiSet = &COMPONENT.remove(b'/').remove(b':').remove(b'@').remove(b'+').remove(b'=');

/// Knows one delivery's secrets and removes them from texts. Cheap to clone.
///
/// It finds a secret as it is, percent-encoded, form-encoded, JSON-escaped, in hexadecimal, and in
/// base64 where the secret alone was encoded. It does not find one that was encoded together with
/// other text.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every form of every secret, longest first, so that a secret inside another one does not
    /// leave a rest behind.
    needles: Arc<[String]>,
}

impl Redactor {
    /// Knows these secrets. Those of less than 6 characters are ignored.
    pub fn new(secrets: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::default().with(secrets)
    }

    /// Knows these secrets too, such as a token that was fetched during the delivery.
    #[must_use]
    pub fn with(&self, secrets: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut needles = self.needles.to_vec();
        for secret in secrets {
            let secret = secret.as_ref().trim();
            if secret.chars().count() >= SHORTEST {
                needles.extend(forms(secret));
            }
        }
        needles.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self { needles: needles.into() }
    }

    /// `text` without the secrets.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for needle in self.needles.iter().filter(|needle| !needle.is_empty()) {
            if text.contains(needle.as_str()) {
                text = Cow::Owned(text.replace(needle.as_str(), MASK));
            }
        }
        text
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("forms", &self.needles.len()).finish()
    }
}

fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut forms = vec![secret.to_owned()];
    for base64 in [
        base64_simd::STANDARD,
        base64_simd::STANDARD_NO_PAD,
        base64_simd::URL_SAFE,
        base64_simd::URL_SAFE_NO_PAD,
    ] {
        forms.push(base64.encode_to_string(bytes));
    }
    for set in [NON_ALPHANUMERIC, UNRESERVED, SLASHES, COMPONENT, PATH] {
        let encoded = utf8_percent_encode(secret, set).to_string();
        forms.push(lower_escapes(&encoded));
        forms.push(encoded);
    }
    forms.push(url::form_urlencoded::byte_serialize(bytes).collect());
    let json = serde_json::Value::from(secret).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    forms.push(json.replace('/', "\\/"));
    forms.push(ascii_escapes(&json));
    forms.push(json);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.to_uppercase());
    forms.push(hex);
    forms
}

/// `%2F` as `%2f`.
fn lower_escapes(encoded: &str) -> String {
    let mut left = 0;
    encoded
        .chars()
        .map(|c| {
            if c == '%' {
                left = 2;
            } else if left > 0 {
                left -= 1;
                return c.to_ascii_lowercase();
            }
            c
        })
        .collect()
}

/// `ü` as `\u00fc`, as JSON writers do that keep to ASCII.
fn ascii_escapes(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// The URL as logs and messages may show it: a signed URL's query is a secret, a login too.
pub(crate) fn url_without_query(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "pa55/w\"ord+ü?~\\x";

    #[test]
    fn every_form_of_a_secret_goes() {
        let redactor = Redactor::new([SECRET]);
        // Written out by other tools (python's base64, urllib.parse, json, bytes.hex).
        for shown in [
            SECRET,
            "cGE1NS93Im9yZCvDvD9+XHg=",
            "cGE1NS93Im9yZCvDvD9+XHg",
            "cGE1NS93Im9yZCvDvD9-XHg=",
            "cGE1NS93Im9yZCvDvD9-XHg",
            "pa55%2Fw%22ord%2B%C3%BC%3F~%5Cx",
            "pa55%2fw%22ord%2b%c3%bc%3f~%5cx",
            "pa55/w%22ord%2B%C3%BC%3F~%5Cx",
            "pa55/w\\\"ord+ü?~\\\\x",
            "pa55\\/w\\\"ord+ü?~\\\\x",
            "pa55/w\\\"ord+\\u00fc?~\\\\x",
            "706135352f77226f72642bc3bc3f7e5c78",
            "706135352F77226F72642BC3BC3F7E5C78",
        ] {
            let text = format!("before {shown} after");
            assert_eq!(redactor.clean(&text), "before [secret] after", "{shown}");
        }
    }

    #[test]
    fn a_secret_inside_another_leaves_no_rest() {
        let redactor = Redactor::new(["abcdef", "abcdefghijk"]);
        assert_eq!(redactor.clean("abcdefghijk abcdefg"), "[secret] [secret]g");
    }

    #[test]
    fn short_secrets_and_foreign_texts_stay() {
        let redactor = Redactor::new(["short", ""]);
        assert!(matches!(redactor.clean("a short text"), Cow::Borrowed("a short text")));
        assert_eq!(redactor.with(["longer"]).clean("a longer text"), "a [secret] text");
    }

    #[test]
    fn urls_lose_login_and_query() {
        let url = Url::parse("https://user:pass@host.example:8443/a/b?sig=1#x").expect("a URL");
        assert_eq!(url_without_query(&url), "https://host.example:8443/a/b");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", Redactor::new(["secretive"])).contains("secretive"));
    }
}
