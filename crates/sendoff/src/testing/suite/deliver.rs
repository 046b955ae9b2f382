//! The destination gets exactly Looker's bytes, whatever their number and their way.

use super::lab::Lab;
use super::verdict::judge;
use super::{Case, Subject, Verdict, case};
use crate::Format;
use crate::testing::{Blame, By, Expected};

const MIB: u64 = 1 << 20;

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let text = subject.text_format();
    let mut cases = vec![case("deliver_exact_bytes_pushed", async move |subject| {
        exact(&subject, text, By::Push, &[0, 1, 4_096, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1]).await?;
        exact(&subject, text, By::PushFirst, &[1, 5 * MIB]).await
    })];
    if subject.downloads() {
        cases.push(case("deliver_exact_bytes_downloaded", async move |subject| {
            exact(&subject, text, By::Download, &[0, 1, 4_096, 5 * MIB - 1, 5 * MIB + 1, 17 * MIB])
                .await
        }));
    }
    if let Some(binary) = subject.binary_format() {
        cases.push(case("deliver_exact_bytes_base64", async move |subject| {
            exact(&subject, binary, By::Push, &[0, 1, 44, 45, 46, 5 * MIB + 1]).await?;
            exact(&subject, binary, By::PushFirst, &[5 * MIB + 1]).await
        }));
    }
    cases
}

async fn exact(subject: &Subject, format: Format, by: By, sizes: &[u64]) -> Verdict {
    for size in sizes {
        let lab = Lab::start(subject).await?;
        let content = lab.content(format, *size);
        let heard = lab.ship(content, by, None).await?;
        let fits = content.len() >= lab.vendor.fake().takes_at_least();
        let refused = Expected::NotDelivered(Blame::Vendor);
        judge(&lab, &content, &heard, if fits { Expected::Delivered } else { refused }).await?;
    }
    Ok(())
}
