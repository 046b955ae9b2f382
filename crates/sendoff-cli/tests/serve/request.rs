//! Requests to deliver a CSV of any size.

use crate::hub::Hub;
use crate::wire::Wire;

/// One row as it stands in JSON.
const ROW: &str = "1234567890,abcdefghijklmnopqrs\\n";
/// The same row as a destination gets it.
const ROW_DELIVERED: &str = "1234567890,abcdefghijklmnopqrs\n";
/// So many rows are sent at once.
const PIECE: usize = 2048;

/// Which comes first. Data that comes first waits until the hub knows where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    FormThenData,
    DataThenForm,
}

pub(crate) struct Request {
    /// Head and body up to the rows.
    before: String,
    rows: usize,
    /// The body behind the rows.
    after: String,
}

impl Request {
    /// To deliver about so many bytes. `form` is a JSON object.
    pub(crate) fn new(hub: &Hub, action: &str, form: &str, order: Order, bytes: usize) -> Self {
        Self::set(hub, action, "{}", form, order, bytes)
    }

    /// The same with settings, another JSON object.
    pub(crate) fn set(
        hub: &Hub,
        action: &str,
        settings: &str,
        form: &str,
        order: Order,
        bytes: usize,
    ) -> Self {
        let rows = bytes / ROW_DELIVERED.len();
        let attachment = r#""attachment":{"mimetype":"text/csv","extension":"csv","data":""#;
        let rest = format!(
            r#""type":"query","data":{settings},"scheduled_plan":{{"plan_id":1}},"form_params":{form}"#
        );
        let (before, after) = match order {
            Order::FormThenData => (format!("{{{rest},{attachment}"), "\"}}".to_owned()),
            Order::DataThenForm => (format!("{{{attachment}"), format!("\"}},{rest}}}")),
        };
        let length = before.len() + rows * ROW.len() + after.len();
        let before = hub.head(&format!("/actions/{action}/execute"), length) + &before;
        Self { before, rows, after }
    }

    /// To a receiver of webhooks.
    pub(crate) fn to(hub: &Hub, url: &str, order: Order, bytes: usize) -> Self {
        Self::new(hub, "webhook", &format!(r#"{{"url":"{url}"}}"#), order, bytes)
    }

    /// What a destination gets.
    pub(crate) fn delivered(&self) -> String {
        ROW_DELIVERED.repeat(self.rows)
    }

    pub(crate) fn delivered_bytes(&self) -> u64 {
        (self.rows * ROW_DELIVERED.len()) as u64
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!("{}{}{}", self.before, ROW.repeat(self.rows), self.after).into_bytes()
    }

    /// Sends it piece by piece, so that a large one is never in memory.
    pub(crate) fn send(&self, wire: &mut Wire) {
        wire.send(&self.before);
        let piece = ROW.repeat(PIECE);
        let mut left = self.rows * ROW.len();
        while left > 0 {
            let size = left.min(piece.len());
            wire.send(&piece[..size]);
            left -= size;
        }
        wire.send(&self.after);
    }
}
