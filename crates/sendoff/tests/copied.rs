//! A test as the workbench copies it from an exchange: it compiles and passes.

#![allow(clippy::disallowed_methods, reason = "a small answer, in a test")]

use sendoff::prelude::*;

struct Count;

impl Action for Count {
    type Settings = ();
    type Form = ();

    const SPEC: Spec = Spec::new("count", "Count").description("Counts bytes.");

    async fn execute(&self, _: &Context<()>, (): (), data: Payload) -> Result<Receipt> {
        let mut bytes = 0;
        let mut chunks = data.open().await?;
        while let Some(chunk) = chunks.next().await {
            bytes += chunk?.len() as u64;
        }
        Ok(Receipt::new("nowhere").bytes(bytes))
    }
}

/// What whoever pastes a copied test has to give it.
fn hub(secret: sendoff::Secret) -> Hub {
    Hub::builder().action(Count).secrets([secret]).build().unwrap()
}

include!("golden/copied.rs");
