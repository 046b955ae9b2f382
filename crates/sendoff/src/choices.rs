//! A vendor's list as a form can show it: read page by page, cut to what Looker can draw, and
//! searched by what the user typed.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::fields::{Field, quoted};
use crate::{Error, Result};

/// One of a vendor's things that a user can choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What the form answers.
    pub id: String,
    /// What the user reads.
    pub label: String,
}

impl Item {
    /// A thing with an id.
    pub fn new(id: impl Into<String>, label: impl Into<String>) -> Self {
        Self { id: id.into(), label: label.into() }
    }

    /// A thing that is known by its name.
    pub fn named(name: impl Into<String>) -> Self {
        let id = name.into();
        Self { label: id.clone(), id }
    }
}

/// One page of a vendor's list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What stands on it.
    pub items: Vec<Item>,
    /// By what the next page is asked for; `None` on the last one.
    pub next: Option<String>,
}

/// How far a list is read while a user waits for the form.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// How many things at most. 20,000.
    pub most: usize,
    /// How long at most. 10 s.
    pub within: Duration,
}

impl Default for Paging {
    fn default() -> Self {
        Self { most: 20_000, within: Duration::from_secs(10) }
    }
}

/// A vendor's list, whole or as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order in which they are shown.
    pub items: Vec<Item>,
    /// A sentence that says why there may be more.
    pub cut: Option<String>,
}

impl From<Vec<Item>> for Listing {
    fn from(items: Vec<Item>) -> Self {
        Self { items, cut: None }
    }
}

impl Listing {
    /// Reads a list page by page; `page` gets what the page before named as next, at first `None`.
    /// `noun` says in the plural what is listed.
    ///
    /// A list that breaks off behind its first page is shown as far as it came: a vendor that
    /// allows twenty pages a minute would else never show a long one.
    ///
    /// # Errors
    /// Those of the first page, or that it did not come in time.
    pub async fn paged<P>(
        noun: &str,
        limits: Paging,
        mut page: impl FnMut(Option<String>) -> P + Send,
    ) -> Result<Self>
    where
        P: Future<Output = Result<Page>> + Send,
    {
        let end = Instant::now() + limits.within;
        let mut listing = Self::default();
        let mut next = None;
        loop {
            let asked = next.clone();
            let why = match tokio::time::timeout_at(end, page(next)).await {
                Ok(Ok(page)) => {
                    listing.items.extend(page.items);
                    next = page.next.filter(|next| !next.is_empty());
                    // A page that names itself as next would never end.
                    if next.is_none() || next == asked {
                        return Ok(listing);
                    }
                    if listing.items.len() < limits.most {
                        continue;
                    }
                    listing.items.truncate(limits.most);
                    None
                }
                Ok(Err(error)) if asked.is_none() => return Err(error),
                Ok(Err(error)) => Some(error.message().to_owned()),
                Err(_) if asked.is_none() => {
                    let seconds = limits.within.as_secs();
                    let text = format!("The list of {noun} did not come within {seconds} s.");
                    return Err(Error::vendor(text).retry_later());
                }
                Err(_) => {
                    Some(format!("The rest did not come within {} s.", limits.within.as_secs()))
                }
            };
            let read = listing.items.len();
            let sentence = format!("Only the first {read} {noun} could be read.");
            listing.cut = Some(why.map_or(sentence.clone(), |why| format!("{sentence} {why}")));
            return Ok(listing);
        }
    }
}

/// How many choices Looker's list is given at most: it is drawn whole and has no scroll of its own
/// to speak of.
const SHOWN: usize = 200;

/// A [`Listing`] on its way into a form's field.
///
/// ```
/// # use sendoff::{Choices, Fields, Item, Listing, Values, View};
/// #[derive(Fields)]
/// struct Form {
///     /// The channel.
///     channel: String,
///     /// A part of a channel's name.
///     #[field(interactive)]
///     find: Option<String>,
/// }
///
/// # let mut form = Form::view(&[("find", "sales")].into_iter().collect());
/// let all = (0..500).map(|n| Item::named(format!("{}-{n}", if n > 400 { "sales" } else { "it" })));
/// Choices::of("channels", Listing::from(all.collect::<Vec<_>>()))
///     .searched(&mut form.channel, &mut form.find);
/// # let mut fields = Vec::new();
/// # Form::list(form, &mut fields);
/// ```
#[must_use = "choices are shown by `searched` or `offered`"]
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    noun: &'a str,
    listing: Listing,
    most: usize,
    first: Option<String>,
    typed: Option<fn(&str) -> bool>,
}

