//! A text with values of the row in double braces.

use sendoff::{Column, Columns, Error, Result, Row};

/// A message as it was written.
#[derive(Debug)]
pub(super) struct Text {
    /// Where it was written.
    field: &'static str,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Plain(String),
    Named(String),
}

/// A message whose names are columns.
#[derive(Debug)]
pub(super) struct Bound(Vec<Result<String, Column>>);

impl Text {
    /// Reads the answer to `field`. A brace alone stands for itself, as in messages written for the reference.
    ///
    /// # Errors
    /// A form error: braces that do not end.
    pub(super) fn parse(field: &'static str, message: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = message;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else {
                let text = "It opens a value with {{ and does not close it with }}.";
                return Err(Error::form(field, text));
            };
            pieces.push(Piece::Plain(before.to_owned()));
            pieces.push(Piece::Named(name.trim().to_owned()));
            rest = behind;
        }
        pieces.push(Piece::Plain(rest.to_owned()));
        Ok(Self { field, pieces })
    }

    /// The message for a cell, which has no row.
    ///
    /// # Errors
    /// A form error if it names a value.
    pub(super) fn plain(&self) -> Result<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Named(name) => {
                    return Err(Error::form(
                        self.field,
                        format!("A cell has no row to take {{{{{name}}}}} from."),
                    ));
                }
            }
        }
        Ok(out)
    }

    /// Finds the columns, by name or by label.
    ///
    /// # Errors
    /// A form error that names what is no column, and the columns that there are.
    pub(super) fn bound(self, columns: &Columns) -> Result<Bound> {
        let Self { field, pieces } = self;
        let bind = |piece| match piece {
            Piece::Plain(text) => Ok(Ok(text)),
            Piece::Named(name) => {
                let found = columns.by_name(&name).or_else(|| columns.by_label(&name));
                found.cloned().map(Err).ok_or_else(|| {
                    let names: Vec<_> =
                        columns.iter().take(20).map(|column| column.name.as_str()).collect();
                    let names = names.join(", ");
                    Error::form(field, format!("The result has no column {name}. It has {names}."))
                })
            }
        };
        Ok(Bound(pieces.into_iter().map(bind).collect::<Result<_>>()?))
    }
}

impl Bound {
    /// The message for a row.
    pub(super) fn fill(&self, row: &Row) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Ok(text) => out.push_str(text),
                Err(column) => out.push_str(row.get(column).display()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_braces_are_plain() {
        let text = Text::parse("message", "{a} } {").expect("sound").plain().expect("plain");
        assert_eq!(text, "{a} } {");
        assert!(Text::parse("message", "Hello {{users.name").is_err());
        assert!(Text::parse("message", "Hello {{users.name}}").expect("sound").plain().is_err());
    }
}
