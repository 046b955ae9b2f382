//! The page on the checks, written from the code.

use std::fmt::Write;

use sendoff_workbench::check::{self, Check, Strength};

/// What `sendoff check` asks, and what its citations stand for.
pub(crate) fn checks() -> String {
    let mut page = String::from(
        "# The checks\n\nWritten by `sendoff docs`.\n\n\
         What `sendoff check` asks of a hub; `sendoff explain ID` has the rule, what Looker does \
         with a hub that breaks it, a wrong answer and a right one. How well a rule is known is its \
         severity:\n\n| strength | known from | a hub that breaks it |\n|---|---|---|\n",
    );
    for (strength, told) in [
        (Strength::A, "fails"),
        (Strength::B, "is warned; fails under `--profile reference`"),
        (Strength::C, "is warned"),
        (Strength::D, "gets a note"),
    ] {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, "| {strength} | {} | {told} |", strength.means());
    }
    page += "\n## Sections\n\nNo single public page has the whole protocol. \u{201c}Action API \
             §5.8\u{201d} is a section of what is known of it:\n\n\
             | § | about | checks by strength | sources |\n|---|---|---|---|\n";
    for section in check::SECTIONS {
        let of = |check: &&Check| check::section_of(check.section) == Some(section);
        let strengths = [Strength::A, Strength::B, Strength::C, Strength::D].map(|strength| {
            let count = check::all().filter(of).filter(|check| check.strength == strength).count();
            (count > 0).then(|| format!("{count} {strength}"))
        });
        let strengths = strengths.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let linked = check::SOURCES.iter().filter(|(key, ..)| section.sources.contains(key));
        let linked: Vec<_> = linked.map(|(_, what, url)| format!("[{what}]({url})")).collect();
        let (number, title) = (section.number, section.title);
        let _ = writeln!(page, "| {number} | {title} | {strengths} | {} |", linked.join(", "));
    }
    page += "\n## All of them\n\n| id | strength | § | what holds |\n|---|---|---|---|\n";
    for check in check::all() {
        let Check { id, strength, section, title, .. } = check;
        let _ =
            writeln!(page, "| `{id}` | {strength} | {section} | {} |", title.replace('|', "\\|"));
    }
    page
}
