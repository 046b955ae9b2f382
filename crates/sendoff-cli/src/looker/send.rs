//! `sendoff send`: a delivery to any hub, as Looker would make it, from a shell or a CI job.

mod args;
mod data;
mod form;
mod kept;
mod progress;
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;

use sendoff_workbench::instance::{
    ActionId, Binding, Hub, Instance, Order, Params, Refused, Running, Sent, Settings, User,
};
use sendoff_workbench::{Call, DataLimits, Fault, Paint, Severity, Warehouse, recording};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) use args::SendArgs;
use report::Report;

use super::signals::Ends;
use super::terminal::Line;
use super::{Paints, complain};

use crate::config::Environment;
use crate::tell::tell;

/// How a send ended. The table of the help is made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// The hub says that it was delivered.
    Delivered = 0,
    /// Looker takes it for failed.
    Failed = 1,
    /// The command is wrong.
    Usage = 2,
    /// There is no answer.
    NoAnswer = 3,
    /// Looker takes it for delivered, and nothing in the answer says that it was.
    Mistaken = 4,
    /// Stopped by a signal.
    Stopped = 130,
}

/// Why nothing was sent, and with which code the command ends.
#[derive(Debug)]
pub(crate) struct Stop {
    code: Code,
    why: String,
}

impl Stop {
    fn usage(why: impl Into<String>) -> Self {
        Self { code: Code::Usage, why: why.into() }
    }

    fn of(code: Code, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::usage(refused.0)
    }
}

/// Sends, prints what came of it, and ends with the code that says so.
pub(crate) async fn run(
    args: SendArgs,
    environment: &Environment,
    paints: Paints,
) -> anyhow::Result<ExitCode> {
    let code = match send(&args, environment, paints).await {
        Ok(code) => code,
        Err(stop) => {
            if args.json {
                let json = serde_json::json!({"exit_code": stop.code as u8, "error": stop.why});
                crate::cli::print(format!("{json:#}\n").as_bytes())?;
            }
            complain(&stop.why);
            stop.code
        }
    };
    Ok(ExitCode::from(code as u8))
}

/// Ctrl-C and SIGTERM end whatever waits.
struct Interrupt(Ends);

impl Interrupt {
    fn heeded() -> Result<Self, Stop> {
        Ends::heeded().map(Self).map_err(|error| Stop::usage(error.to_string()))
    }

    async fn during<T, E: Into<Stop>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            done = work => done.map_err(Into::into),
            () = self.0.asked() => Err(Stop::of(Code::Stopped, "It was stopped.")),
        }
    }
}

async fn send(args: &SendArgs, environment: &Environment, paints: Paints) -> Result<Code, Stop> {
    let mut interrupt = Interrupt::heeded()?;
    let secrets = args.secrets(environment).map_err(Stop::usage)?;
    if !args.has_data() && args.replay.is_none() {
        return Err(Stop::usage(
            "Something to be sent is required: --data, --sql, --look, --dashboard, --cell, \
             --generate or --replay.",
        ));
    }
    // Whatever cannot be written is told before anything is sent.
    let state = kept::State::open(args.state.as_deref()).await?;
    let record = kept::Record::open(args.record.as_deref()).await?;
    let (looker, _server) = looker(args).await?;
    let hub = interrupt.during(met(&looker, &args.to, secrets.token.as_deref())).await?;
    let mut user = User { id: "ana".into(), name: "Ana".into(), ..User::default() };
    user.attributes = args.attributes().map_err(Stop::usage)?;
    looker.put_user(user).await?;
    let code = match &args.replay {
        Some(_) => {
            let replayed = replay(&looker, &hub, args, &secrets.params, paints.out);
            interrupt.during(replayed).await
        }
        None => {
            let delivered =
                deliver(&looker, &hub, args, &secrets.params, state, paints, &mut interrupt);
            delivered.await
        }
    };
    record.write(looker.journal().all()).await;
    code
}

