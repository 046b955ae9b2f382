//! The formats in which Looker renders a result.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A format that an action may ask for in `supported_formats`. **A** (API specification 4.0,
/// `Integration.supported_formats`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Tab-separated text with a header row.
    Txt,
    /// Comma-separated text with a header row.
    Csv,
    /// Rows as JSON; sources disagree where they stand, so readers must accept every place.
    InlineJson,
    /// An array of row objects keyed by field name.
    Json,
    /// An array of row objects keyed by field label.
    JsonLabel,
    /// One object with `fields`, `data` and everything else Looker knows of the query.
    JsonDetail,
    /// `json_detail` with little metadata, made to be streamed.
    JsonDetailLiteStream,
    /// New and unpublished: its shape stands in no document.
    JsonBi,
    /// An Excel workbook.
    Xlsx,
    /// An HTML table.
    Html,
    /// A dashboard or Look as PDF.
    WysiwygPdf,
    /// A dashboard as PDF, a tile per page.
    AssembledPdf,
    /// A dashboard or Look as PNG.
    WysiwygPng,
    /// A dashboard as a zip of CSV files.
    CsvZip,
}

impl Format {
    /// Every format, in the order of the API specification.
    pub const ALL: [Self; 14] = [
        Self::Txt,
        Self::Csv,
        Self::InlineJson,
        Self::Json,
        Self::JsonLabel,
        Self::JsonDetail,
        Self::JsonDetailLiteStream,
        Self::JsonBi,
        Self::Xlsx,
        Self::Html,
        Self::WysiwygPdf,
        Self::AssembledPdf,
        Self::WysiwygPng,
        Self::CsvZip,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Csv => "csv",
            Self::InlineJson => "inline_json",
            Self::Json => "json",
            Self::JsonLabel => "json_label",
            Self::JsonDetail => "json_detail",
            Self::JsonDetailLiteStream => "json_detail_lite_stream",
            Self::JsonBi => "json_bi",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
            Self::WysiwygPdf => "wysiwyg_pdf",
            Self::AssembledPdf => "assembled_pdf",
            Self::WysiwygPng => "wysiwyg_png",
            Self::CsvZip => "csv_zip",
        }
    }

    /// The file extension, without a dot. **B**
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Csv => "csv",
            Self::InlineJson
            | Self::Json
            | Self::JsonLabel
            | Self::JsonDetail
            | Self::JsonDetailLiteStream
            | Self::JsonBi => "json",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
            Self::WysiwygPdf | Self::AssembledPdf => "pdf",
            Self::WysiwygPng => "png",
            Self::CsvZip => "zip",
        }
    }

    /// The media type of the decoded data. **B**
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Txt => "text/plain",
            Self::Csv => "text/csv",
            Self::InlineJson
            | Self::Json
            | Self::JsonLabel
            | Self::JsonDetail
            | Self::JsonDetailLiteStream
            | Self::JsonBi => "application/json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Html => "text/html",
            Self::WysiwygPdf | Self::AssembledPdf => "application/pdf",
            Self::WysiwygPng => "image/png",
            Self::CsvZip => "application/zip",
        }
    }

    /// Whether a pushed attachment of this format carries base64. Its `mimetype` then ends in
    /// `;base64`, which is the only sign on the wire. **B**
    pub const fn is_binary(self) -> bool {
        matches!(
            self,
            Self::Xlsx | Self::WysiwygPdf | Self::AssembledPdf | Self::WysiwygPng | Self::CsvZip
        )
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a format of Looker's; one of ")?;
        for (n, format) in Format::ALL.iter().enumerate() {
            write!(f, "{}{format}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_agrees_with_serde() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
        assert_eq!("pdf".parse::<Format>(), Err(UnknownFormat));
    }
}
