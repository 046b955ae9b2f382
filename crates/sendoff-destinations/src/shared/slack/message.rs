//! The fields that both actions share, and what becomes of the answers.

use sendoff::prelude::*;
use sendoff::{Choices, Class, Listing, Spooled};

use super::allowed::Allowed;
use super::place::{self, Place, Places};
use super::upload::{LARGEST, Post};
use super::{NAME, Slack, Whoami, comment};
use crate::shared::file_options;
use crate::shared::object_store::certain;
use crate::shared::template::Facts;

#[derive(Fields)]
pub(crate) struct Message {
    /// Enter an id by hand, or choose from the lists.
    #[field(name = "channelType", label = "Channel Type", default = "manual", interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    channel_type: ChannelType,
    /// The id of a channel (C0123ABCD) or a person (U0123ABCD), its link, or its name with # or @
    /// in front. Several with commas between.
    #[field(label = "Channel or User ID")]
    channel: String,
    /// The message beside the file. May hold {title}, {url}, {date} or {date:%d.%m.%Y}, {time},
    /// {format}, {plan_id}, {instance}.
    #[field(label = "Comment")]
    initial_comment: Option<String>,
    /// The name of the file; placeholders as in the comment. The extension is added if there is
    /// none. Leave empty for the title.
    filename: Option<String>,
    /// To reply to a message: its link, or its time such as 1700000000.000100.
    thread: Option<String>,
    /// Whether something is posted if the result has no rows; for formats that have rows.
    #[field(default = "yes")]
    send_if_empty: bool,
    /// A part of a name that the list above does not show, or an id.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find: Option<String>,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
pub(crate) enum ChannelType {
    #[choice(name = "manual", label = "Manual Channel ID")]
    Manual,
    #[choice(name = "channels", label = "Channels")]
    Channels,
    #[choice(name = "users", label = "Users")]
    Users,
}

impl ChannelType {
    fn noun(self) -> &'static str {
        if self == Self::Users { "people" } else { "channels" }
    }
}

/// A client, and by what its answers are remembered where one action has several.
pub(crate) struct Asked<'a, S> {
    pub(crate) cx: &'a Context<S>,
    pub(crate) slack: &'a Slack,
    pub(crate) whose: &'a str,
    pub(crate) allowed: &'a Allowed,
}

