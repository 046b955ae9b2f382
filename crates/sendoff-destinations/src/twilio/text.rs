//! What a message says: the user's own words, and as many lines of the result as they leave room
//! for.

use std::fmt::Write as _;

use sendoff::prelude::*;

use crate::shared::twilio::{LONGEST, cut, length};

/// A title beyond this is cut where no message was written.
const LONGEST_TITLE: usize = 200;

/// The first lines of a result.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    /// The header and the first rows; no more than could ever fit.
    lines: Vec<String>,
    /// How many were asked for, as far as the result has them.
    wanted: u64,
    /// How many rows it has.
    pub(super) rows: u64,
}

/// What is sent, and what the user should know of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) remarks: Vec<String>,
}

/// What placeholders stand for.
pub(super) struct Facts<'a> {
    pub(super) title: &'a str,
    pub(super) url: &'a str,
    pub(super) excerpt: &'a Excerpt,
}

impl Excerpt {
    /// Reads at most so many lines; the first is the header. The rest is read too: the request that
    /// brings it must come to its end before it can be answered, and a result that breaks off is an
    /// error.
    ///
    /// # Errors
    /// Looker's, as its data is broken.
    pub(super) async fn read(data: Payload, most: u32) -> Result<Self> {
        let mut rows = data.rows().await?;
        let mut excerpt = Self::default();
        let mut held = 0;
        while let Some(row) = rows.next().await {
            let row = row?;
            excerpt.rows += 1;
            if excerpt.rows < u64::from(most) && held <= LONGEST {
                let line = line(row.iter().map(|(_, cell)| cell.display()));
                held += length(&line);
                excerpt.lines.push(line);
            }
        }
        if most > 0 && !rows.columns().is_empty() {
            let header = line(rows.columns().iter().map(|column| column.label.as_str()));
            excerpt.lines.insert(0, header);
            excerpt.wanted = 1 + excerpt.rows.min(u64::from(most) - 1);
        }
        Ok(excerpt)
    }

    /// The lines that have room, with a mark if that is not all, and how many are whole.
    fn fitted(&self, room: usize) -> (String, u64) {
        let all = self.lines.join("\n");
        let whole = self.lines.len() as u64;
        if whole == self.wanted && length(&all) <= room {
            return (all, whole);
        }
        // For the mark.
        let Some(room) = room.checked_sub(1) else { return (String::new(), 0) };
        let (mut text, mut taken) = (String::new(), 0);
        for line in &self.lines {
            if length(&text) + length(line) + 1 > room {
                break;
            }
            text.push_str(line);
            text.push('\n');
            taken += 1;
        }
        // Better the beginning of the first row than nothing of any.
        if let Some(line) = self.lines.get(taken).filter(|_| taken <= 1) {
            text.push_str(cut(line, room - length(&text)));
        }
        text.push('…');
        (text, taken as u64)
    }
}

/// Cells as a line of CSV. What is in a cell stays on the line.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            line.push(',');
        }
        // No more of a cell than a message could hold.
        let cell = cut(cell, LONGEST + 1).split_whitespace().collect::<Vec<_>>().join(" ");
        if cell.contains([',', '"']) {
            // Writing to a String cannot fail.
            let _ = write!(line, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            line.push_str(&cell);
        }
        if line.len() > 4 * LONGEST {
            break;
        }
    }
    line
}

