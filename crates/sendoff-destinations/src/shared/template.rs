//! Names made of placeholders: `orders {date:%Y-%m-%d}.{ext}`.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::{Timestamp, Zoned};
use uuid::Uuid;

/// The longest name that a template may give, in bytes. Object stores take 1,024, file systems
/// 4,096.
pub(super) const LONGEST: usize = 4096;

/// The longest text that Looker's title may put into a name, in bytes: file systems allow 255 for
/// a whole segment.
const LONGEST_VALUE: usize = 200;

const KNOWN: &str = "{title}, {date}, {date:%Y-%m-%d}, {time}, {ts}, {uuid}, {ext}, {format}, \
                     {plan_id}, {instance}";

/// What placeholders stand for. Everything comes from outside, so that expansion is a pure
/// function.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(super) title: Option<String>,
    pub(super) plan_id: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) format: Option<&'static str>,
    pub(super) extension: Option<String>,
    /// The delivery's time in the query's time zone, or in UTC.
    pub(crate) now: Zoned,
    pub(super) uuid: Uuid,
}

impl Facts {
    pub(super) fn title(&self) -> Option<String> {
        self.title.as_deref().map(plain).filter(|title| !title.is_empty())
    }

    /// The name for data that nobody named, the same as the reference hub's.
    pub(super) fn nameless(now: Timestamp) -> String {
        format!("looker_file_{}", now.as_millisecond())
    }
}

/// `template` with its placeholders replaced. `{{` and `}}` stand for the braces themselves.
///
/// Takes time linear in the template, and gives at most 4 KiB.
///
/// # Errors
/// A sentence for the person who wrote the template.
pub(super) fn expand(template: &str, facts: &Facts) -> Result<String, String> {
    let mut out = Bounded::new(LONGEST);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        out.push(before)?;
        rest = if let Some(after) = brace.strip_prefix("{{") {
            out.push("{")?;
            after
        } else if let Some(after) = brace.strip_prefix("}}").or(brace.strip_prefix('}')) {
            out.push("}")?;
            after
        } else {
            // A "{" stands here: neither of the others did.
            let inside = brace.get(1..).unwrap_or_default();
            let (name, after) = inside.split_once('}').ok_or_else(|| {
                "A \"{\" has no \"}\" behind it. Write {{ for the brace itself.".to_owned()
            })?;
            placeholder(name, facts, &mut out)?;
            after
        };
    }
    out.push(rest)?;
    Ok(out.text)
}

/// `template` as a text that people read. `own` gives the values of further placeholders and comes
/// first. What is no placeholder stays as it is. Gives at most `longest` bytes.
///
/// # Errors
/// A sentence for the person who wrote the template, when it becomes too long.
pub(crate) fn text(
    template: &str,
    longest: usize,
    facts: &Facts,
    own: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = Bounded::new(longest);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        out.push(before)?;
        let inside = brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let length = out.text.len();
        let known = inside.is_some_and(|(name, _)| match own(name) {
            Some(value) => out.push(&value).is_ok(),
            None => placeholder(name, facts, &mut out).is_ok(),
        });
        // A value that has no room is no unknown name: people would get the template's own text.
        out.fits()?;
        rest = match inside.filter(|_| known) {
            Some((_, after)) => after,
            None => {
                out.text.truncate(length);
                out.push(&brace[..1])?;
                &brace[1..]
            }
        };
    }
    out.push(rest)?;
    Ok(out.text)
}

fn placeholder(name: &str, facts: &Facts, out: &mut Bounded) -> Result<(), String> {
    let (key, pattern) = match name.find([':', '@']) {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    match key {
        "date" => return time(pattern, "%Y-%m-%d", facts, out),
        "time" => return time(pattern, "%H-%M-%S", facts, out),
        _ if !pattern.is_empty() => {}
        "ts" => return out.push(&facts.now.timestamp().as_millisecond().to_string()),
        "uuid" => return out.push(&facts.uuid.to_string()),
        "title" => {
            let title = facts.title();
            return out.push(&title.unwrap_or_else(|| Facts::nameless(facts.now.timestamp())));
        }
        "ext" => return out.push(&plain(facts.extension.as_deref().unwrap_or("data"))),
        "format" => {
            let format = facts.format.or(facts.extension.as_deref());
            return out.push(&plain(format.unwrap_or("data")));
        }
        // Data sent by hand has no plan.
        "plan_id" => return out.push(&plain(facts.plan_id.as_deref().unwrap_or("manual"))),
        "instance" => return out.push(&plain(facts.instance.as_deref().unwrap_or("looker"))),
        _ => {}
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(format!("{{{shown}}} is no placeholder. There are {KNOWN}; write {{{{ for a brace itself."))
}

/// `pattern` is empty, or `:%H`, `@Europe/Berlin`, `:%H@Europe/Berlin`.
fn time(pattern: &str, default: &str, facts: &Facts, out: &mut Bounded) -> Result<(), String> {
    let (format, place) = match pattern.rsplit_once('@') {
        Some((format, place)) => (format, Some(place)),
        None => (pattern, None),
    };
    let format = format.strip_prefix(':').filter(|format| !format.is_empty()).unwrap_or(default);
    let moment = match place {
        None => facts.now.clone(),
        Some(place) => facts.now.with_time_zone(sendoff::time_zone(place).ok_or_else(|| {
            let shown: String = place.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("\"{shown}\" is no time zone. Name one such as Europe/Berlin or UTC.")
        })?),
    };
    BrokenDownTime::from(&moment).format(format, &mut *out).map_err(|_| {
        let shown: String = format.chars().filter(|c| !c.is_control()).take(40).collect();
        format!(
            "The date format \"{shown}\" is not understood. It is made of %Y, %m, %d, %H, %M, %S \
             and the like."
        )
    })
}

/// A value as one piece of a name: without what file systems treat as syntax, such as `/`.
///
/// The list is the one of the reference hub's sanitize-filename: `/ ? < > \ : * | "`, control
/// characters, names of dots alone, and spaces and dots at the end.
pub(super) fn plain(value: &str) -> String {
    let kept = value.chars().filter(|c| {
        !c.is_control()
            && !is_disguise(*c)
            && !matches!(c, '/' | '?' | '<' | '>' | '\\' | ':' | '*' | '|' | '"')
    });
    let mut text = String::with_capacity(value.len().min(LONGEST_VALUE));
    for c in kept {
        if text.len() + c.len_utf8() > LONGEST_VALUE {
            break;
        }
        text.push(c);
    }
    text.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// Characters that make a name look like another one: line separators and changes of direction.
pub(super) fn is_disguise(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text of bounded length.
struct Bounded {
    text: String,
    /// In bytes.
    longest: usize,
    /// Something had no room.
    is_over: bool,
}

impl Bounded {
    fn new(longest: usize) -> Self {
        Self { text: String::new(), longest, is_over: false }
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        self.is_over |= self.text.len() + text.len() > self.longest;
        self.fits()?;
        self.text.push_str(text);
        Ok(())
    }

    /// # Errors
    /// A sentence that says how much there may be.
    fn fits(&self) -> Result<(), String> {
        match self.is_over {
            true => Err(format!("It becomes longer than {} bytes.", self.longest)),
            false => Ok(()),
        }
    }
}

impl jiff::fmt::Write for &mut Bounded {
    fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
        self.push(text).map_err(|message| jiff::Error::from_args(format_args!("{message}")))
    }
}
