//! A hub as a child process.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Ends a test that hangs; nothing is measured by it.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

pub(crate) struct Hub {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

/// The binary without any setting of this machine.
pub(crate) fn sendoff() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
    clean(&mut command);
    command
}

fn clean(command: &mut Command) {
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(env!("CARGO_TARGET_TMPDIR"));
}

fn spawn(mut command: Command, environment: &[(&str, &str)], stderr: Stdio) -> Child {
    command
        .envs([("SENDOFF_LISTEN", "127.0.0.1:0"), ("SENDOFF_SECRETS", SECRET)])
        .env("SENDOFF_DEBUG_ENABLED", "true")
        .envs(environment.iter().copied())
        .stderr(stderr)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn token() -> String {
    sendoff::Token::issue(&sendoff::Secret::from(SECRET), None).unwrap()
}

/// Looks again and again, until it is so.
pub(crate) fn until(what_hangs: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + HANGS;
    while !is_so() {
        assert!(Instant::now() < end, "{what_hangs}");
        std::thread::yield_now();
    }
}

impl Hub {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = sendoff();
        command.arg("serve");
        Self::run(command, environment)
    }

    /// With what `ulimit` is told of file descriptors.
    pub(crate) fn start_with_descriptors(limit: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        clean(&mut command);
        let binary = env!("CARGO_BIN_EXE_sendoff");
        command.args(["-c", &format!("ulimit {limit}; exec {binary} serve")]);
        Self::run(command, environment)
    }

    /// Its stderr is read by nobody here, so it is told where to listen.
    pub(crate) fn start_unheard(stderr: impl Into<Stdio>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = sendoff();
        command.arg("serve");
        let child = spawn(command, &[("SENDOFF_LISTEN", &free.to_string())], stderr.into());
        let (_, lines) = mpsc::channel();
        let mut hub = Self { child, lines, seen: Vec::new(), address: free, token: token() };
        until("the hub does not listen", || {
            assert!(hub.is_running(), "the hub has ended");
            TcpStream::connect(free).is_ok()
        });
        hub
    }

    fn run(command: Command, environment: &[(&str, &str)]) -> Self {
        let mut child = spawn(command, environment, Stdio::piped());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut hub = Self { child, lines, seen: Vec::new(), address, token: token() };
        let line = hub.wait_for("actions on http://");
        let (_, address) = line.split_once("http://").unwrap();
        hub.address = address.trim_end_matches('/').parse().unwrap();
        hub
    }

    /// The next line of stderr that holds `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + HANGS;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no {text:?} on stderr, but: {:#?}", self.seen),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// How the process ended, and what it had said on stderr.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + HANGS;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let rest: Vec<_> = self.lines.iter().collect();
                self.seen.extend(rest);
                return (status, self.seen.join("\n"));
            }
            assert!(Instant::now() < end, "the hub does not end: {:#?}", self.seen);
            std::thread::yield_now();
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// A request with a token and a JSON body.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        self.head(path, body.len()) + body
    }

    /// The head of a request with a token, before a JSON body of so many bytes.
    pub(crate) fn head(&self, path: &str, length: usize) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Token token=\"{}\"\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.token
        )
    }

    /// User and system time that the process has used, in clock ticks (1/100 s).
    pub(crate) fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<_> = after_name.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Bytes that the process has written, to disks more than anywhere else.
    pub(crate) fn written(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    }

    /// The most memory that the process has ever had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that the process has resident, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// A delivery by `debug` that takes so long.
    pub(crate) fn sleep(&self, millis: u32) -> String {
        let body = format!(
            r#"{{"type":"query","form_params":{{"sleep":"{millis}"}},"data":{{}},"scheduled_plan":{{"plan_id":1}},"attachment":{{"mimetype":"text/csv","extension":"csv","data":"a,b\n1,2\n"}}}}"#
        );
        self.post("/actions/debug/execute", &body)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
