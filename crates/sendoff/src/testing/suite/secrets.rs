//! Secrets stay where they belong, and nobody but the vendor is called.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::lab::Lab;
use super::verdict::{ensure, judge};
use super::{Case, Subject, Verdict, case};
use crate::testing::content::hex;
use crate::testing::{At, By, Damage, Expected, Flow, Injury, Mischief, Refusal, VendorFault};

pub(super) fn cases(_: &Subject) -> Vec<Case> {
    vec![
        case("keeps_secrets", async |subject| keeps(&subject).await),
        case("stays_at_home", async |subject| stays(&subject).await),
    ]
}

/// Everything that was written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Delivers well and badly at the finest log level; the vendor's refusal echoes every secret.
async fn keeps(subject: &Subject) -> Verdict {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // For this thread, on which the whole lab runs.
    let _guard = subscriber.set_default();
    tracing::trace!("the log is open");
    let mut heard = Vec::new();
    for way in 0..3 {
        let lab = Lab::start(subject).await?;
        let (settings, secrets) = secrets(&lab);
        let content = lab.content(subject.text_format(), 5_000);
        match way {
            0 => {}
            1 => lab.vendor.injure(VendorFault {
                at: At::Any,
                mischief: Mischief::Refuse(echo(&secrets)),
                lasting: true,
            }),
            _ => lab.vendor.proxy().injure(Injury {
                flow: Flow::Up,
                after: 100,
                damage: Damage::Reset,
                lasting: true,
            }),
        }
        let (_, form) = lab.looker.form(lab.spec.name, &lab.settings, Some(&lab.answers)).await?;
        // What the user has typed into the form comes back in it.
        absent(&form.to_string(), &settings, "the form")?;
        let answer = lab.ship(content, By::Push, None).await?;
        let text = answer.map_or_else(|error| error.to_string(), |answer| answer.text);
        absent(&text, &secrets, "the answer")?;
        heard.push(secrets);
    }
    let text = log.text();
    ensure(text.contains("the log is open"), || "nothing was logged at all".into())?;
    heard.iter().try_for_each(|secrets| absent(&text, secrets, "the log"))
}

/// The settings' secrets, and all of them.
fn secrets(lab: &Lab) -> (Vec<String>, Vec<String>) {
    let of = |values: &crate::Values| -> Vec<String> {
        lab.secrets.iter().filter_map(|name| values.get(name)).map(str::to_owned).collect()
    };
    let settings = of(&lab.settings);
    let mut all = settings.clone();
    all.extend(of(&lab.answers));
    all.extend(lab.vendor.fake().provider().into_iter().flat_map(|one| one.secrets()));
    all.push(lab.looker.token().to_owned());
    (settings, all)
}

fn echo(secrets: &[String]) -> Refusal {
    // The hub token never goes to a vendor, so none can send it back.
    let known = &secrets[..secrets.len() - 1];
    let body = format!("Access denied for {}. Encoded: {}", known.join(" "), {
        let encoded =
            known.iter().map(|one| utf8_percent_encode(one, NON_ALPHANUMERIC).to_string());
        encoded.collect::<Vec<_>>().join(" ")
    });
    Refusal { status: 403, retry_after: None, media_type: "text/plain", body }
}

fn absent(text: &str, secrets: &[String], place: &str) -> Verdict {
    for secret in secrets {
        let forms = [
            secret.clone(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            base64_simd::STANDARD.encode_to_string(secret.as_bytes()),
            hex(secret.as_bytes()),
            serde_json::Value::from(secret.as_str()).to_string().trim_matches('"').to_owned(),
        ];
        for form in forms {
            let line = text.lines().find(|line| line.contains(&form));
            ensure(line.is_none(), || format!("{place} holds {form}: {line:?}"))?;
        }
    }
    Ok(())
}

/// Every name of the public internet leads to a listener that only counts.
async fn stays(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let by = if subject.downloads() { By::Download } else { By::Push };
    let content = lab.content(subject.text_format(), 5_000);
    lab.looker.form(lab.spec.name, &lab.settings, Some(&lab.answers)).await?;
    let heard = lab.ship(content, by, None).await?;
    judge(&lab, &content, &heard, Expected::Delivered).await?;
    lab.strayed()
}
