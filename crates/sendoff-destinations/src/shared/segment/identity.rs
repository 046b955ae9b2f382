//! Who a row is about.

use sendoff::pipeline::{Encoded, Pick, RowKeys};
use sendoff::{CellValue, Columns, Row};
use uuid::Uuid;

use super::{GROUP, Kind};

const USER: Pick = Pick::tagged(&["user_id"]);
const ANONYMOUS: Pick = Pick::tagged(&["segment_anonymous_id"]);
const EITHER: Pick = Pick::tagged(&["user_id", "segment_anonymous_id"]);
const EMAIL: Pick = Pick::tagged(&["email"]);

/// The columns that say who a row is about.
pub(super) struct Identity {
    kind: Kind,
    as_before: bool,
    user: Option<usize>,
    anonymous: Option<usize>,
    email: Option<usize>,
    group: Option<usize>,
}

impl Identity {
    pub(super) fn new(columns: &Columns, kind: Kind, as_before: bool) -> Self {
        let place = |pick: Pick| pick.find(columns).map(|column| column.index);
        Self {
            kind,
            as_before,
            // The reference hub takes whichever stands first for the user's.
            user: place(if as_before { EITHER } else { USER }),
            anonymous: place(ANONYMOUS),
            email: place(EMAIL),
            group: place(Pick::tagged(&[GROUP])),
        }
    }

    /// Appends the ids as members, each behind a comma.
    ///
    /// # Errors
    /// What becomes of a row without them.
    pub(super) fn write(
        &self,
        row: &Row,
        keys: &RowKeys,
        out: &mut Vec<u8>,
    ) -> Result<(), Encoded> {
        let id = |place: Option<usize>| {
            let cell = place.map(|place| row.at(place)).filter(|cell| !cell.is_pivoted())?;
            Some(cell.value()).filter(|value| !value.text().trim().is_empty())
        };
        let (user, anonymous, group) = (id(self.user), id(self.anonymous), id(self.group));
        if self.kind == Kind::Group && group.is_none() {
            return Err(Encoded::skipped("it has no group id"));
        }
        if user.is_none() && anonymous.is_none() {
            let email = id(self.email).filter(|_| !self.as_before || self.kind == Kind::Group);
            let stable = match (email, group) {
                (Some(email), _) => of_email(email.text()),
                (None, Some(group)) if self.kind == Kind::Group => {
                    named("segment:group", group.text())
                }
                // New for each row and delivery, the same when the delivery is repeated.
                _ if self.as_before => named("sendoff:row", &keys.key(row.number())),
                _ => {
                    return Err(Encoded::refused(
                        "it has no user id, no anonymous id and no email address",
                    ));
                }
            };
            out.extend_from_slice(b",\"anonymousId\":\"");
            out.extend_from_slice(
                stable.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes(),
            );
            out.push(b'"');
        }
        let members: [(&[u8], Option<CellValue<'_>>); 3] =
            [(b",\"userId\":", user), (b",\"anonymousId\":", anonymous), (b",\"groupId\":", group)];
        for (name, value) in members {
            if let Some(value) = value {
                out.extend_from_slice(name);
                // Segment wants text; an id of more than 53 bits would not survive as a number.
                value.write_json_string(out);
            }
        }
        Ok(())
    }
}

/// The same for each way in which people write an address.
fn of_email(address: &str) -> Uuid {
    named("mailto", &address.trim().to_lowercase())
}

/// The UUID (version 5) of the URI `scheme:name`, which anybody can compute.
fn named(scheme: &str, name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{scheme}:{name}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_uuid() {
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, "mailto:ana@example.com"))'
        let want = "d0cb4bdc-6419-5baa-ba08-a5690bdc5521";
        assert_eq!(of_email(" Ana@Example.com ").to_string(), want);
    }
}
