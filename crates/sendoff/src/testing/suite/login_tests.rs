//! The login cases pass an honest action with each kind of login, and each lie fails in the case
//! that is there for it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::{Subject, cases, run};
use crate::prelude::*;
use crate::testing::content::hex;
use crate::testing::{Fake, Object, Provider};
use crate::{
    AnyAction, Button, ClientAuth, Commit, Connection, Delegate, OAuth, Repeatable, Values,
};

/// What the action under test does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    /// It calls the vendor with the token that it was given first, whatever the vendor says.
    NeverRenews,
    /// It renews a token that is good.
    AlwaysRenews,
    /// It takes a refusal of its token for a success.
    IgnoresRefusals,
}

#[derive(Fields)]
struct Form {
    /// The drawer that the file goes into.
    drawer: String,
}

const ICON: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"/>"#;

/// Version 1, with a client that proves itself by Basic.
struct Locker(Lie);

impl Action for Locker {
    type Settings = ();
    type Form = Form;
    const SPEC: Spec = Spec::new("locker", "Locker")
        .description("Puts files into drawers.")
        .streaming()
        .svg(ICON)
        .oauth(
            OAuth::new(
                "https://login.locker.example/authorize",
                "https://login.locker.example/token",
            )
            .scopes(&["files.write", "files.read"])
            .client_auth(ClientAuth::Basic)
            .field("oauth", "Login"),
        )
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        put(self.0, cx, &form, data).await
    }
}

/// Version 2, with everything that an OAuth action may declare, and a vendor that is asked in its
/// form.
struct Vault(Lie);

impl Action for Vault {
    type Settings = ();
    type Form = Form;
    const SPEC: Spec = Spec::new("vault", "Vault")
        .description("Puts files into drawers.")
        .streaming()
        .svg(ICON)
        .oauth(
            OAuth::new("https://locker.example/authorize?x=1", "https://locker.example/token")
                .scopes(&["write", "read"])
                .scope_separator(",")
                .authorize_params(&[("access_type", "offline")])
                .pkce()
                .lasting()
                .issuer("https://locker.example")
                .keep(&["account_id"])
                .v2()
                .button(Button::Google),
        )
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn form(&self, cx: &Context<()>, _: &mut View<Form>) -> Result<()> {
        let reply = cx.http().get("https://locker.example/me").login(cx.login()).send().await?;
        reply.success().await.map(drop)
    }

    async fn account(&self, cx: &Context<()>) -> Result<Option<String>> {
        let reply = cx.http().get("https://locker.example/me").login(cx.login()).send().await?;
        Ok(Some(reply.success().await?.text().await?))
    }

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        put(self.0, cx, &form, data).await
    }
}

async fn put(lie: Lie, cx: &Context<()>, form: &Form, data: Payload) -> Result<Receipt> {
    let put = cx.http().put(format!("https://locker.example/{}", form.drawer)).once();
    let login = cx.login();
    let put = match lie {
        Lie::NeverRenews => put.bearer(&login.token().await?),
        Lie::AlwaysRenews => put.bearer(&login.renew(&login.token().await?).await?),
        _ => put.login(login),
    };
    let reply = put.body(data.open().await?).send().await?;
    if lie != Lie::IgnoresRefusals {
        reply.success().await?.text().await?;
    }
    Ok(Receipt::new(form.drawer.clone()))
}

/// Looker logs in, to two workspaces.
struct Chat;

impl Action for Chat {
    type Settings = ();
    type Form = Form;
    const SPEC: Spec = Spec::new("chat", "Chat")
        .description("Puts files into drawers.")
        .svg(ICON)
        .delegate_oauth(Delegate::new("install", "Connect", "/admin/integrations/chat/install"))
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn connections(&self, cx: &Context<()>) -> Result<Vec<Connection>> {
        let installs = cx.login().installs().iter();
        Ok(installs
            .map(|one| Connection { id: one.id.clone(), name: format!("Team {}", one.id) })
            .collect())
    }

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        let none = || Error::login("Connect a workspace, then log in.");
        let install = cx.login().installs().first().ok_or_else(none)?;
        let put = cx.http().put(format!("https://locker.example/{}", form.drawer)).once();
        let reply = put.bearer(&install.token).body(data.open().await?).send().await?;
        reply.success().await?.text().await?;
        Ok(Receipt::new(form.drawer))
    }
}

#[derive(Default)]
struct Drawers {
    provider: Option<Provider>,
    /// The state of a delegated login.
    installs: Option<String>,
    objects: Mutex<Vec<Object>>,
}

impl Fake for Drawers {
    fn origins(&self) -> Vec<String> {
        vec!["https://locker.example".into()]
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        [("drawer", "seven")].into_iter().collect()
    }

    fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    fn state(&self) -> Option<String> {
        let mine = self.provider.as_ref().map(|one| one.kept(&one.log_in(), false));
        mine.or_else(|| self.installs.clone())
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let (mut digest, mut bytes) = (Sha256::new(), 0);
            let mut response = Response::new(Bytes::from_static(b"ada@example.com"));
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else {
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    return response;
                };
                digest.update(&chunk);
                bytes += chunk.len() as u64;
            }
            if self.provider.as_ref().is_some_and(|one| !one.knows(&head.headers)) {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            } else if head.method == Method::PUT {
                let name = head.uri.path().into();
                let sha256 = hex(&digest.finalize());
                self.objects.lock().unwrap().push(Object { name, bytes, sha256 });
            }
            response
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(self.objects.lock().unwrap().clone()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        ("text/plain", format!("the drawer is locked ({status})"))
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        method == Method::PUT
    }
}

fn subject<A: Action>(make: impl Fn() -> A + Send + Sync + 'static) -> Subject {
    Subject::new(move || {
        let provider = match A::SPEC.login {
            Some(crate::LoginBy::OAuth(oauth)) => Some(Provider::new(oauth)),
            _ => None,
        };
        let installs = r#"[{"install_id":"T1","token":"canary-of-the-first-team"},
                           {"install_id":"T2","token":"canary-of-the-second-team"},
                           {"install_id":"T3","token":""}]"#;
        let installs = provider.is_none().then(|| installs.to_owned());
        let action: Box<dyn AnyAction> = Box::new(make());
        (action, Arc::new(Drawers { provider, installs, ..Drawers::default() }) as Arc<dyn Fake>)
    })
}

fn passes_all(subject: &Subject, wanted: usize) {
    let all = cases(subject);
    let of_login = all.iter().filter(|case| case.name.starts_with("login_")).count();
    assert_eq!(of_login, wanted);
    let mut failures = Vec::new();
    for case in all {
        let name = case.name.clone();
        if let Err(failure) = run(case, subject.clone()) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_honest_action_of_version_1_passes_every_case() {
    passes_all(&subject(|| Locker(Lie::None)), 25);
}

#[test]
fn an_honest_action_of_version_2_passes_every_case() {
    passes_all(&subject(|| Vault(Lie::None)), 28);
}

#[test]
fn an_honest_action_with_a_delegated_login_passes_every_case() {
    passes_all(&subject(|| Chat), 11);
}

#[test]
fn each_lie_fails_in_the_case_that_is_there_for_it() {
    for (lie, name) in [
        (Lie::NeverRenews, "login_refused_by_401_is_renewed"),
        (Lie::AlwaysRenews, "login_expired_is_renewed"),
        (Lie::IgnoresRefusals, "vendor_refuses_401"),
    ] {
        let subject = subject(move || Locker(lie));
        let case = cases(&subject).into_iter().find(|case| case.name == name).unwrap();
        assert!(run(case, subject).is_err(), "{lie:?} passes {name}");
    }
}
