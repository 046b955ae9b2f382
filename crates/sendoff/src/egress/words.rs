//! A vendor's own words, cut to what a person reads.

/// How many characters of a vendor's text a message quotes.
const QUOTED: usize = 300;

/// The first 300 characters of `text` on one line. Of an HTML page the title, or the text without
/// its tags.
pub(super) fn excerpt(text: &str) -> String {
    let plain;
    let text = if looks_like_html(text) {
        plain = html_text(text);
        &plain
    } else {
        text
    };
    let mut quoted = String::new();
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if chars > 0 {
            quoted.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars >= QUOTED {
                quoted.push('…');
                return quoted;
            }
            quoted.push(c);
            chars += 1;
        }
    }
    quoted
}

fn looks_like_html(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(9).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<head")
}

fn html_text(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let inside = |from: &str, to: &str| {
        let start = lower.find(from)?;
        let start = start + lower.get(start..)?.find('>')? + 1;
        let len = lower.get(start..)?.find(to)?;
        html.get(start..start + len)
    };
    let title = inside("<title", "</title").filter(|title| !title.trim().is_empty());
    let text = title.map_or_else(|| without_tags(html, &lower), str::to_owned);
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&")
}

/// `lower` is `html` in ASCII lower case: every byte stands at the same place.
fn without_tags(html: &str, lower: &str) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(rest) = html.get(at..) {
        let Some(open) = rest.find('<') else {
            text.push_str(rest);
            break;
        };
        text.push_str(&rest[..open]);
        text.push(' ');
        at += open;
        let tag = lower.get(at..).unwrap_or_default();
        let end = if tag.starts_with("<script") {
            "</script>"
        } else if tag.starts_with("<style") {
            "</style>"
        } else {
            ">"
        };
        match tag.find(end) {
            Some(len) => at += len + end.len(),
            None => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_one_line_of_300_characters() {
        assert_eq!(excerpt("  a\r\n\tb\u{0} c  "), "a b c");
        let long = "ü".repeat(400);
        assert_eq!(excerpt(&long), format!("{}…", "ü".repeat(300)));
        assert_eq!(excerpt(&"x".repeat(300)), "x".repeat(300));
        assert_eq!(excerpt(""), "");
    }

    #[test]
    fn of_a_page_the_title_or_the_text_is_left() {
        let page = "<!DOCTYPE html><HTML><head><Title>Log in &amp; go</TITLE></head><p>x</p>";
        assert_eq!(excerpt(page), "Log in & go");
        let page = "<html><style>p{}</style><script>if(a<b){}</script><p>Bad <b>key</b></p>";
        assert_eq!(excerpt(page), "Bad key");
        assert_eq!(excerpt("<html><p unterminated"), "");
        assert_eq!(
            excerpt("<Error><Code>NoSuchKey</Code></Error>"),
            "<Error><Code>NoSuchKey</Code></Error>"
        );
    }
}
