//! Whose account is used, and whether the admin allows its domain.

use sendoff::{Error, Result};
use serde::{Deserialize, Serialize};

use super::Google;

/// Who has logged in.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Account {
    pub(crate) email: String,
    /// Google has seen that the address is his.
    #[serde(default)]
    verified_email: bool,
}

/// The domains that an admin allows; none means all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// Reads a list with commas.
    pub(crate) fn read(list: Option<&str>) -> Self {
        let entries = list.unwrap_or_default().split(',');
        let entries = entries.map(|entry| entry.trim().trim_start_matches('@').to_lowercase());
        Self(entries.filter(|entry| !entry.is_empty()).collect())
    }

    /// Whether an address lies in one of them, and not below it.
    pub(crate) fn allow(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        self.0.is_empty() || domain.is_some_and(|domain| self.0.contains(&domain))
    }
}

impl Google {
    /// Who has logged in.
    ///
    /// # Errors
    /// A login error if the login is too old to tell.
    pub(crate) async fn account(&self) -> Result<Account> {
        let url = "https://www.googleapis.com/oauth2/v2/userinfo";
        self.ask(|http| http.get(url)).await?.json().await
    }

    /// Refuses who has logged in with an account of a domain that is not allowed.
    ///
    /// # Errors
    /// A login error, so that the form offers the login anew.
    pub(crate) async fn check_domain(&self, domains: &Domains) -> Result<()> {
        if domains.0.is_empty() {
            return Ok(());
        }
        self.account().await?.check(domains)
    }
}

impl Account {
    /// As [`Google::check_domain`].
    pub(crate) fn check(&self, domains: &Domains) -> Result<()> {
        let email = &self.email;
        if !domains.allow(email) {
            return Err(Error::login(format!(
                "{email} may not be used: the Looker admin allows accounts of {} only. Log in with \
                 another account.",
                domains.0.join(", ")
            ))
            .status(403));
        }
        if !self.verified_email && !domains.0.is_empty() {
            return Err(Error::login(format!(
                "Google has not verified that {email} is yours, and the Looker admin allows \
                 accounts of {} only. Log in with another account.",
                domains.0.join(", ")
            ))
            .status(403));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_the_whole_of_what_follows_the_last_at() {
        let domains = Domains::read(Some(" bar.com, @Facts.com ,,"));
        for good in ["x@bar.com", "x@BAR.com", "y@facts.com", "a@b@bar.com"] {
            assert!(domains.allow(good), "{good}");
        }
        for bad in ["x@evilbar.com", "x@sub.bar.com", "x@bar.com.evil.org", "bar.com", "", "x@"] {
            assert!(!domains.allow(bad), "{bad}");
        }
        assert!(Domains::read(Some(" , ")).allow("anyone@anywhere.org"));
        assert!(Domains::read(None).allow("anyone@anywhere.org"));
    }

    #[test]
    fn an_address_that_nobody_verified_is_no_proof() {
        let account = |verified_email| Account { email: "x@bar.com".into(), verified_email };
        let domains = Domains::read(Some("bar.com"));
        assert!(account(true).check(&domains).is_ok());
        assert!(account(false).check(&domains).is_err());
        assert!(account(false).check(&Domains::default()).is_ok());
    }
}
