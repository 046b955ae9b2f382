//! Where a file goes, in a form that cannot leave its folder.

use std::fmt;

use super::template::{LONGEST, is_disguise};

/// A relative path of one or more names, joined by `/`.
///
/// None of them is empty, `.` or `..`, and none holds a control character or a backslash (which
/// some servers take for a slash). Nothing is decoded: `%2f` and `%2e` are these three characters.
/// There is no other way to make one than [`FilePath::new`], so that whoever has one need not look
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath {
    text: String,
    /// Where the last name begins.
    name: usize,
    /// The person wrote a `/` in front, which means something to servers that have home folders.
    rooted: bool,
}

impl FilePath {
    /// Reads `text`. One leading `/` is taken off, see [`rooted`](Self::rooted).
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let (rooted, text) = match text.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.len() > LONGEST {
            return Err(format!("The name is longer than {LONGEST} bytes."));
        }
        for segment in text.split('/') {
            check(segment)?;
        }
        let name = text.rfind('/').map_or(0, |slash| slash + 1);
        Ok(Self { text: text.to_owned(), name, rooted })
    }

    /// The whole path without a leading `/`.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The last name.
    pub(crate) fn name(&self) -> &str {
        &self.text[self.name..]
    }

    /// All names before the last.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        let folder = self.folder();
        folder.split('/').filter(|name| !name.is_empty())
    }

    /// What stands before the last name, without a `/` at its end; empty if there is nothing.
    pub(crate) fn folder(&self) -> &str {
        self.text[..self.name].trim_end_matches('/')
    }

    /// Whether a `/` stood in front. Object stores have no use for it; for SFTP it says "from the
    /// root" rather than "from the home folder".
    pub(crate) fn rooted(&self) -> bool {
        self.rooted
    }

    /// The `n`th choice for a name that is taken: `orders.csv`, `orders (2).csv`, `orders (3).csv`.
    #[must_use]
    pub(crate) fn numbered(&self, n: u32) -> Self {
        if n < 2 { self.clone() } else { self.marked(&format!(" ({n})")) }
    }

    /// With `mark` before the extension: `orders_1764072000000.csv`.
    #[must_use]
    pub(crate) fn marked(&self, mark: &str) -> Self {
        let name = self.name();
        // A dot in front makes a hidden file, not an extension.
        let dot = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
        let (stem, extension) = name.split_at(dot);
        let text = format!("{}{stem}{mark}{extension}", &self.text[..self.name]);
        Self { text, name: self.name, rooted: self.rooted }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check(segment: &str) -> Result<(), String> {
    if segment.trim().is_empty() {
        return Err("A name in the path is empty: two slashes follow each other, or the path \
                    ends in one."
            .into());
    }
    if segment == "." || segment == ".." {
        return Err(format!("\"{segment}\" is not allowed as a name in the path."));
    }
    match segment.chars().find(|c| c.is_control() || is_disguise(*c) || *c == '\\') {
        None => Ok(()),
        Some('\\') => Err("A backslash is not allowed; write / between folders.".into()),
        Some(c) => Err(format!(
            "The character U+{:04X} is not allowed in a name: it cannot be seen.",
            u32::from(c)
        )),
    }
}
