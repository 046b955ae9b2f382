//! The first rows of a result as a table in a message: as HTML and as text.

use std::fmt::Write as _;

use crate::shared::excerpt::Excerpt;

/// A column of the text table is no wider.
const WIDEST: usize = 40;

/// `text` where HTML stands around it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Styles stand in each element: mail readers drop a style sheet.
pub(super) fn html(excerpt: &Excerpt, out: &mut String) {
    if !excerpt.rows.is_empty() {
        out.push_str("<table style=\"border-collapse:collapse;font-size:13px\"><tr>");
        for column in &excerpt.columns {
            cell("th", column, out);
        }
        out.push_str("</tr>\n");
        for row in &excerpt.rows {
            out.push_str("<tr>");
            row.iter().for_each(|text| cell("td", text, out));
            out.push_str("</tr>\n");
        }
        out.push_str("</table>\n");
    }
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "<p style=\"color:#666\">{}</p>", escaped(&excerpt.caption()));
}

fn cell(tag: &str, text: &str, out: &mut String) {
    let _ = write!(
        out,
        "<{tag} style=\"border:1px solid #ccc;padding:3px 8px;text-align:left\">{}</{tag}>",
        escaped(text)
    );
}

/// Columns below each other, for readers of plain text.
pub(super) fn text(excerpt: &Excerpt, out: &mut String) {
    let width = |index: usize| {
        let rows = excerpt.rows.iter().filter_map(|row| row.get(index));
        let all = rows.chain(excerpt.columns.get(index));
        all.map(|text| text.chars().count()).max().unwrap_or(0).min(WIDEST)
    };
    let widths: Vec<_> = (0..excerpt.columns.len()).map(width).collect();
    if !excerpt.rows.is_empty() {
        line(&excerpt.columns, &widths, out);
        let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
        line(&rule, &widths, out);
        excerpt.rows.iter().for_each(|row| line(row, &widths, out));
    }
    let _ = writeln!(out, "{}", excerpt.caption());
}

fn line(cells: &[String], widths: &[usize], out: &mut String) {
    let start = out.len();
    for (text, width) in cells.iter().zip(widths) {
        let short: String = if text.chars().count() > *width {
            text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        } else {
            text.clone()
        };
        let _ = write!(out, "{short:width$}  ");
    }
    out.truncate(start + out.get(start..).unwrap_or_default().trim_end().len());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt() -> Excerpt {
        let rows = [["1", "<b> & \"c\""], ["", "x"]];
        let mut excerpt = Excerpt::default();
        excerpt.total = 7;
        excerpt.columns = vec!["ID".into(), "Name".into()];
        excerpt.rows = rows.map(|row| row.map(str::to_owned).into()).into();
        excerpt
    }

    #[test]
    fn cells_are_text_in_html() {
        let mut out = String::new();
        html(&excerpt(), &mut out);
        assert!(out.contains("&lt;b&gt; &amp; &quot;c&quot;</td>"), "{out}");
        assert!(!out.contains("<b>"), "{out}");
        assert!(out.contains("The first 2 of 7 rows."), "{out}");
        assert_eq!(out.matches("<tr>").count(), 3);
    }

    #[test]
    fn text_stands_in_columns() {
        let mut out = String::new();
        let mut wide = excerpt();
        wide.rows[1][1] = "é".repeat(60);
        text(&wide, &mut out);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], "ID  Name");
        assert_eq!(lines[2], "1   <b> & \"c\"");
        assert_eq!(lines[3], format!("    {}…", "é".repeat(39)));
        assert_eq!(lines[4], "The first 2 of 7 rows.");
    }
}