/// A Looker in memory, whose download URLs and login URLs are served while it lives.
async fn looker(args: &SendArgs) -> Result<(Instance, JoinSet<()>), Stop> {
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener
        .map_err(|error| Stop::usage(format!("{} cannot be listened on: {error}.", args.listen)))?;
    let address = listener.local_addr().map_err(|error| Stop::usage(error.to_string()))?;
    let base = args.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let cannot = |error: &dyn std::fmt::Display| Stop::usage(error.to_string());
    let data = Warehouse::in_memory(DataLimits::default()).await.map_err(|e| cannot(&e))?;
    let mut settings = Settings::new(&base, data);
    settings.patience = args.patience;
    settings.extra_ca.clone_from(&args.extra_ca);
    let looker = Instance::open(settings).await.map_err(|error| cannot(&error))?;
    let mut server = JoinSet::new();
    let serving = looker.clone();
    server.spawn(async move {
        // Without its server a hub cannot fetch; what it says of that is in its answer.
        let _ = serving.serve(listener).await;
    });
    Ok((looker, server))
}

/// The hub, listed.
async fn met(looker: &Instance, url: &str, token: Option<&str>) -> Result<Hub, Stop> {
    let hub = looker.add_hub(url, token).await?;
    let Some(error) = &hub.fetch_error_message else { return Ok(hub) };
    let listed = looker.journal().all().pop();
    let status = listed.and_then(|entry| entry.exchange.status);
    let hint = match (status, token) {
        (Some(401 | 403), None) => " It wants a token: give one with --token.",
        (Some(401 | 403), Some(_)) => " The token is not the hub's: look at --token.",
        (Some(_), _) if error.contains("a web page") => {
            " It may be no action hub: --to takes the list URL, as it is entered in Looker."
        }
        _ => "",
    };
    Err(Stop::of(Code::NoAnswer, format!("The hub's actions cannot be listed. {error}{hint}")))
}

/// The action of that name, or the one that was probably meant.
fn action(hub: &Hub, name: &str) -> Result<ActionId, Stop> {
    if hub.actions.iter().any(|action| action == name) {
        return Ok(hub.action(name));
    }
    let known = hub.actions.iter().cloned();
    let meant = match crate::config::closest(name, known) {
        Some(meant) => format!(" Did you mean `{meant}`?"),
        None => String::new(),
    };
    let list = hub.actions.join(", ");
    Err(Stop::usage(format!("The hub has no action `{name}`.{meant} It has {list}.")))
}

async fn deliver(
    looker: &Instance,
    hub: &Hub,
    args: &SendArgs,
    params: &BTreeMap<String, String>,
    state: kept::State,
    paints: Paints,
    interrupt: &mut Interrupt,
) -> Result<Code, Stop> {
    let name = args.action.as_deref().ok_or_else(|| Stop::usage("Which action?"))?;
    let action = action(hub, name)?;
    let definition = looker.action(&action)?.definition;
    let bound = params.iter().map(|(name, value)| (name.clone(), Binding::Value(value.clone())));
    looker.configure(&action, bound.collect::<Params>()).await?;
    if let Some(state) = &state.before {
        looker.set_state("ana", &action, state).await?;
    }
    let what = data::what(looker, args, &definition);
    let (what, format) = interrupt.during(what).await?;
    let total = data::total(&what).await;
    let mut order = Order::new(&action, what);
    order.format = format;
    order.way = args.way();
    order.all_results = args.all_results;
    order.faults = args.faults().map_err(Stop::usage)?;
    order.title.clone_from(&args.title);
    order.rendering = args.rendering(&definition);
    order.answers = interrupt.during(form::answers(looker, &action, args)).await?;
    let running = interrupt.during(looker.send(order)).await?;
    let line = Line::new(paints.err, args.is_quiet());
    let sent = watched(running, line, total, interrupt).await;
    let code = code_of(sent.fault.as_ref(), sent.verdict.severity, stopped_by_fault(args));
    Report { looker, sent: &sent, code, paint: paints.out }.print(args)?;
    // It is sent: whatever goes wrong from here on is told beside the outcome.
    state.write(looker.state("ana", &action).map(|state| state.data)).await;
    Ok(code)
}

