//! A result of 300 MB goes through page, hub and stand-in, and none of them holds it.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a client of a few lines, and proc(5)")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Each row has 1,000 letters and its number.
const ROWS: u64 = 300_000;
/// What all of them together may hold beyond what they held before.
const GROWTH: u64 = 64 << 20;

struct Demo {
    child: Child,
    address: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start(folder: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sendoff"))
            .args(["demo", "--folder", "delivered"])
            .current_dir(folder)
            .env("SENDOFF_LISTEN", "127.0.0.1:0")
            .env("SENDOFF_WORKBENCH_LISTEN", "127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = said.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("Open http://")?;
            rest.split('/').next().map(str::to_owned)
        });
        std::thread::spawn(move || said.for_each(drop));
        Self { child, address: address.expect("it says where the page is") }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let address = &self.address;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: \
             close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends so many rows, waits for the outcome, and gives its page.
    fn send(&self, rows: u64) -> String {
        let page = self.ask("GET", "/?data=look:penguins&action=webhook", "");
        let url = page.split("name=\"field.url\" value=\"").nth(1).expect("the form is drawn");
        let url = url.split('"').next().unwrap().replace("&#x2f;", "/");
        let sql = format!(
            "WITH+RECURSIVE+n(i)+AS+(SELECT+1+UNION+ALL+SELECT+i%2B1+FROM+n+WHERE+i<{rows})\
             +SELECT+i,printf('%25.*c',1000,'x')+AS+x+FROM+n"
        );
        let order = format!(
            "data=sql&sql={sql}&action=webhook&format=csv&way=url&limit=all&field.url={url}"
        );
        let answer = self.ask("POST", "/send", &order);
        let run = answer.split("run=").nth(1).unwrap_or_else(|| panic!("{answer}"));
        let run: String = run.chars().take_while(char::is_ascii_digit).collect();
        loop {
            let page = self.ask("GET", &format!("/runs/{run}"), "").replace("&#x2f;", "/");
            if page.contains("Looker's user sees") {
                return page;
            }
            // Only so as not to ask all the time.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The most memory that it held so far.
    fn most(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

#[test]
fn a_result_of_300_mb_streams() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path());
    let page = demo.send(1_000);
    assert!(page.contains("answered 200: success"), "{page}");
    let before = demo.most();
    let page = demo.send(ROWS);
    assert!(page.contains("answered 200: success"), "{page}");
    // The stand-in has every byte: a header, and a number, a comma, the letters and a newline a row.
    let digits: u64 = (1..=ROWS).map(|row| u64::from(row.ilog10()) + 1).sum();
    let heading = page.split("<strong>/in/").nth(1).expect("the stand-in shows what came");
    let bytes: String =
        heading.chars().take_while(|c| *c != '·').filter(char::is_ascii_digit).collect();
    let all = "Sql Runner Query I,Sql Runner Query X\n".len() as u64 + digits + ROWS * 1_002;
    assert!(bytes.ends_with(&all.to_string()), "{bytes} in place of {all}");
    let growth = demo.most() - before;
    assert!(growth < GROWTH, "{growth} bytes for {all}");
}
