//! One delivery from list to file: plays Looker over real HTTP with a real data set, and shows what
//! crossed the wire.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use sendoff_protocol::{Format, Outcome};
use sendoff_workbench::Warehouse;
use sendoff_workbench::{Answered, DataLimits, Delivery, Exchange, Looker, Paint, Rendering};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where the file goes below the folder.
const FILE_NAME: &str = "penguins.csv";
/// The shipped data set has 15 kB as CSV.
const SHIPPED_MOST: usize = 1 << 20;
/// What the user changes in the form; everything else stays as it is drawn.
const ANSWERS: [(&str, &str); 1] = [("filename", FILE_NAME)];

/// What came of the demo.
#[derive(Default, Serialize)]
struct Played {
    /// What the list URL would be in Looker's admin page.
    hub: String,
    steps: Vec<Step>,
    outcome: Option<Outcome>,
    /// Why there is no outcome.
    failure: Option<String>,
    delivered: Option<Delivered>,
}

/// One call of Looker's.
#[derive(Serialize)]
struct Step {
    what: &'static str,
    #[serde(flatten)]
    exchange: Exchange,
}

/// The file at the destination.
#[derive(Serialize)]
struct Delivered {
    path: PathBuf,
    bytes: u64,
    sha256: String,
    /// Whether the file holds exactly what Looker sent.
    identical: bool,
}

/// Plays it, shows it, and says whether the file arrived.
pub(super) async fn run(
    address: SocketAddr,
    token: &str,
    folder: &Path,
    json: bool,
    paint: Paint,
) -> anyhow::Result<ExitCode> {
    let played = play(address, token, folder).await;
    show(&played, json, paint)?;
    Ok(if played.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lists, draws the form as the test does when an admin enables the action, and delivers.
async fn play(address: SocketAddr, token: &str, folder: &Path) -> Played {
    let list_url = format!("http://{address}/");
    let mut played = Played { hub: list_url, ..Played::default() };
    if let Err(why) = deliver(&mut played, token, folder).await {
        played.failure = Some(format!("{why:#}"));
    }
    played
}

async fn deliver(played: &mut Played, token: &str, folder: &Path) -> anyhow::Result<()> {
    let looker = Looker::new(&played.hub)?.token(token);
    let listing =
        played.note("An admin adds the hub: Looker lists its actions", looker.list().await)?;
    let action = listing
        .integrations
        .into_iter()
        .find(|action| action.name == "file")
        .context("The hub does not list the `file` action.")?;
    let form = looker.form(&action, Delivery::query("Penguins")).await;
    let form = played.note("The admin enables the action: Looker tests its form", form)?;
    if let sendoff_protocol::Form::Error { error } = &form {
        anyhow::bail!("The form cannot be drawn: {error}");
    }

    let data = Warehouse::in_memory(DataLimits::default()).await?;
    let look = data.look("penguins")?;
    let rendered = data.render(look, Format::Csv, Rendering::default()).await?;
    let csv = rendered.whole(SHIPPED_MOST).await?;
    let mut delivery = look.delivery();
    // The user leaves each field as it is drawn, but for the name of the file.
    for field in form.fields() {
        if let Some(default) = &field.default {
            delivery = delivery.answer(&field.name, default);
        }
    }
    for (name, value) in ANSWERS {
        delivery = delivery.answer(name, value);
    }
    let delivery = delivery.push(Format::Csv, csv.clone().into());
    let executed = looker.execute(&action, delivery).await;
    let outcome = played.note("A user sends a query: Looker pushes its rows as CSV", executed)?;
    let success = outcome.success;
    played.outcome = Some(outcome);
    if success {
        played.delivered = Some(Delivered::read(&folder.join(FILE_NAME), &csv).await?);
    }
    Ok(())
}

impl Played {
    fn note<T>(&mut self, what: &'static str, answered: Answered<T>) -> anyhow::Result<T> {
        self.steps.push(Step { what, exchange: answered.exchange });
        Ok(answered.answer?)
    }

    /// Looker was told so, and the file is what was sent.
    fn succeeded(&self) -> bool {
        self.failure.is_none()
            && self.outcome.as_ref().is_some_and(|outcome| outcome.success)
            && self.delivered.as_ref().is_some_and(|file| file.identical)
    }
}

impl Delivered {
    async fn read(path: &Path, sent: &[u8]) -> anyhow::Result<Self> {
        let bytes = tokio::fs::read(path)
            .await
            .with_context(|| format!("There is no file {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            identical: bytes == sent,
        })
    }
}

fn show(played: &Played, json: bool, paint: Paint) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, played)?;
        writeln!(out)?;
        return Ok(());
    }
    for (n, step) in played.steps.iter().enumerate() {
        let title = format!("{}. {}", n + 1, step.what);
        writeln!(out, "{}\n", paint.style("1;4", &title))?;
        writeln!(out, "{}", step.exchange.render(paint))?;
    }
    writeln!(out, "{}\n", paint.style("1;4", "What came of it"))?;
    writeln!(out, "{}", summary(played, paint))?;
    Ok(())
}

fn summary(played: &Played, paint: Paint) -> String {
    let mut lines = Vec::new();
    if let Some(file) = &played.delivered {
        let state = if file.identical {
            paint.style("32", "identical to what Looker sent")
        } else {
            paint.style("31", "NOT what Looker sent")
        };
        lines.push(format!("The file     {}", file.path.display()));
        lines.push(format!("             {} bytes, {state}", file.bytes));
        lines.push(format!("             sha256 {}", file.sha256));
    }
    match &played.outcome {
        Some(outcome) if outcome.success => {
            lines.push(format!(
                "In Looker    the user sees {}; the schedule history says",
                paint.style("32", "nothing but that it was sent")
            ));
            lines.push(format!("             \"{}\"", outcome.message.as_deref().unwrap_or("")));
        }
        Some(outcome) => {
            lines.push(format!("In Looker    the user sees {}:", paint.style("31", "a failure")));
            lines.push(format!("             {}", outcome.message.as_deref().unwrap_or("")));
            for (field, problem) in &outcome.validation_errors {
                lines.push(format!("             {field}: {problem}"));
            }
        }
        None => {}
    }
    if let Some(failure) = &played.failure {
        lines.push(paint.style("31", failure));
    }
    lines.join("\n")
}
