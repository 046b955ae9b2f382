//! The lists of a workspace: channels and people, page by page, and conversations with people.

use sendoff::{Item, Listing, Page, Paging, Result};
use serde::Deserialize;

use super::{Fault, Slack, Team, Whoami};

/// "An integer under 1000." <https://docs.slack.dev/reference/methods/conversations.list/>
const PAGE: &str = "999";

/// What a person may glimpse: the reference hub's words.
const MESSAGE: &str = "Looker Data";

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

#[derive(Deserialize)]
struct Teams {
    teams: Vec<Team>,
    #[serde(flatten)]
    next: Next,
}

/// A place in the lists of several workspaces, one after another: the workspace's place among them,
/// a colon, and Slack's own cursor.
struct At<'a> {
    nth: usize,
    team: Option<&'a str>,
    cursor: Option<String>,
}

impl<'a> At<'a> {
    fn of(teams: &'a [Option<String>], next: Option<String>) -> Self {
        let next = next.unwrap_or_default();
        let (nth, cursor) = next.split_once(':').unwrap_or(("0", ""));
        let nth = nth.parse().unwrap_or(0);
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        Self { nth, team: teams.get(nth).and_then(Option::as_deref), cursor }
    }

    fn query(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let team = self.team.map(|team| ("team_id", team));
        team.into_iter().chain(self.cursor.as_deref().map(|cursor| ("cursor", cursor)))
    }

    /// Behind this page.
    fn next(&self, teams: &[Option<String>], next: Next) -> Option<String> {
        let cursor = next.response_metadata.next_cursor.filter(|cursor| !cursor.is_empty());
        match cursor {
            Some(cursor) => Some(format!("{}:{cursor}", self.nth)),
            None if self.nth + 1 < teams.len() => Some(format!("{}:", self.nth + 1)),
            None => None,
        }
    }
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
        let teams = &self.teams_to_list(who).await?;
        // Kept beside the pages, because where the bot is a member decides the order.
        let mut all: Vec<Channel> = Vec::new();
        let found = std::sync::Mutex::new(&mut all);
        let listing = Listing::paged("channels", Paging::default(), |next| {
            let found = &found;
            async move {
                let at = At::of(teams, next);
                let page = self.page_of_channels(types, &at).await?;
                let next = at.next(teams, page.next);
                let items = page.channels.iter().map(|one| Item::named(&*one.id)).collect();
                found.lock().unwrap_or_else(|broken| broken.into_inner()).extend(page.channels);
                Ok(Page { items, next })
            }
        })
        .await?;
        all.truncate(listing.items.len());
        // A channel that workspaces share is in the list of each.
        let mut known = std::collections::HashSet::new();
        all.retain(|channel| known.insert(channel.id.clone()));
        all.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let items = all.into_iter().map(Channel::item).collect();
        let cut = listing.cut.into_iter().chain(remark.map(str::to_owned)).collect::<Vec<_>>();
        Ok(Listing { items, cut: (!cut.is_empty()).then(|| cut.join(" ")) })
    }

    async fn page_of_channels(&self, types: &str, at: &At<'_>) -> Result<Channels> {
        let query = [("types", types), ("exclude_archived", "true"), ("limit", PAGE)];
        let query: Vec<_> = query.into_iter().chain(at.query()).collect();
        Ok(self.get("conversations.list", &query).await?)
    }

    /// Every person of the workspace but guests.
    pub(super) async fn users(&self, who: Option<&Whoami>) -> Result<Listing> {
        let teams = &self.teams_to_list(who).await?;
        let mut listing = Listing::paged("people", Paging::default(), |next| async move {
            let at = At::of(teams, next);
            let query: Vec<_> = [("limit", PAGE)].into_iter().chain(at.query()).collect();
            let page: Users = self.get("users.list", &query).await?;
            let people = page.members.into_iter().filter(User::is_person);
            let items = people.map(User::item).collect();
            Ok(Page { items, next: at.next(teams, page.next) })
        })
        .await?;
        listing.items.sort_by(|a, b| (&a.label, &a.id).cmp(&(&b.label, &b.id)));
        listing.items.dedup();
        Ok(listing)
    }

    /// The workspaces that an organisation's token is good for
    /// (<https://docs.slack.dev/reference/methods/auth.teams.list/>).
    pub(crate) async fn teams(&self) -> Result<Vec<Team>> {
        let listing = Listing::paged("workspaces", Paging::default(), |next| async move {
            let query = [("limit", PAGE)].into_iter();
            let query: Vec<_> = query.chain(next.as_deref().map(|next| ("cursor", next))).collect();
            let page: Teams = self.get("auth.teams.list", &query).await?;
            let items = page.teams.into_iter().map(|team| Item::new(team.id, team.name)).collect();
            Ok(Page { items, next: page.next.response_metadata.next_cursor })
        })
        .await?;
        Ok(listing.items.into_iter().map(|Item { id, label: name }| Team { id, name }).collect())
    }

    /// The conversation with a person, opened if it never was.
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

    /// The same for tokens that may open none: a message to the person names it, and is taken back
    /// at once.
    pub(super) async fn find(&self, user: &str) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Answer {
            channel: String,
            ts: String,
        }
        let sent: Answer = self.message(user, MESSAGE, None).await?;
        let message = [("channel", &*sent.channel), ("ts", &*sent.ts)];
        if let Err(fault) = self.post::<serde_json::Value>("chat.delete", &message).await {
            tracing::warn!(reason = %fault.error().log_line(), "a message to a person stays");
        }
        Ok(sent.channel)
    }
}
