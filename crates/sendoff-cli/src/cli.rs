//! The command line: what can be asked, and which code the process ends with.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Environment, Flags, Problems};
#[cfg(feature = "workbench")]
use crate::looker;
use crate::tell::tell;
use crate::{commands, hub, serve};

/// The command line is wrong.
const WRONG_USAGE: u8 = 2;
/// Wrong configuration: `EX_CONFIG` of sysexits.h.
const WRONG_CONFIGURATION: u8 = 78;

static VERSION: LazyLock<String> = LazyLock::new(|| match hub::COMMIT {
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

const CODES: &str = "\
Exit codes:
   0  done
   1  failed
   2  wrong usage
  78  wrong configuration

What was asked for goes to stdout, everything else to stderr.";

/// A Looker action hub: sends query results, dashboards and cells to where they are needed.
#[derive(Parser, Debug)]
#[command(name = "sendoff", version = VERSION.as_str(), after_help = CODES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The settings' file, else SENDOFF_CONFIG, else ./sendoff.toml if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting by its path, such as limits.keep_alive="10 s"; may be repeated.
    #[arg(long, global = true, value_name = "SETTING=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// What the log holds: error, warn, info, debug, trace, off.
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// Whether output is coloured; auto asks the terminal and NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serves the hub until SIGTERM or SIGINT; a second one ends it at once.
    Serve {
        /// The address listened on; may be repeated.
        #[arg(long, value_name = "ADDRESS")]
        listen: Vec<String>,
    },
    #[cfg(feature = "workbench")]
    #[command(flatten)]
    Looker(looker::Command),
    /// Prints a token to enter in Looker, and nothing else.
    Token {
        /// Limits the token to this action; may be repeated.
        #[arg(long = "action", value_name = "NAME")]
        actions: Vec<String>,
    },
    /// Prints the settings in force, each with its source, secrets masked.
    Config(commands::config::ConfigArgs),
    /// Prints the actions that the hub offers.
    Actions {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Asks a running hub whether it is ready: 0 if it is, 1 if not.
    Ready {
        /// Asks again until it is, for so many seconds at most.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        #[arg(value_parser = clap::value_parser!(u64).range(..=86_400))]
        wait: u64,
        /// The hub's URL; unless given, where this configuration listens.
        url: Option<String>,
    },
    /// Prints a completion script: `sendoff completions bash > /etc/bash_completion.d/sendoff`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page: `sendoff man | man -l -`.
    Man,
    /// Writes the pages on settings and destinations.
    Docs {
        /// The folder; made if it is not there.
        dir: PathBuf,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be SETTING=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Whoever reads JSON reads it of a wrong command line, too.
            if error.use_stderr() && wants_json() {
                let why = error.to_string();
                let json = serde_json::json!({"exit_code": WRONG_USAGE, "error": why.trim_end()});
                let _ = print(format!("{json:#}\n").as_bytes());
            }
            error.exit()
        }
    };
    match run(cli) {
        Ok(code) => code,
        // `sendoff actions | head` is no failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("{error:#}");
            let wrong = error.is::<Problems>() || error.is::<NotConfigured>();
            ExitCode::from(if wrong { WRONG_CONFIGURATION } else { 1 })
        }
    }
}

/// Whether it is `sendoff send … --json` that cannot be read.
fn wants_json() -> bool {
    let given = |word: &str| std::env::args_os().any(|argument| argument == word);
    given("send") && given("--json")
}

/// Something is missing from the configuration that this command needs.
#[derive(Debug)]
pub(crate) struct NotConfigured(pub(crate) String);

