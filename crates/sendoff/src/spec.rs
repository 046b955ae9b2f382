//! What an action is, as data: the definition that Looker lists, the docs page and the choice of
//! its tests are all made from it.

use sendoff_protocol::VisualizationFormatting;
pub use sendoff_protocol::{ActionType, Format, Formatting, LookerVersion};

use crate::login::{Delegate, LoginBy, OAuth};

/// What an action is. Built in a `const` with [`Spec::new`]; see [`Action::SPEC`](crate::Action).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Spec {
    /// Unique in a hub; schedules refer to it, so it never changes.
    pub name: &'static str,
    /// What users read.
    pub label: &'static str,
    /// A sentence below the label.
    pub description: &'static str,
    /// What can be sent.
    pub accepts: &'static [ActionType],
    /// The formats offered; `None` means every one.
    pub formats: Option<&'static [Format]>,
    /// Whether values come formatted; `None` leaves the choice to the user.
    pub formatting: Option<Formatting>,
    /// Whether the visualisation's settings are applied; `None` leaves the choice to the user.
    pub visualization: Option<VisualizationFormatting>,
    /// How Looker hands over the data.
    pub download: Download,
    /// Tags that fields of the query must carry: all of the list, any of each entry.
    pub required_tags: &'static [&'static [&'static str]],
    /// Older Lookers do not see the action.
    pub minimum_looker: LookerVersion,
    /// The icon that Looker shows.
    pub icon: Option<Icon>,
    /// The vendor's page that an admin starts from.
    pub vendor_docs: Option<&'static str>,
    /// What may be sent to the vendor twice.
    pub repeatable: Repeatable,
    /// When the data becomes visible at the vendor.
    pub commit: Commit,
    /// Whether the vendor can be asked if the data stands there.
    pub checkable: bool,
    /// Whether the vendor's refusals can be told apart by HTTP status, as most tests assume.
    pub over_http: bool,
    /// How users log in, if they must.
    pub login: Option<LoginBy>,
    /// The setting whose credentials may stand in for the users' logins.
    pub or_setting: Option<&'static str>,
}

/// How Looker hands over the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Download {
    /// In the request.
    Push,
    /// By a URL that the hub fetches, which has no size limit ("All Results" needs it).
    /// Dashboards come in the request all the same.
    Url,
}

/// What may be sent to the vendor twice without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeatable {
    /// Nothing: a second request is a second delivery.
    Nothing,
    /// A part of an upload.
    Parts,
    /// The whole delivery: the second replaces the first.
    Whole,
}

/// When the data becomes visible at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commit {
    /// All at once, by a last step; until then nothing is there.
    FinalStep,
    /// As the vendor reads the request's last byte.
    LastByte,
    /// Row by row; what was accepted cannot be taken back.
    Streaming,
    /// Nothing is stored.
    Never,
}

/// An icon, at most 32 kB: the list answer holds all of them.
#[derive(Clone, Copy, Debug)]
pub struct Icon {
    /// `image/svg+xml` or `image/png`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

impl Spec {
    /// A spec of an action that takes query results in any format.
    ///
    /// # Panics
    /// At compile time, when `name` is not lower snake case.
    pub const fn new(name: &'static str, label: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "an action has a name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'_'),
                "an action's name is lower snake case"
            );
            at += 1;
        }
        Self {
            name,
            label,
            description: "",
            accepts: &[ActionType::Query],
            formats: None,
            formatting: None,
            visualization: None,
            download: Download::Push,
            required_tags: &[],
            minimum_looker: LookerVersion::new(5, 5, 0),
            icon: None,
            vendor_docs: None,
            repeatable: Repeatable::Nothing,
            commit: Commit::LastByte,
            checkable: false,
            over_http: true,
            login: None,
            or_setting: None,
        }
    }

    /// A sentence below the label.
    #[must_use]
    pub const fn description(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    /// What can be sent.
    #[must_use]
    pub const fn accepts(mut self, types: &'static [ActionType]) -> Self {
        self.accepts = types;
        self
    }

    /// The formats offered.
    #[must_use]
    pub const fn formats(mut self, formats: &'static [Format]) -> Self {
        self.formats = Some(formats);
        self
    }

    /// Values as the database gave them, without the visualisation's settings.
    #[must_use]
    pub const fn raw_values(mut self) -> Self {
        self.formatting = Some(Formatting::Unformatted);
        self.visualization = Some(VisualizationFormatting::Noapply);
        self
    }

    /// Data comes by URL, so that its size has no limit.
    #[must_use]
    pub const fn streaming(mut self) -> Self {
        self.download = Download::Url;
        self
    }

    /// Tags that fields of the query must carry.
    #[must_use]
    pub const fn required_tags(mut self, tags: &'static [&'static [&'static str]]) -> Self {
        self.required_tags = tags;
        self
    }

    /// Older Lookers do not see the action.
    #[must_use]
    pub const fn minimum_looker(mut self, version: LookerVersion) -> Self {
        self.minimum_looker = version;
        self
    }

    /// An SVG icon.
    #[must_use]
    pub const fn svg(mut self, bytes: &'static [u8]) -> Self {
        self.icon = Some(Icon { media_type: "image/svg+xml", bytes });
        self
    }

    /// The vendor's page that an admin starts from.
    #[must_use]
    pub const fn vendor_docs(mut self, url: &'static str) -> Self {
        self.vendor_docs = Some(url);
        self
    }

    /// What may be sent twice, when the data becomes visible, and whether the vendor can be asked
    /// afterwards. What a fault must lead to follows from these three, see
    /// `sendoff::testing::expected`.
    #[must_use]
    pub const fn delivery(
        mut self,
        repeatable: Repeatable,
        commit: Commit,
        checkable: bool,
    ) -> Self {
        self.repeatable = repeatable;
        self.commit = commit;
        self.checkable = checkable;
        self
    }

    /// Users log in at the vendor. The hub offers the action only with a client of its own there,
    /// see [`Builder::oauth_client`](crate::Builder::oauth_client), or with
    /// [`or_setting`](Self::or_setting).
    #[must_use]
    pub const fn oauth(mut self, oauth: OAuth) -> Self {
        self.login = Some(LoginBy::OAuth(oauth));
        self
    }

    /// With credentials in the setting `name`, users need no login, see
    /// [`Action::needs_login`](crate::Action::needs_login). A hub without a client at the vendor then
    /// offers the action all the same: without logins, and with this setting required.
    #[must_use]
    pub const fn or_setting(mut self, name: &'static str) -> Self {
        self.or_setting = Some(name);
        self
    }

    /// Looker runs the login and hands over the tokens.
    #[must_use]
    pub const fn delegate_oauth(mut self, delegate: Delegate) -> Self {
        self.login = Some(LoginBy::Delegate(delegate));
        self
    }

    /// The vendor is not reached by HTTP.
    #[must_use]
    pub const fn not_http(mut self) -> Self {
        self.over_http = false;
        self
    }
}
