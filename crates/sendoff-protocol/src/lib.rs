//! The Looker Action API as types, from either side of the wire.
//!
//! A *hub* offers *actions*; Looker lists them, draws their forms and executes them. Each item here
//! says where its shape is known from and how strong that evidence is:
//!
//! * **A**: Google's documentation or API specification,
//! * **B**: the source of the reference hub, `looker-open-source/actions`,
//! * **C**: a capture, or code written against a real Looker,
//! * **D**: inferred.
//!
//! Reading is lenient, because real payloads are: unknown members are ignored, numbers stand where
//! strings were promised, anything may be null. Writing is strict and always the documented shape.

mod definition;
mod form;
mod format;
mod headers;
mod lenient;
mod request;
mod response;

pub use definition::{ActionType, Definition, DownloadSetting, Formatting, Listing, Param};
pub use definition::{RequiredField, VisualizationFormatting};
pub use form::{Field, FieldType, Form, SelectOption};
pub use format::{Format, UnknownFormat};
pub use headers::{
    INSTANCE, LookerVersion, WEBHOOK_ID, WEBHOOK_TOKEN, authorization, parse_authorization,
};
pub use lenient::Text;
pub use request::{Attachment, Members, Query, Request, ScheduledPlan, VisConfig};
pub use response::{ErrorDetail, Executed, Outcome, State};