impl<S: Sync> Asked<'_, S> {
    /// Whom the token speaks for, as Slack said within the last minute.
    pub(crate) async fn whoami(&self) -> Result<Whoami> {
        let question = format!("auth.test {}", self.whose);
        self.cx.remember(&question, self.slack.whoami()).await
    }

    async fn list(&self, kind: ChannelType, who: Option<&Whoami>) -> Result<Listing> {
        let question = format!("{} {}", kind.noun(), self.whose);
        match kind {
            ChannelType::Users => self.cx.remember(&question, self.slack.users(who)).await,
            _ => self.cx.remember(&question, self.slack.channels(who)).await,
        }
    }

    /// Completes the form.
    ///
    /// # Errors
    /// Only for a token that is refused: then no answer would help.
    pub(crate) async fn fill(&self, form: &mut View<Message>) -> Result<()> {
        let kind = match form.channel_type.value() {
            Some("channels") => ChannelType::Channels,
            Some("users") => ChannelType::Users,
            _ => ChannelType::Manual,
        };
        let who = match self.whoami().await {
            Ok(who) => {
                form.channel_type.remark(&format!("Posting as {} in {}.", who.user, who.team));
                if who.lacks("files:write") {
                    let text =
                        "The token lacks the scope files:write, without which no file can be sent.";
                    form.channel_type.remark(text);
                }
                Some(who)
            }
            Err(error) if matches!(error.class(), Class::Settings | Class::Login) => {
                return Err(error);
            }
            Err(error) => {
                form.channel_type.remark(error.message());
                None
            }
        };
        if kind == ChannelType::Manual {
            form.find.hide();
            return Ok(());
        }
        form.channel.relabel("Share In");
        form.channel.describe("");
        let fits = if kind == ChannelType::Users { place::is_user } else { place::is_channel };
        if form.channel.value().is_some_and(|chosen| !fits(chosen)) {
            form.channel.forget();
        }
        match self.list(kind, who.as_ref()).await {
            Ok(mut listing) => {
                listing.items.retain(|item| self.allowed.offers(item));
                if listing.items.is_empty() {
                    form.find.hide();
                    form.channel.remark(&format!(
                        "{NAME} lists no {} for this token. Enter an id.",
                        kind.noun()
                    ));
                    return Ok(());
                }
                Choices::of(kind.noun(), listing)
                    .or_typed(fits)
                    .searched(&mut form.channel, &mut form.find);
            }
            Err(error) => {
                form.find.hide();
                let text = format!("No list can be shown: {} Enter an id.", error.message());
                form.channel.remark(&text);
            }
        }
        Ok(())
    }

    /// Delivers.
    ///
    /// # Errors
    /// As [`Action::execute`].
    pub(crate) async fn send(&self, form: &Message, mut data: Payload) -> Result<Receipt> {
        let places = Places::parse(&form.channel)?;
        let thread = places.thread(form.thread.as_deref())?;
        let facts = Facts::of(self.cx, &data);
        let path = file_options::target(None, form.filename.as_deref(), &facts)?;
        let comment =
            form.initial_comment.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let comment = comment.map(|text| comment::expand(text, self.cx.plan(), &facts));
        // The length comes first at Slack. Looker's own failures come before any call to it.
        let file = if data.is_present() { Some(data.keep().await?) } else { None };
        if let Some(file) = &file {
            if !form.send_if_empty && has_no_rows(data, file).await? {
                return Ok(Receipt::new(NAME).says(format!(
                    "The result has no rows, so that nothing was posted to {NAME}, as the form asks \
                     for."
                )));
            }
            check_size(file)?;
        }
        let channels = match self.channels(&places).await {
            Ok(channels) => channels,
            Err(error) => {
                let what = "which channels are meant";
                return Err(certain(NAME, error, what, self.cx.stop()).await);
            }
        };
        let post = Post { channels, thread, comment };
        match file {
            None => self.slack.post_text(&post).await,
            Some(file) => {
                // A name of one piece: Slack knows no folders.
                let name = path.as_str().replace('/', "_");
                self.slack.post_file(post, &name, &file).await
            }
        }
    }

    /// The ids that Slack posts to.
    async fn channels(&self, places: &Places) -> Result<Vec<String>> {
        let mut channels = Vec::new();
        for place in &places.all {
            let id = match place {
                Place::Channel(id) | Place::User(id) => id.clone(),
                Place::Named(name) => self.named(name).await?,
            };
            self.allowed.check(self.slack, &id).await?;
            let id = if place::is_user(&id) { self.conversation(id).await? } else { id };
            if !channels.contains(&id) {
                channels.push(id);
            }
        }
        Ok(channels)
    }

    /// The conversation with a person; his own id where the token may not open it, as those made
    /// for the reference hub may not.
    async fn conversation(&self, user: String) -> Result<String> {
        match self.slack.open(&user).await {
            Err(fault) if fault.is("missing_scope") => Ok(user),
            opened => Ok(opened?),
        }
    }

    /// The id behind `#general` or `@ada`.
    async fn named(&self, name: &str) -> Result<String> {
        let kind = if name.starts_with('@') { ChannelType::Users } else { ChannelType::Channels };
        // Whether the token is an organisation's decides what is listed; where it cannot be told,
        // the list says so itself.
        let who = self.whoami().await.ok();
        let listing = self.list(kind, who.as_ref()).await?;
        let is_it = |label: &str| label.split_whitespace().next() == Some(name);
        match listing.items.into_iter().find(|item| is_it(&item.label)) {
            Some(item) => Ok(item.id),
            None => Err(Error::form(
                "channel",
                format!(
                    "{name} is not among the {} that {NAME} lists for this token. A private channel \
                     is listed once the bot is invited there. Or enter the id.",
                    kind.noun()
                ),
            )),
        }
    }
}

/// Whether it is certain that a result has no rows. No more than the first one is read.
async fn has_no_rows(kept: Payload, file: &Spooled) -> Result<bool> {
    if file.is_empty() || !kept.has_rows() {
        return Ok(file.is_empty());
    }
    let mut rows = kept.rows().await?;
    Ok(rows.next().await.transpose()?.is_none())
}

fn check_size(file: &Spooled) -> Result<()> {
    if file.is_empty() {
        return Err(Error::vendor(format!(
            "The result is an empty file, and {NAME} takes none. Nothing was posted."
        )));
    }
    if file.len() > LARGEST {
        return Err(Error::vendor(format!(
            "{NAME} takes files of at most 1 GB. Send less data, or send it elsewhere."
        )));
    }
    Ok(())
}
