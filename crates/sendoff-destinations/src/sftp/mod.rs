//! A file on a server that speaks SFTP: written under another name, then renamed in one step.

mod algorithms;
#[cfg(feature = "fakes")]
mod fake;
mod host_key;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod upload;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::differences::{ANY_SIZE, EXTENSION};
use crate::shared::file_options::IfExists;
use server::Address;
use session::Session;
use upload::Upload;

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Writes files by SFTP.
pub(crate) struct Sftp {
    /// Servers that know no modern algorithm are spoken to, because the operator says so.
    legacy: bool,
}

impl Sftp {
    pub(crate) fn new(legacy_algorithms: bool) -> Self {
        Self { legacy: legacy_algorithms }
    }
}

#[derive(Fields)]
pub(crate) struct Settings {
    /// The server's name, such as files.example.com. Leave it empty if each user names a server in
    /// the form.
    host: Option<String>,
    /// The server's port.
    #[field(default = "22")]
    port: u16,
    /// Who logs in.
    username: Option<String>,
    /// The password, if the server asks for one.
    password: Option<Secret>,
    /// A private key in OpenSSH or PKCS#8 form, from -----BEGIN to -----END. It is tried before
    /// the password.
    #[field(textarea)]
    private_key: Option<Secret>,
    /// What the private key is encrypted with, if it is.
    passphrase: Option<Secret>,
    /// How the server proves who it is: its SHA256: fingerprints, or what ssh-keyscan prints for
    /// it. If it is empty, each attempt fails and names the key that the server showed, so that it
    /// can be compared and put here. The words accept-any-host-key switch the check off: then
    /// whoever sits between this hub and the server can read the password and the data.
    #[field(textarea)]
    host_key: Option<String>,
    /// The folder that every path in the form is below. Leave it empty for the whole server.
    base_path: Option<String>,
    /// Whether a user may name another server, user name and password in the form.
    allow_form_credentials: bool,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// e.g. sftp://host/path/. Leave it empty for the server of the action's settings.
    address: Option<String>,
    /// Leave it empty for the user name of the action's settings.
    username: Option<String>,
    /// Leave it empty for the credentials of the action's settings.
    password: Option<Secret>,
    /// The name of the file; placeholders as in the path. The extension is added if there is none.
    /// Leave empty for the title.
    filename: Option<String>,
    /// The folder, from the login's home folder or, with a / in front, from the root. May hold
    /// placeholders: {title}, {date} or {date:%Y/%m/%d}, {time}, {ts} (milliseconds since 1970),
    /// {uuid}, {ext}, {format}, {plan_id}, {instance}. Missing folders are made.
    path: Option<String>,
    /// What to do if a file of that name is there already.
    #[field(label = "If It Exists", default = "overwrite")]
    if_exists: IfExists,
}

impl Action for Sftp {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("sftp", "SFTP")
        .description("Send data files to an SFTP server.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.openssh.com/manual.html")
        .delivery(Repeatable::Nothing, Commit::FinalStep, true)
        .not_http();

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let settings = &cx.settings;
        if settings.host.is_none() {
            return Ok(());
        }
        if !settings.allow_form_credentials {
            form.address.describe("The action's settings name the server; leave it empty.");
            form.username.describe("The action's settings hold it; leave it empty.");
            form.password.describe("The action's settings hold it; leave it empty.");
        }
        if settings.can_log_in() {
            let server = settings.own_server(self.legacy).await?;
            let session = cx.stop().unless_stopped(Session::open(cx.http(), &server)).await??;
            let checked = upload::check_folder(&session, settings.base_path.as_deref()).await;
            session.close().await;
            checked?;
        }
        Ok(())
    }

    fn lane(&self, settings: &Settings, form: &Form) -> String {
        match Address::of(settings, form) {
            Ok((address, _)) => format!("sftp {}:{}", address.host, address.port),
            Err(_) => Self::SPEC.name.to_owned(),
        }
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let server = cx.settings.server(&form, self.legacy).await?;
        let target = cx.settings.target(&form, cx, &data)?;
        let stream = data.open().await?;
        let upload = Upload::new(cx.http(), cx.stop(), &server, target, form.if_exists);
        let (path, bytes) = upload.deliver(stream).await?;
        let receipt = Receipt::new(server.url(&path)).bytes(bytes);
        Ok(if server.keys.accepts_any() {
            receipt.remark("The server's host key was not checked, as the settings say.")
        } else {
            receipt
        })
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "Any server is trusted, so that whoever sits between reads the password.",
        ours: "It must show a key that the admin entered.",
        switch: Some("host_key"),
    },
    Difference {
        reference: "The file is written under its own name: readers see half of it, and a failure leaves that.",
        ours: "It is written under another name, and renamed once it is whole.",
        switch: None,
    },
    Difference {
        reference: "A wrong password or address is never answered.",
        ours: "It is told.",
        switch: None,
    },
    Difference {
        reference: "A name such as ../../etc/x leads out of the folder.",
        ours: "It is refused.",
        switch: None,
    },
    Difference {
        reference: "A path in the address counts as it is written: my%20dir.",
        ours: "It is decoded: my dir.",
        switch: None,
    },
    ANY_SIZE,
    EXTENSION,
];