impl Facts<'_> {
    /// `message` with its placeholders replaced, or the reference's layout.
    ///
    /// # Errors
    /// A form error where there is no room even without the lines.
    pub(super) fn text(&self, message: Option<&str>) -> Result<Text> {
        let Some(message) = message else { return Ok(self.layout()) };
        let pieces = pieces(message);
        let others = |piece: &&Piece<'_>| !matches!(piece, Piece::Lines);
        let used: usize = pieces.iter().filter(others).map(|piece| length(self.value(piece))).sum();
        let Some(room) = LONGEST.checked_sub(used) else {
            return Err(Error::form(
                "message",
                format!(
                    "The message has {used} characters, and Twilio takes {LONGEST}. Shorten it."
                ),
            ));
        };
        let places = pieces.iter().filter(|piece| matches!(piece, Piece::Lines)).count();
        let (lines, whole) = match places {
            0 => (String::new(), self.excerpt.wanted),
            places => self.excerpt.fitted(room / places),
        };
        let text = pieces.iter().map(|piece| match piece {
            Piece::Lines => lines.as_str(),
            other => self.value(other),
        });
        Ok(Text { text: text.collect(), remarks: self.left_out(whole).into_iter().collect() })
    }

    /// As the reference lays it out: title, link and lines below each other.
    fn layout(&self) -> Text {
        let mut remarks = Vec::new();
        let mut text = match length(self.title) {
            0 => String::new(),
            1..=LONGEST_TITLE => format!("{}:\n", self.title),
            _ => format!("{}…\n", cut(self.title, LONGEST_TITLE)),
        };
        if length(&text) + length(self.url) >= LONGEST {
            remarks.push("The link is too long for a message and was left out.".to_owned());
        } else if !self.url.is_empty() {
            text.push_str(&format!("{}\n", self.url));
        }
        let (lines, whole) = self.excerpt.fitted(LONGEST - length(&text));
        text.push_str(&lines);
        remarks.extend(self.left_out(whole));
        Text { text, remarks }
    }

    fn value<'a>(&'a self, piece: &Piece<'a>) -> &'a str {
        match piece {
            Piece::Plain(text) => text,
            Piece::Title => self.title,
            Piece::Url => self.url,
            Piece::Lines => "",
        }
    }

    fn left_out(&self, whole: u64) -> Option<String> {
        let wanted = self.excerpt.wanted;
        (whole < wanted).then(|| {
            format!(
                "Of {wanted} lines {whole} fit into the message, which holds {LONGEST} characters."
            )
        })
    }
}

/// A part of a message as it was written.
enum Piece<'a> {
    Plain(&'a str),
    Title,
    Url,
    Lines,
}

/// What is no placeholder stands for itself, braces too.
fn pieces(message: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (message, 0);
    while let Some(at) = rest.get(from..).and_then(|rest| rest.find('{')) {
        let (before, brace) = rest.split_at(from + at);
        let known = [("{title}", Piece::Title), ("{url}", Piece::Url), ("{lines}", Piece::Lines)];
        let known = known.into_iter().find(|(name, _)| brace.starts_with(name));
        let Some((name, piece)) = known else {
            from += at + 1;
            continue;
        };
        pieces.extend([Piece::Plain(before), piece]);
        (rest, from) = (&brace[name.len()..], 0);
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(lines: &[&str]) -> Excerpt {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        Excerpt { wanted: lines.len() as u64, rows: lines.len() as u64 - 1, lines }
    }

    fn text(excerpt: &Excerpt, message: Option<&str>) -> Text {
        Facts { title: "{url}", url: "https://x.example/", excerpt }.text(message).unwrap()
    }

    #[test]
    fn what_the_user_wrote_is_whole_and_the_lines_are_cut() {
        let long = format!("1,{}", "y".repeat(1_700));
        let told = text(&excerpt(&["id,note", &long, "2,b"]), Some("{lines}\nSee {url}"));
        assert_eq!(length(&told.text), LONGEST);
        assert!(told.text.starts_with("id,note\n1,yyy"), "{told:?}");
        assert!(told.text.ends_with("yy…\nSee https://x.example/"), "{told:?}");
        assert_eq!(
            told.remarks,
            ["Of 3 lines 1 fit into the message, which holds 1600 characters."]
        );
    }

    #[test]
    fn lines_are_left_out_whole_and_marked() {
        let row = "z".repeat(700);
        let told = text(&excerpt(&["id", &row, &row, &row]), None);
        assert_eq!(told.text, format!("{{url}}:\nhttps://x.example/\nid\n{row}\n{row}\n…"));
        assert_eq!(
            told.remarks,
            ["Of 4 lines 3 fit into the message, which holds 1600 characters."]
        );
        let whole = text(&excerpt(&["id", "1"]), Some("{title} {lines} {Lines} {{url}}"));
        assert_eq!(whole.text, "{url} id\n1 {Lines} {https://x.example/}");
        assert!(whole.remarks.is_empty());
    }

    #[test]
    fn words_that_leave_no_room_are_an_error_and_a_link_that_does_is_left_out() {
        let excerpt = excerpt(&["id", "1"]);
        let url = format!("https://x.example/{}", "q".repeat(LONGEST));
        let facts = Facts { title: "Sales", url: &url, excerpt: &excerpt };
        assert_eq!(facts.text(Some("See {url}")).unwrap_err().field_name(), Some("message"));
        let told = facts.text(None).unwrap();
        assert_eq!(told.text, "Sales:\nid\n1");
        assert_eq!(told.remarks, ["The link is too long for a message and was left out."]);
    }

    #[test]
    fn cells_are_csv_on_one_line() {
        assert_eq!(
            line(["Smith, John", "5", "a \"b\"", "c\nd"].into_iter()),
            "\"Smith, John\",5,\"a \"\"b\"\"\",c d"
        );
    }
}