impl<'a> Choices<'a> {
    /// What can be chosen; `noun` names it in the plural.
    pub fn of(noun: &'a str, listing: Listing) -> Self {
        Self { noun, listing, most: SHOWN, first: None, typed: None }
    }

    /// Shows at most so many; 200 unless set.
    pub fn most(mut self, most: usize) -> Self {
        self.most = most.max(1);
        self
    }

    /// This one comes first, whether the vendor lists it or not.
    pub fn first(mut self, id: Option<&str>) -> Self {
        self.first = id.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        self
    }

    /// What was typed into the search is a choice too if it is sound: the vendor may not list all
    /// that can be used.
    pub fn or_typed(mut self, sound: fn(&str) -> bool) -> Self {
        self.typed = Some(sound);
        self
    }

    /// Makes `field` a list to choose from. What the user has chosen already stays in it.
    pub fn offered(self, field: &mut Field) {
        self.show(field, None, "");
    }

    /// As [`offered`](Self::offered), with a field to search by, which should be interactive. It
    /// is hidden where the whole list is shown, unless what is typed there can be a choice.
    pub fn searched(self, field: &mut Field, search: &mut Field) {
        let text = search.value().map(str::trim).filter(|text| !text.is_empty());
        let all = self.listing.items.len() <= self.most && self.listing.cut.is_none();
        let text = text.map(str::to_owned);
        if all && text.is_none() && self.typed.is_none() {
            search.hide();
        }
        let label = search.label_text().to_owned();
        self.show(field, text.as_deref(), &label);
    }

    fn show(self, field: &mut Field, search: Option<&str>, search_label: &str) {
        let Self { noun, listing: Listing { items, cut }, most, first, typed } = self;
        let total = items.len();
        let typed = search.filter(|text| {
            typed.is_some_and(|sound| sound(text)) && !items.iter().any(|item| item.id == *text)
        });
        let words: Vec<String> =
            search.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        let hits: Vec<&Item> = items.iter().filter(|item| matches(item, &words)).collect();
        let found = hits.len();
        // Looker cannot draw a list of nothing.
        let none = found == 0 && typed.is_none();
        let shown: Vec<&Item> = if none {
            items.iter().take(most).collect()
        } else {
            hits.into_iter().take(most).collect()
        };
        let count = shown.len();
        if let Some(text) = search {
            field.remark(&match (found, typed) {
                (0, Some(_)) => format!("None of the {noun} listed matches {}.", quoted(text)),
                (0, None) => format!("Nothing matches {}.", quoted(text)),
                (found, _) if found > count => {
                    format!("{count} of {found} {noun} that match {} are shown.", quoted(text))
                }
                (found, _) => format!("{found} of {total} {noun} match {}.", quoted(text)),
            });
        }
        if (search.is_none() || none) && count < total {
            field.remark(&if search_label.is_empty() {
                format!("{count} of {total} {noun} are shown.")
            } else {
                format!(
                    "{count} of {total} {noun} are shown. Type a part of the name into \
                     \"{search_label}\" to find others."
                )
            });
        }
        if let Some(cut) = cut {
            field.remark(&cut);
        }
        let mut choices: Vec<(String, String)> =
            shown.iter().map(|item| (item.id.clone(), item.label.clone())).collect();
        choices.extend(typed.map(|text| (text.to_owned(), format!("{text} (as typed)"))));
        for id in [first.as_deref(), field.value()].into_iter().flatten() {
            to_front(&mut choices, id, &items);
        }
        field.select(choices);
    }
}

/// Moves `id` to the front of `choices`, or adds it there.
fn to_front(choices: &mut Vec<(String, String)>, id: &str, items: &[Item]) {
    let choice = match choices.iter().position(|(each, _)| each == id) {
        Some(at) => choices.remove(at),
        None => {
            let label = items.iter().find(|item| item.id == id).map_or(id, |item| &item.label);
            (id.to_owned(), label.to_owned())
        }
    };
    choices.insert(0, choice);
}

/// Whether all words stand in the label or the id, in small or capital letters.
fn matches(item: &Item, words: &[String]) -> bool {
    let (id, label) = (item.id.to_lowercase(), item.label.to_lowercase());
    words.iter().all(|word| label.contains(word.as_str()) || id.contains(word.as_str()))
}

#[cfg(test)]
mod tests;
