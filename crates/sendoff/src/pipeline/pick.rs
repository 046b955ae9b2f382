//! Choosing columns: by tag first, then by name or label.

use crate::{Column, Columns, Error, Result, ScheduledPlan};

/// How a destination finds its column.
///
/// ```
/// use sendoff::pipeline::Pick;
///
/// const PHONE: Pick = Pick::tagged(&["phone"]);
/// const EMAIL: Pick = Pick::tagged(&["email", "user_email"]).or_named(&["email", "e-mail"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    tags: &'static [&'static str],
    names: &'static [&'static str],
}

impl Pick {
    /// The first column, in Looker's order, that carries any of these tags.
    pub const fn tagged(tags: &'static [&'static str]) -> Self {
        Self { tags, names: &[] }
    }

    /// If no column carries a tag: the first one whose name, name without the view, label or short
    /// label is one of these, whatever its case. The only way in CSV and text, which have no tags.
    pub const fn or_named(mut self, names: &'static [&'static str]) -> Self {
        self.names = names;
        self
    }

    /// The column, if there is one.
    pub fn find(self, columns: &Columns) -> Option<&Column> {
        let tagged = |column: &&Column| self.is(column);
        let named = |column: &&Column| self.names.iter().any(|name| is_called(column, name));
        columns.iter().find(tagged).or_else(|| columns.iter().find(named))
    }

    /// Every column that carries one of the tags.
    pub fn all(self, columns: &Columns) -> impl Iterator<Item = &Column> {
        columns.iter().filter(move |column| self.is(column))
    }

    /// Whether a column carries one of the tags.
    pub fn is(self, column: &Column) -> bool {
        self.tags.iter().any(|tag| column.has_tag(tag))
    }

    /// The column; a clone, so that the rows may be read on.
    ///
    /// # Errors
    /// In the reference hub's words: `Query requires a field tagged email or user_id.`
    pub fn require(self, columns: &Columns) -> Result<Column> {
        self.find(columns).cloned().ok_or_else(|| self.missing())
    }

    /// The error when no column was found, for the user, who can change the query.
    pub fn missing(self) -> Error {
        let tags = self.tags.join(" or ");
        Error::form("", format!("Query requires a field tagged {tags}."))
    }
}

/// Whether a column goes by this name.
fn is_called(column: &Column, name: &str) -> bool {
    let bare = column.name.rsplit_once('.').map(|(_, bare)| bare);
    [Some(column.name.as_str()), bare, Some(&column.label), column.label_short.as_deref()]
        .into_iter()
        .flatten()
        .any(|own| own.eq_ignore_ascii_case(name))
}

impl Column {
    /// What stands behind the colon in a tag: `email` for `hubspot` where the column carries
    /// `hubspot:email`. The case of the part before the colon does not matter.
    pub fn tag_value(&self, tag: &str) -> Option<&str> {
        let values = self.tags.iter().filter_map(|own| own.split_once(':'));
        let mut ours = values.filter(|(name, _)| name.trim().eq_ignore_ascii_case(tag));
        ours.next().map(|(_, value)| value.trim())
    }
}

/// The names of the fields that the user hid in the visualisation.
pub(crate) fn hidden_fields(plan: Option<&ScheduledPlan>) -> &[String] {
    let query = plan.and_then(|plan| plan.query.as_ref());
    let hidden = query.and_then(|query| query.vis_config.as_ref()?.hidden_fields.as_deref());
    hidden.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let fields = r#"{
            "dimensions": [
                {"name": "u.name", "label": "Users Name", "label_short": "Name", "tags": []},
                {"name": "u.mail", "label": "Users Mail", "tags": ["EMAIL", "crm: address "]},
                {"name": "u.id", "label": "Users ID", "tags": ["user_id", "email"]}
            ],
            "measures": []
        }"#;
        Columns::from_fields(fields.as_bytes()).unwrap()
    }

    #[test]
    fn a_tag_goes_before_a_name_and_the_first_column_before_the_second() {
        let columns = columns();
        let found = |pick: Pick| pick.find(&columns).map(|column| column.name.as_str());
        assert_eq!(found(Pick::tagged(&["email"])), Some("u.mail"));
        assert_eq!(found(Pick::tagged(&["user_id", "email"])), Some("u.mail"));
        assert_eq!(found(Pick::tagged(&["user_id"]).or_named(&["name"])), Some("u.id"));
        for name in ["name", "NAME", "users name", "u.name"] {
            let name: &'static [&'static str] = Box::leak(Box::new([name]));
            assert_eq!(found(Pick::tagged(&["phone"]).or_named(name)), Some("u.name"));
        }
        assert_eq!(found(Pick::tagged(&["phone"])), None);
        assert_eq!(Pick::tagged(&["email"]).all(&columns).count(), 2);
    }

    #[test]
    fn a_missing_tag_is_named_as_the_reference_names_it() {
        let missing = Pick::tagged(&["phone", "mobile"]).require(&columns()).unwrap_err();
        assert_eq!(missing.message(), "Query requires a field tagged phone or mobile.");
    }

    #[test]
    fn a_tag_may_hold_a_value() {
        let columns = columns();
        let mail = columns.by_name("u.mail").unwrap();
        assert_eq!(mail.tag_value("CRM"), Some("address"));
        assert_eq!(mail.tag_value("email"), None);
    }
}
