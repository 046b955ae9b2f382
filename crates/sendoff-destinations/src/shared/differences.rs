//! What several destinations do otherwise than the reference hub.

use crate::Difference;

pub(crate) const ANY_SIZE: Difference = Difference {
    reference: "The data stands in the request, so that \"All Results\" cannot be sent.",
    ours: "It is downloaded from Looker, whatever its size.",
    switch: None,
};

pub(crate) const ERROR_PAGE: Difference = Difference {
    reference: "Looker's error page is stored as the file, and an upload whose data broke off stays open.",
    ours: "The upload is begun after Looker answered 200, and cancelled when its data breaks off.",
    switch: None,
};

pub(crate) const EXTENSION: Difference = Difference {
    reference: "The name gets no extension.",
    ours: "The extension is added if there is none.",
    switch: None,
};

pub(crate) const BUCKET: Difference = Difference {
    reference: "Without the right to list buckets there is no form.",
    ours: "The bucket can be typed in.",
    switch: None,
};

pub(crate) const CONTENT_TYPE: Difference = Difference {
    reference: "The file has no content type.",
    ours: "It has its format's.",
    switch: None,
};

pub(crate) const WITHOUT_CLIENT: Difference = Difference {
    reference: "Without an OAuth client the action is not offered.",
    ours: "It is offered without logins, by the credentials that an admin enters in its settings.",
    switch: None,
};
