//! The message beside a file: a text with placeholders, in Slack's own markup.

use sendoff::ScheduledPlan;
use serde_json::json;

use crate::shared::template::{self, Facts};

/// A section holds at most so many characters
/// (<https://docs.slack.dev/reference/block-kit/blocks/section-block/>).
const LONGEST_SECTION: usize = 3000;

/// `template` with its placeholders replaced. What is no placeholder stays as it is: comments were
/// plain text before, with braces of their own.
pub(crate) fn expand(template: &str, plan: Option<&ScheduledPlan>, facts: &Facts) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, brace) = rest.split_at(at);
        out.push_str(before);
        let whole = brace.find('}').and_then(|end| brace.get(..=end));
        match whole.and_then(|whole| Some((whole, placeholder(whole, plan, facts)?))) {
            Some((whole, text)) => {
                out.push_str(&text);
                rest = brace.get(whole.len()..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = brace.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn placeholder(whole: &str, plan: Option<&ScheduledPlan>, facts: &Facts) -> Option<String> {
    let text = match whole {
        // The title as it is: in file names it loses some characters.
        "{title}" => plan?.title.as_ref()?.to_string(),
        "{url}" => plan?.url.as_ref()?.to_string(),
        _ => template::expand(whole, facts).ok()?,
    };
    Some(escaped(&text))
}

/// <https://docs.slack.dev/messaging/formatting-message-text/#escaping>
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A comment with a link of Slack's own markup (`<https://…|text>`) as a block: `initial_comment`
/// shows such links as they are written.
pub(super) fn blocks(comment: &str) -> Option<String> {
    let linked = comment.split('<').skip(1).any(|part| {
        (part.starts_with("http://") || part.starts_with("https://"))
            && part.split('>').next().is_some_and(|link| link.contains('|'))
    });
    (linked && comment.chars().count() <= LONGEST_SECTION).then(|| {
        let text = json!({"type": "mrkdwn", "text": comment});
        json!([{"type": "section", "text": text}]).to_string()
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn placeholders_are_replaced_and_other_braces_stay() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        let facts = Facts {
            title: Some("Orders: <all>".into()),
            plan_id: None,
            instance: None,
            format: Some("csv"),
            extension: Some("csv".into()),
            now: now.to_zoned(TimeZone::UTC),
            uuid: uuid::Uuid::nil(),
        };
        let plan: ScheduledPlan = serde_json::from_value(json!({
            "title": "Orders: <all>", "url": "https://looker.example/looks/1?a=1&b=2",
        }))
        .expect("a plan");
        let read = |text| expand(text, Some(&plan), &facts);
        assert_eq!(read("{title} of {date}"), "Orders: &lt;all&gt; of 2026-11-25");
        assert_eq!(read("<{url}|open>"), "<https://looker.example/looks/1?a=1&amp;b=2|open>");
        assert_eq!(read("{date:%d.%m.} {ext}"), "25.11. csv");
        for plain in ["{\"a\": 1}", "{nothing}", "{", "}", "a {title", "{{title", "{}"] {
            assert_eq!(read(plain), plain, "{plain}");
        }
        assert_eq!(expand("{title} {url}", None, &facts), "{title} {url}");
    }

    #[test]
    fn only_links_with_a_text_need_a_block() {
        assert!(blocks("see <https://looker.example/1|the look>").is_some());
        for plain in ["see https://looker.example", "a < b | c > d", "<https://a.example> | x", ""]
        {
            assert_eq!(blocks(plain), None, "{plain}");
        }
        assert_eq!(blocks(&format!("<https://a.example|{}>", "x".repeat(3000))), None);
    }
}