impl std::fmt::Display for NotConfigured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotConfigured {}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process();
    let colours = cli.color.wanted(&environment);
    if let (Some(command), Some(flag)) = (cli.command.without_settings(), cli.settings_flag()) {
        tell!("`sendoff {command}` reads no settings, so that {flag} does nothing.");
        return Ok(ExitCode::from(WRONG_USAGE));
    }
    let flags = cli.flags();
    let config = || configured(&environment, &flags);
    match cli.command {
        #[cfg(feature = "workbench")]
        Command::Looker(command) => command.run(config, &environment, colours),
        // These need no configuration, and must work where it is wrong.
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sendoff", &mut script);
            print(&script)
        }
        Command::Man => print(&manual()?),
        Command::Docs { dir } => commands::docs::write(&dir),
        Command::Config(args) if args.default => print(crate::config::DEFAULTS.as_bytes()),

        Command::Token { actions } => commands::token::print(&config()?, &actions),
        Command::Config(args) => commands::config::show(&config()?, &args),
        Command::Actions { json } => commands::actions::list(&config()?, json),
        Command::Ready { wait, url } => block_on(commands::ready::ask(&config()?, url, wait)),
        Command::Serve { .. } => {
            let config = config()?;
            if config.secrets.is_empty() {
                return Err(NotConfigured(NO_SECRET.to_owned()).into());
            }
            crate::log(&config, colours.err);
            let hub = crate::hub(&config).map_err(|fault| NotConfigured(fault.log_line()))?;
            block_on(serve::run(&config, hub, &environment))
        }
    }
}

/// The configuration in force. What it has to say of itself is said.
fn configured(environment: &Environment, flags: &Flags) -> anyhow::Result<Config> {
    let config = Config::load(&hub::catalogue(), environment, flags)?;
    for note in &config.notes {
        tell!("{note}");
    }
    Ok(config)
}

/// The command's page, and behind it one for each subcommand with its flags.
fn manual() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut pages)?;
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        clap_mangen::Man::new(one.clone()).render(&mut pages)?;
    }
    Ok(pages)
}

impl Command {
    /// The name of a command that reads no settings.
    fn without_settings(&self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "workbench")]
            Self::Looker(command) => command.without_settings(),
            Self::Completions { .. } => Some("completions"),
            Self::Man => Some("man"),
            Self::Docs { .. } => Some("docs"),
            _ => None,
        }
    }
}

/// Every request of Looker's carries a token, and a token needs a secret.
pub const NO_SECRET: &str = "\
There is no secret, so no token could be valid. Make one and keep it:

  export SENDOFF_SECRETS=$(openssl rand -hex 32)

Every replica of the hub needs the same one. `sendoff token` then prints the token for Looker.";

pub(crate) fn block_on(
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(work);
    // After a second signal nothing may be waited for.
    runtime.shutdown_background();
    ended
}

/// Writes to stdout.
pub(crate) fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe)
}

impl Cli {
    /// A flag for the settings that was given.
    fn settings_flag(&self) -> Option<&'static str> {
        let given = [
            (self.config.is_some(), "--config"),
            (!self.set.is_empty(), "--set"),
            (self.log.is_some(), "--log"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }

    fn flags(&self) -> Flags {
        let given = |flag: &str, path: &str, value: &str| {
            (flag.to_owned(), path.to_owned(), value.to_owned())
        };
        let mut values: Vec<_> =
            self.set.iter().map(|(path, value)| given("--set", path, value)).collect();
        values.extend(self.log.iter().map(|level| given("--log", "log", level)));
        if let Command::Serve { listen } = &self.command
            && !listen.is_empty()
        {
            values.push(given("--listen", "listen", &listen.join(",")));
        }
        Flags { file: self.config.clone(), values }
    }
}

/// Whether each stream is coloured: one may be a terminal, and the other a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colours {
    #[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "the log goes to stderr"))]
    pub(crate) out: bool,
    pub(crate) err: bool,
}

impl Colour {
    fn wanted(self, environment: &Environment) -> Colours {
        let all = |colour| Colours { out: colour, err: colour };
        match self {
            Self::Always => all(true),
            Self::Never => all(false),
            // https://no-color.org, https://bixense.com/clicolors
            Self::Auto if environment.get("NO_COLOR").is_some() => all(false),
            Self::Auto if environment.get("CLICOLOR_FORCE").is_some() => all(true),
            Self::Auto if environment.get("TERM") == Some("dumb") => all(false),
            Self::Auto => {
                Colours { out: io::stdout().is_terminal(), err: io::stderr().is_terminal() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
