//! A message for each row, a request for each message.

use sendoff::pipeline::{Batch, BatchLimits, Encoded, Reply};
use sendoff::prelude::*;

use super::{Form, Settings, confirmed, message};
use crate::shared::mail::Head;

/// SendGrid names no rate; a 429 holds all of the delivery.
/// <https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits>
const LIMITS: BatchLimits = BatchLimits::new(1, 1 << 20).parallel(4);

pub(super) async fn deliver(
    cx: &Context<Settings>,
    form: &Form,
    head: Head<'_>,
    data: Payload,
) -> Result<Receipt> {
    let composing = form.content.rows(cx, head, &data)?;
    let template = form.template_id.as_deref();
    let encode = |row: &sendoff::Row, out: &mut Vec<u8>| match composing.letter(row) {
        Ok(letter) => {
            let message = message(&letter, template, form.check_only);
            out.extend_from_slice(message.to_string().as_bytes());
            Ok(Encoded::Row)
        }
        Err(fault) => Ok(Encoded::refused(fault.message().to_owned())),
    };
    let send = |batch| post(&cx.settings, batch, form.check_only);
    form.content.pipeline(cx, LIMITS).run(data.rows().await?, encode, send).await
}

async fn post(settings: &Settings, batch: Batch, check_only: bool) -> Result<Reply> {
    let url = format!("{}/v3/mail/send", settings.region.origin());
    let call = batch.http().post(url).bearer(&settings.sendgrid_api_key);
    let call = call.header("Content-Type", "application/json").body(batch.body());
    match confirmed(call.send().await?, check_only, &settings.sendgrid_api_key).await {
        Ok(_) => Ok(Reply::accepted()),
        Err(fault) => Reply::refusal(fault),
    }
}
