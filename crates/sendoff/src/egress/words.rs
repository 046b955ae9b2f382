//! A vendor's own words, cut to what a person reads.

use serde_json::Value;

/// How many characters of a vendor's text a message quotes.
const QUOTED: usize = 300;

/// The first 300 characters of `text` on one line. Of an HTML page the title, or the text without
/// its tags; of an error in JSON its sentences.
pub(super) fn excerpt(text: &str) -> String {
    let plain;
    let text = if looks_like_html(text) {
        plain = html_text(text);
        &plain
    } else if let Some(said) = json_text(text) {
        plain = said;
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

/// What an error in JSON says, where its members have names that vendors give them; nothing if
/// they have not.
fn json_text(json: &str) -> Option<String> {
    if !json.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut said = Vec::new();
    sayings(&serde_json::from_str(json).ok()?, 0, &mut said);
    said.dedup();
    (!said.is_empty()).then(|| said.join("; "))
}

fn sayings(value: &Value, depth: usize, said: &mut Vec<String>) {
    const TEXTS: [&str; 5] = ["message", "error_description", "errorMessage", "detail", "title"];
    const NESTED: [&str; 4] = ["errorMessages", "error", "errors", "details"];
    if depth > 4 || said.len() > 8 {
        return;
    }
    match value {
        Value::String(text) if !text.trim().is_empty() => said.push(text.trim().to_owned()),
        Value::Array(all) => all.iter().for_each(|one| sayings(one, depth + 1, said)),
        Value::Object(members) => {
            let text = |name: &str| members.get(name)?.as_str().filter(|text| !text.is_empty());
            if let Some(words) = TEXTS.iter().find_map(|name| text(name)) {
                let of = text("field").map(|field| format!("{field}: ")).unwrap_or_default();
                let code = text("code").map(|code| format!(" ({code})")).unwrap_or_default();
                said.push(format!("{of}{}{code}", words.trim()));
            }
            for name in NESTED {
                match members.get(name) {
                    // Jira and others: the field's name and what is wrong with it.
                    Some(Value::Object(fields))
                        if name == "errors" && fields.values().all(Value::is_string) =>
                    {
                        let pair = |(field, text): (&String, &Value)| {
                            format!("{field}: {}", text.as_str().unwrap_or_default())
                        };
                        said.extend(fields.iter().map(pair));
                    }
                    Some(nested) => sayings(nested, depth + 1, said),
                    None => {}
                }
            }
        }
        _ => {}
    }
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
    fn of_an_error_in_json_its_words_are_left() {
        for (json, want) in [
            (
                r#"{"errors":[{"message":"The from address is wrong.","field":"from","help":null},{"message":"No"}]}"#,
                "from: The from address is wrong.; No",
            ),
            (
                r#"{"errorMessages":["It is gone."],"errors":{"summary":"Say something."}}"#,
                "It is gone.; summary: Say something.",
            ),
            (
                r#"{"error":{"code":"InvalidKey","message":"The key is old."}}"#,
                "The key is old. (InvalidKey)",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"Expired"}"#,
                "Expired; invalid_grant",
            ),
            (r#"{"ok":false,"reason":"x"}"#, r#"{"ok":false,"reason":"x"}"#),
            (r#"{"message": "cut"#, r#"{"message": "cut"#),
            ("[]", "[]"),
        ] {
            assert_eq!(excerpt(json), want);
        }
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
