//! Delivers nothing: sleeps, reads and counts on demand, to try a hub and what stands before it.

#[cfg(feature = "fakes")]
mod fake;

use std::time::{Duration, Instant};

use sendoff::prelude::*;
use sendoff::protocol::{INSTANCE, WEBHOOK_ID};
use sendoff::{Commit, Repeatable, Value, byte_count};

use crate::Difference;

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Delivers nothing.
pub(crate) struct Debug;

#[derive(Fields)]
pub(crate) struct Form {
    /// How many milliseconds the action takes: 1000 if empty, 600000 (10 minutes) at most.
    sleep: Option<Sleep>,
    /// A URL that is read to its end and counted.
    #[field(label = "Simulated Download URL (JSON)")]
    simulated_download_url: Option<Secret>,
    /// What of the data is counted. Nothing is stored.
    #[field(default = "nothing")]
    count: Count,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Nothing,
    Bytes,
    Rows,
}

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep(u32);

impl Sleep {
    /// The reference hub's.
    const DEFAULT: Self = Self(1000);
    const LONGEST: u32 = 600_000;
}

impl Value for Sleep {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(millis @ 0..=Self::LONGEST) => Ok(Self(millis)),
            _ => Err(format!(
                "Enter a whole number of milliseconds from 0 to {}, which is 10 minutes.",
                Self::LONGEST
            )),
        }
    }
}

impl Action for Debug {
    type Settings = ();
    type Form = Form;

    const SPEC: Spec = Spec::new("debug", "Debug")
        .description("Sends data to a sample website and optionally sleeps.")
        .accepts(&[CellAction, Dashboard, Query])
        // What the reference hub lists. Looker then offers its own formats or none.
        .formats(&[])
        .svg(include_bytes!("icon.svg"))
        .delivery(Repeatable::Nothing, Commit::Never, false)
        .not_http();

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        let mut done = Vec::new();
        let Sleep(millis) = form.sleep.unwrap_or(Sleep::DEFAULT);
        if millis > 0 {
            let sleep = tokio::time::sleep(Duration::from_millis(millis.into()));
            cx.stop().unless_stopped(sleep).await?;
            done.push(format!("sleep {millis} ms"));
        }
        if let Some(url) = &form.simulated_download_url {
            let reply = cx.http().get(url.expose()).send().await?.success().await?;
            done.push(format!("download of {}", count(reply.stream()).await?));
        }
        match form.count {
            Count::Bytes if data.is_present() => {
                done.push(format!("count of {}", count(data.open().await?).await?));
            }
            Count::Rows if data.is_present() => {
                done.push(format!("count of {}", count_rows(data).await?));
            }
            _ => {}
        }
        if done.is_empty() {
            done.push("nothing".to_owned());
        }
        // Smoke tests look for these words.
        let done = done.join(", ");
        let words = format!("Completed debug action successfully by doing {done}. {}", seen(cx));
        Ok(Receipt::new("nowhere").says(words))
    }
}

/// What the request said of itself, and what has kept its connection open.
fn seen(cx: &Context<()>) -> String {
    let version = cx.looker_version().map(|version| format!("Looker {version}"));
    let version = version.unwrap_or_else(|| "no Looker version".to_owned());
    let header = |name, value: Option<&str>| match value {
        Some(value) => format!("{name} {value}"),
        None => format!("no {name}"),
    };
    let (id, instance) = (header(WEBHOOK_ID, cx.webhook_id()), header(INSTANCE, cx.instance()));
    format!("Seen: {version}, {id}, {instance}. Newlines so far: {}.", cx.newlines())
}

async fn count(mut stream: ByteStream) -> Result<String> {
    let start = Instant::now();
    let (mut bytes, mut first) = (0, None);
    while let Some(chunk) = stream.next().await {
        bytes += chunk?.len() as u64;
        first.get_or_insert_with(|| start.elapsed());
    }
    let (first, all) = (first.unwrap_or_default(), start.elapsed());
    Ok(format!(
        "{} ({bytes} bytes) in {} ms, the first after {} ms, {} a second",
        byte_count(bytes),
        all.as_millis(),
        first.as_millis(),
        byte_count(per_second(bytes, all))
    ))
}

async fn count_rows(data: Payload) -> Result<String> {
    let start = Instant::now();
    let mut rows = data.rows().await?;
    let mut count = 0_u64;
    while let Some(row) = rows.next().await {
        row?;
        count += 1;
    }
    let (columns, all) = (rows.columns().len(), start.elapsed());
    Ok(format!(
        "{count} rows with {columns} columns in {} ms, {} a second",
        all.as_millis(),
        per_second(count, all)
    ))
}

fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.max(Duration::from_micros(1)).as_secs_f64()) as u64
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The simulated download URL is never called.",
        ours: "It is read to its end, and its bytes are counted.",
        switch: None,
    },
    Difference {
        reference: "The sleep may last for days, and what is no number is no sleep.",
        ours: "It lasts ten minutes at most and ends with the caller; what is no number is refused.",
        switch: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_a_bounded_number() {
        assert_eq!(Sleep::parse(" 250 "), Ok(Sleep(250)));
        assert_eq!(Sleep::parse("600000"), Ok(Sleep(600_000)));
        for wrong in ["abc", "-1", "600001", "1.5", "1e3", "99999999999999999999"] {
            assert!(Sleep::parse(wrong).is_err(), "{wrong}");
        }
    }
}
