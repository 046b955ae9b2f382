//! The suite passes an honest action, and each kind of lie fails in the case that is there for it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::{Subject, cases, memory, run};
use crate::prelude::*;
use crate::testing::content::hex;
use crate::testing::{Fake, Object};
use crate::{AnyAction, Commit, Repeatable, Values};

/// What the action under test does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    /// It takes any answer for a success.
    IgnoresStatus,
    /// It does not read what stands in a 200.
    IgnoresBody,
    /// Data that ends early is delivered as it is.
    SwallowsDataErrors,
    /// It says that nothing arrived when it cannot know.
    DeniesLostAnswers,
    /// It sends again what it may not.
    SendsTwice,
    /// It reads all data into memory.
    HoldsAll,
    /// It leaves the last byte out.
    DropsAByte,
    /// It writes its key into the log.
    LogsItsKey,
    /// It calls somebody else.
    CallsElsewhere,
    /// It keeps the vendor's words to itself.
    HidesTheVendorsWords,
}

struct Depot(Lie);

#[derive(Fields)]
struct Settings {
    /// The key that the depot gave you.
    #[field(label = "Depot Key")]
    key: Secret,
}

#[derive(Fields)]
struct Form {
    /// The box that the file goes into.
    #[field(name = "box")]
    place: String,
}

const ICON: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"/>"#;

impl Action for Depot {
    type Settings = Settings;
    type Form = Form;
    const SPEC: Spec = Spec::new("depot", "Depot")
        .description("Puts files into boxes.")
        .streaming()
        .svg(ICON)
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let lie = self.0;
        let key = cx.settings.key.expose();
        if lie == Lie::LogsItsKey {
            tracing::debug!(key, "sending");
        }
        if lie == Lie::CallsElsewhere {
            let _ = cx.http().get("https://metrics.example/seen").send().await;
        }
        let url = format!("https://depot.example/{}", form.place);
        let stream = told(lie, data.open().await?).await?;
        let put = || cx.http().put(&url).secret_header("x-key", &cx.settings.key).once();
        let reply = match put().body(stream).send().await {
            Ok(reply) => reply,
            Err(error) if lie == Lie::SendsTwice && error.arrival() != crate::Arrival::Nothing => {
                put().body("again").send().await?
            }
            Err(error) if lie == Lie::DeniesLostAnswers => {
                return Err(Error::vendor(error.message().to_owned()));
            }
            Err(error) => return Err(error),
        };
        if lie != Lie::IgnoresStatus {
            let status = reply.status().as_u16();
            let reply = match reply.success().await {
                Err(_) if lie == Lie::HidesTheVendorsWords => {
                    return Err(Error::vendor("Depot said no.").status(status));
                }
                other => other?,
            };
            let words = reply.text().await?;
            if !words.starts_with("stored") && lie != Lie::IgnoresBody {
                return Err(Error::vendor(format!("Depot did not store it: {words}.")));
            }
        }
        Ok(Receipt::new(form.place))
    }
}

/// The data as this liar sends it.
async fn told(lie: Lie, mut stream: ByteStream) -> Result<ByteStream> {
    use futures_util::{StreamExt, stream};
    match lie {
        Lie::SwallowsDataErrors => {
            Ok(ByteStream::new(stream.take_while(|chunk| std::future::ready(chunk.is_ok()))))
        }
        Lie::HoldsAll | Lie::DropsAByte => {
            let mut all = Vec::new();
            while let Some(chunk) = stream.next().await {
                all.extend_from_slice(&chunk?);
            }
            if lie == Lie::DropsAByte {
                all.pop();
            }
            Ok(ByteStream::new(stream::iter((!all.is_empty()).then(|| Ok(Bytes::from(all))))))
        }
        _ => Ok(stream),
    }
}

#[derive(Default)]
struct Boxes(Mutex<Vec<Object>>);

impl Fake for Boxes {
    fn origins(&self) -> Vec<String> {
        vec!["https://depot.example".into()]
    }

    fn settings(&self) -> Values {
        [("key", "canary-of-the-depots-key")].into_iter().collect()
    }

    fn answers(&self) -> Values {
        [("box", "seven")].into_iter().collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let (mut digest, mut bytes) = (Sha256::new(), 0);
            let mut response = Response::new(Bytes::from_static(b"stored"));
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else {
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    return response;
                };
                digest.update(&chunk);
                bytes += chunk.len() as u64;
            }
            let object =
                Object { name: head.uri.path().into(), bytes, sha256: hex(&digest.finalize()) };
            self.0.lock().unwrap().push(object);
            response
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let objects = self.0.lock().unwrap().clone();
        Box::pin(std::future::ready(objects))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        ("text/plain", format!("the box is locked ({status})"))
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        method == Method::PUT
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![("text/plain", "no such box here".into())]
    }
}

fn subject(lie: Lie) -> Subject {
    Subject::new(move || {
        let action: Box<dyn AnyAction> = Box::new(Depot(lie));
        (action, Arc::new(Boxes::default()) as Arc<dyn Fake>)
    })
}

/// Runs one case and gives the words of its failure.
fn verdict(lie: Lie, name: &str) -> Option<String> {
    let subject = subject(lie);
    let case = cases(&subject).into_iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case {name}"));
    run(case, subject).err().map(|failure| failure.to_string())
}

#[test]
fn an_honest_action_passes_every_case() {
    let subject = subject(Lie::None);
    let all = cases(&subject);
    assert!(all.len() > 25, "{}", all.len());
    for case in all {
        let name = case.name.clone();
        if let Err(failure) = run(case, subject.clone()) {
            panic!("{name}: {failure}");
        }
    }
}

#[test]
fn each_lie_fails_in_the_case_that_is_there_for_it() {
    let table = [
        (Lie::IgnoresStatus, "vendor_refuses_403"),
        (Lie::IgnoresStatus, "fault_p6_error"),
        (Lie::IgnoresBody, "fault_p8_error"),
        (Lie::SwallowsDataErrors, "looker_fails_half_way"),
        (Lie::SwallowsDataErrors, "looker_fails_too_short"),
        (Lie::SwallowsDataErrors, "fault_p2_error"),
        (Lie::SwallowsDataErrors, "caller_hangs_up"),
        (Lie::DeniesLostAnswers, "fault_p8_close"),
        (Lie::DeniesLostAnswers, "fault_p6_stall"),
        (Lie::SendsTwice, "fault_p8_close"),
        (Lie::DropsAByte, "deliver_exact_bytes_pushed"),
        (Lie::LogsItsKey, "keeps_secrets"),
        (Lie::CallsElsewhere, "stays_at_home"),
        (Lie::HidesTheVendorsWords, "vendor_refuses_404"),
    ];
    for (lie, name) in table {
        assert!(verdict(lie, name).is_some(), "{lie:?} passes {name}");
    }
}

/// That an honest action's memory stays flat cannot be seen here: other tests use the same process.
#[test]
fn memory_that_grows_with_the_data_fails() {
    assert!(memory::measured_here(subject(Lie::HoldsAll)).is_err());
}
