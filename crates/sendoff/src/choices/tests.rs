//! Lists are cut, searched and said to be so.

use std::sync::Mutex;

use crate::prelude::*;
use crate::protocol as wire;
use crate::{Choices, Field, Item, Listing, Page, Paging, Values};

#[derive(Fields)]
#[allow(dead_code, reason = "only drawn")]
struct Form {
    /// The channel.
    channel: String,
    /// A part of the name.
    #[field(label = "Find", interactive)]
    find: Option<String>,
}

fn channels(count: usize) -> Listing {
    let items = (0..count).map(|n| Item::new(format!("C{n:04}"), format!("#channel-{n}")));
    items.collect::<Vec<_>>().into()
}

fn drawn(
    listing: Listing,
    draft: &[(&str, &str)],
    set: fn(Choices<'_>) -> Choices<'_>,
) -> Vec<wire::Field> {
    let draft: Values = draft.iter().copied().collect();
    let mut view = Form::view(&draft);
    set(Choices::of("channels", listing)).searched(&mut view.channel, &mut view.find);
    let mut fields = Vec::new();
    Form::list(view, &mut fields);
    let shown = fields.into_iter().filter(|field| !field.is_hidden());
    shown.map(Field::into_form_field).collect()
}

fn names(field: &wire::Field) -> Vec<&str> {
    field.options.iter().map(|option| option.name.as_str()).collect()
}

fn help(field: &wire::Field) -> &str {
    field.description.as_deref().unwrap_or_default()
}

#[test]
fn a_short_list_is_shown_whole_and_needs_no_search() {
    let form = drawn(channels(3), &[], |choices| choices);
    assert_eq!(form.len(), 1);
    assert_eq!(names(&form[0]), ["C0000", "C0001", "C0002"]);
    assert_eq!(form[0].default.as_deref(), Some("C0000"));
    assert_eq!(help(&form[0]), "The channel.");
}

#[test]
fn a_long_list_is_cut_and_says_how_to_find_the_rest() {
    let form = drawn(channels(3412), &[], |choices| choices);
    assert_eq!((form.len(), form[0].options.len()), (2, 200));
    assert_eq!(
        help(&form[0]),
        "The channel. 200 of 3412 channels are shown. Type a part of the name into \"Find\" to \
         find others."
    );
}

#[test]
fn the_search_reads_names_and_ids_in_any_case() {
    let form = drawn(channels(3412), &[("find", " CHANNEL 341 ")], |choices| choices);
    assert_eq!(names(&form[0]), ["C0341", "C1341", "C2341", "C3341", "C3410", "C3411"]);
    assert_eq!(help(&form[0]), "The channel. 6 of 3412 channels match \"CHANNEL 341\".");
    assert_eq!(form[1].default.as_deref(), Some(" CHANNEL 341 "));
    let form = drawn(channels(3412), &[("find", "c0007")], |choices| choices);
    assert_eq!(names(&form[0]), ["C0007"]);
    let form = drawn(channels(3412), &[("find", "channel")], |choices| choices.most(5));
    assert_eq!(help(&form[0]), "The channel. 5 of 3412 channels that match \"channel\" are shown.");
}

#[test]
fn a_search_without_a_hit_still_shows_a_list() {
    let form = drawn(channels(3412), &[("find", "nowhere")], |choices| choices.most(2));
    assert_eq!(names(&form[0]), ["C0000", "C0001"]);
    assert_eq!(
        help(&form[0]),
        "The channel. Nothing matches \"nowhere\". 2 of 3412 channels are shown. Type a part of \
         the name into \"Find\" to find others."
    );
}

#[test]
fn what_was_chosen_stays_though_it_is_cut_searched_away_or_unknown() {
    for (draft, label) in [
        (&[("channel", "C3000")][..], "#channel-3000"),
        (&[("channel", "C3000"), ("find", "channel-7")], "#channel-3000"),
        (&[("channel", "G9999")], "G9999"),
    ] {
        let form = drawn(channels(3412), draft, |choices| choices.most(3));
        assert_eq!(form[0].default.as_deref(), Some(draft[0].1));
        assert_eq!(form[0].options.len(), 4);
        let first = &form[0].options[0];
        assert_eq!((first.name.as_str(), first.label.as_str()), (draft[0].1, label));
    }
}

#[test]
fn what_is_typed_can_be_a_choice() {
    let id: fn(Choices<'_>) -> Choices<'_> = |c| c.or_typed(|text| text.starts_with('C'));
    let form = drawn(channels(3), &[], id);
    assert_eq!(form.len(), 2, "the search is there to type into");
    let form = drawn(channels(3), &[("find", "C0ABC")], id);
    assert_eq!(names(&form[0]), ["C0ABC"]);
    assert_eq!(form[0].options[0].label, "C0ABC (as typed)");
    assert_eq!(help(&form[0]), "The channel. None of the channels listed matches \"C0ABC\".");
    // One that is listed is offered once, by its label.
    let form = drawn(channels(3), &[("find", "C0001")], id);
    assert_eq!(form[0].options.len(), 1);
    assert_eq!(form[0].options[0].label, "#channel-1");
}

#[test]
fn the_preferred_one_comes_first() {
    let form = drawn(channels(3), &[], |choices| choices.first(Some(" C0002 ")));
    assert_eq!(names(&form[0]), ["C0002", "C0000", "C0001"]);
    let form = drawn(channels(1), &[], |choices| choices.first(Some("C7")));
    assert_eq!(names(&form[0]), ["C7", "C0000"]);
    assert_eq!(form[0].default.as_deref(), Some("C7"));
}

/// Pages of ten; what was asked for is kept.
async fn paged(
    limits: Paging,
    asked: &Mutex<Vec<Option<String>>>,
    answer: impl Fn(usize) -> Result<Page> + Send + Sync,
) -> Result<Listing> {
    Listing::paged("channels", limits, |next: Option<String>| {
        let mut asked = asked.lock().expect("no panic");
        asked.push(next);
        let page = answer(asked.len());
        async move {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            page
        }
    })
    .await
}

fn ten(page: usize, of: usize) -> Page {
    let items = (0..10).map(|n| Item::named(format!("{page}-{n}"))).collect();
    Page { items, next: Some(if page < of { page.to_string() } else { String::new() }) }
}

#[tokio::test(start_paused = true)]
async fn pages_are_read_to_the_last() {
    let asked = Mutex::default();
    let listing = paged(Paging::default(), &asked, |page| Ok(ten(page, 3))).await.expect("a list");
    assert_eq!((listing.items.len(), listing.cut), (30, None));
    let asked = asked.into_inner().expect("no panic");
    assert_eq!(asked, [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!(listing.items[29].id, "3-9");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_only_so_far_and_so_long() {
    let limits = Paging { most: 25, ..Paging::default() };
    let listing = paged(limits, &Mutex::default(), |page| Ok(ten(page, 99))).await.expect("a list");
    assert_eq!(listing.items.len(), 25);
    assert_eq!(listing.cut.as_deref(), Some("Only the first 25 channels could be read."));
    let asked = Mutex::default();
    let listing = paged(Paging::default(), &asked, |page| Ok(ten(page, 99))).await;
    let listing = listing.expect("a list");
    assert_eq!(
        listing.cut.as_deref(),
        Some("Only the first 100 channels could be read. The rest did not come within 10 s.")
    );
    let form = drawn(listing, &[], |choices| choices);
    assert!(help(&form[0]).ends_with("The rest did not come within 10 s."));
    assert_eq!(form.len(), 2, "there may be more than the list shows");
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_fails_is_an_error_and_a_later_one_a_remark() {
    let busy = || Error::vendor("Slack answered 429 Too Many Requests.");
    let fails_at = |at| move |page| if page < at { Ok(ten(page, 99)) } else { Err(busy()) };
    let error = paged(Paging::default(), &Mutex::default(), fails_at(1)).await;
    assert_eq!(error.expect_err("no list").message(), "Slack answered 429 Too Many Requests.");
    let listing = paged(Paging::default(), &Mutex::default(), fails_at(3)).await.expect("a list");
    assert_eq!(
        listing.cut.as_deref(),
        Some("Only the first 20 channels could be read. Slack answered 429 Too Many Requests.")
    );
    let slow = Paging { within: std::time::Duration::from_millis(999), ..Paging::default() };
    let error = paged(slow, &Mutex::default(), |page| Ok(ten(page, 99))).await;
    let error = error.expect_err("too slow");
    assert_eq!(error.message(), "The list of channels did not come within 0 s.");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_names_itself_as_next_ends_the_list() {
    let same = |_| Ok(Page { next: Some("same".to_owned()), ..ten(1, 1) });
    let listing = paged(Paging::default(), &Mutex::default(), same).await.expect("a list");
    assert_eq!(listing.items.len(), 20);
}
