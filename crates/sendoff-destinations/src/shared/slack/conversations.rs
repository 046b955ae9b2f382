//! The lists of a workspace: channels and people, page by page, and conversations with people.

use sendoff::{Item, Listing, Page, Paging, Result};
use serde::Deserialize;

use super::{Fault, Slack, Whoami};

/// "An integer under 1000." <https://docs.slack.dev/reference/methods/conversations.list/>
const PAGE: &str = "999";

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    response_metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Channels {
    channels: Vec<Channel>,
    #[serde(flatten)]
    next: Next,
}

#[derive(Deserialize)]
struct Channel {
    id: String,
    name: String,
    #[serde(default)]
    is_member: bool,
    #[serde(default)]
    is_private: bool,
}

#[derive(Deserialize)]
struct Users {
    members: Vec<User>,
    #[serde(flatten)]
    next: Next,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    real_name: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    is_bot: bool,
    #[serde(default)]
    is_restricted: bool,
    #[serde(default)]
    is_ultra_restricted: bool,
}

impl Channel {
    /// Slack's own order is that of making. Where the bot can post comes first.
    fn rank(&self) -> (bool, &str) {
        (!(self.is_member || self.is_private), &self.name)
    }

    fn item(self) -> Item {
        let label = if self.is_member || self.is_private {
            format!("#{}", self.name)
        } else {
            format!("#{} (the bot is not a member)", self.name)
        };
        Item::new(self.id, label)
    }
}

impl User {
    fn is_person(&self) -> bool {
        let limited = self.is_restricted || self.is_ultra_restricted;
        // Slackbot does not call itself a bot.
        !(self.deleted || self.is_bot || limited || self.id == "USLACKBOT")
    }

    fn item(self) -> Item {
        let real = self.real_name.filter(|real| !real.is_empty() && *real != self.name);
        let label = match real {
            Some(real) => format!("@{} ({real})", self.name),
            None => format!("@{}", self.name),
        };
        Item::new(self.id, label)
    }
}

impl Slack {
    /// Every channel that the token may see: all public ones, and the private ones that the bot is
    /// in.
    pub(super) async fn channels(&self, who: Option<&Whoami>) -> Result<Listing> {
        let lacks = |scope| who.is_some_and(|who| who.lacks(scope));
        let mut remark = None;
        let types = if lacks("groups:read") {
            remark =
                Some("Private channels are not listed: the token lacks the scope groups:read.");
            "public_channel"
        } else if lacks("channels:read") {
            remark =
                Some("Public channels are not listed: the token lacks the scope channels:read.");
            "private_channel"
        } else {
            "public_channel,private_channel"
        };
        // Kept beside the pages, because where the bot is a member decides the order.
        let mut all: Vec<Channel> = Vec::new();
        let found = std::sync::Mutex::new(&mut all);
        let listing = Listing::paged("channels", Paging::default(), |next| {
            let found = &found;
            async move {
                let page = self.page_of_channels(types, next.as_deref()).await?;
                let next = page.next.response_metadata.next_cursor;
                let items = page.channels.iter().map(|one| Item::named(&*one.id)).collect();
                found.lock().unwrap_or_else(|broken| broken.into_inner()).extend(page.channels);
                Ok(Page { items, next })
            }
        })
        .await?;
        all.truncate(listing.items.len());
        all.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let items = all.into_iter().map(Channel::item).collect();
        let cut = listing.cut.into_iter().chain(remark.map(str::to_owned)).collect::<Vec<_>>();
        Ok(Listing { items, cut: (!cut.is_empty()).then(|| cut.join(" ")) })
    }

    async fn page_of_channels(&self, types: &str, next: Option<&str>) -> Result<Channels> {
        let query = [("types", types), ("exclude_archived", "true"), ("limit", PAGE)];
        let query: Vec<_> = query.into_iter().chain(next.map(|next| ("cursor", next))).collect();
        Ok(self.get("conversations.list", &query).await?)
    }

    /// Every person of the workspace but guests.
    pub(super) async fn users(&self) -> Result<Listing> {
        let mut listing = Listing::paged("people", Paging::default(), |next| async move {
            let query = [("limit", PAGE)].into_iter();
            let query: Vec<_> = query.chain(next.as_deref().map(|next| ("cursor", next))).collect();
            let page: Users = self.get("users.list", &query).await?;
            let people = page.members.into_iter().filter(User::is_person);
            let items = people.map(User::item).collect();
            Ok(Page { items, next: page.next.response_metadata.next_cursor })
        })
        .await?;
        listing.items.sort_by(|a, b| a.label.cmp(&b.label));
        Ok(listing)
    }

    /// The conversation with a person, opened if it never was: files take no person's id
    /// (<https://github.com/slackapi/bolt-js/issues/2115>).
    pub(super) async fn open(&self, user: &str) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Answer {
            channel: Opened,
        }
        #[derive(Deserialize)]
        struct Opened {
            id: String,
        }
        let answer: Answer = self.post("conversations.open", &[("users", user)]).await?;
        Ok(answer.channel.id)
    }
}
