//! Reads texts out of the small XML answers of object stores.
//!
//! Their dialects need neither attributes nor nesting nor order: the text between one pair of tags
//! is all that is asked of an answer, so a parser of XML would be more than is needed.

/// The text of the first `<tag>`, unescaped; to the end if the answer was cut before its close.
pub(crate) fn text(xml: &str, tag: &str) -> Option<String> {
    texts(xml, tag).next()
}

/// The texts of all `<tag>` elements in order.
pub(crate) fn texts<'a>(xml: &'a str, tag: &str) -> impl Iterator<Item = String> + use<'a> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, inside) = rest.split_once(&open)?;
        let (text, after) = inside.split_once(&close).unwrap_or((inside, ""));
        rest = after;
        Some(unescape(text.trim()))
    })
}

/// Escapes a text for XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    // "&amp;" last, or "&amp;lt;" would be unescaped twice.
    text.replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_between_their_tags() {
        let xml = "<R><Name>a&amp;lt;b</Name><Names>x</Names><Name>c</Name><Empty/><Cut>d";
        assert_eq!(texts(xml, "Name").collect::<Vec<_>>(), ["a&lt;b", "c"]);
        assert_eq!(text(xml, "Cut").as_deref(), Some("d"));
        assert_eq!(text(xml, "Empty"), None);
        assert_eq!(unescape(&escape("<a href=\"x\">&amp;</a>")), "<a href=\"x\">&amp;</a>");
    }
}