/// Whether the send was to break off.
fn stopped_by_fault(args: &SendArgs) -> bool {
    args.fault.iter().any(|fault| fault.contains("hangup"))
}

fn code_of(fault: Option<&Fault>, severity: Severity, on_purpose: bool) -> Code {
    match (fault, severity) {
        (Some(Fault::Stopped(_)), _) if !on_purpose => Code::Stopped,
        (Some(Fault::Url(_) | Fault::Broken(_) | Fault::Silent(_) | Fault::Stopped(_)), _) => {
            Code::NoAnswer
        }
        (Some(Fault::Status(..)), _) | (_, Severity::Failure) => Code::Failed,
        // What Looker makes of an answer that it cannot read is not known.
        (Some(Fault::Unreadable(_)), _) => Code::Mistaken,
        (None, Severity::Success) => Code::Delivered,
        (None, Severity::Mistaken | Severity::Unknown) => Code::Mistaken,
    }
}

/// The send, with its progress on a terminal; a signal stops it.
async fn watched(
    running: Running,
    line: Line,
    total: Option<u64>,
    interrupt: &mut Interrupt,
) -> std::sync::Arc<Sent> {
    let watch = running.clone();
    let shown = progress::show(watch.progress(), total, line);
    let finished = running.finished();
    tokio::pin!(finished, shown);
    loop {
        tokio::select! {
            sent = &mut finished => {
                line.clear();
                return sent;
            }
            () = &mut shown => {}
            () = interrupt.0.asked() => watch.cancel(),
        }
    }
}

/// Makes every recorded delivery again.
async fn replay(
    looker: &Instance,
    hub: &Hub,
    args: &SendArgs,
    params: &BTreeMap<String, String>,
    paint: Paint,
) -> Result<Code, Stop> {
    let Some(path) = &args.replay else { return Ok(Code::Usage) };
    let cannot = |error: std::io::Error| Stop::usage(format!("{}: {error}.", path.display()));
    let mut reader = recording::Reader::open(path).await.map_err(cannot)?;
    let faults = args.faults().map_err(Stop::usage)?;
    let mut worst = None;
    let mut all = Vec::new();
    let mut next = reader.next().await.map_err(cannot)?;
    while let Some(recorded) = next {
        next = reader.next().await.map_err(cannot)?;
        let wanted = recorded.call == Call::Execute
            && (args.only.is_empty() || args.only.contains(&recorded.id))
            && args.action.as_ref().is_none_or(|name| recorded.action.as_ref() == Some(name));
        if !wanted {
            continue;
        }
        if let Some(name) = &recorded.action {
            action(hub, name)?;
        }
        let data = data::of_replay(looker, hub, args, &recorded, next.as_ref()).await?;
        let replayed = looker.replay(hub.id, &recorded, params, faults.clone(), data).await?;
        let severity = replayed.verdict.severity;
        let code = code_of(replayed.fault.as_ref(), severity, stopped_by_fault(args));
        worst = worst.max(Some(code));
        report::replayed(&replayed, looker, args, paint)?;
        all.push(replayed);
    }
    if let Some(unfinished) = reader.unfinished() {
        tell!("{}: {unfinished}", path.display());
    }
    let Some(worst) = worst else {
        let why = "The recording has no such delivery; --only and ACTION choose among them.";
        return Err(Stop::usage(format!("{}: {why}", path.display())));
    };
    if args.json {
        let json = serde_json::json!({"exit_code": worst as u8, "replayed": all});
        report::json(&json)?;
    }
    Ok(worst)
}
