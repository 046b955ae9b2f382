//! What a check is about, as a page of text.

use std::fmt::Write;

use super::Check;
use super::sections::{SOURCES, section_of};

/// The page for one check.
pub fn explain(check: &Check) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        page,
        "{}\n\n  {}\n\nRule\n  {}\n\nWhat Looker does\n  {}\n\nWrong\n{}\nRight\n{}\n\
         Source\n  {}, strength {}: {}\n  {}\n",
        check.id,
        check.title,
        folded(check.rule),
        folded(check.looker),
        indented(check.wrong),
        indented(check.right),
        check.reference(),
        check.strength,
        check.known_from(),
        sources(check),
    );
    page
}

/// What the section is about, and where its facts stand.
fn sources(check: &Check) -> String {
    let Some(section) = section_of(check.section) else { return String::new() };
    let urls = SOURCES.iter().filter(|(key, ..)| section.sources.contains(key));
    let urls: String = urls.map(|(_, _, url)| format!("\n    {url}")).collect();
    format!("{}{urls}", section.title)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Lines of at most 78 characters below an indent of two.
fn folded(text: &str) -> String {
    const WIDTH: usize = 78;
    let mut folded = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            folded.push_str("\n  ");
            width = 0;
        } else if width > 0 {
            folded.push(' ');
            width += 1;
        }
        folded.push_str(word);
        width += length;
    }
    folded
}
