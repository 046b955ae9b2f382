//! The demo model: a small shop, its customers, their companies, its servers, and the penguins.

mod looks;
mod seed;

pub(crate) use looks::{dashboards, looks};
pub(crate) use seed::{VERSION, seed};

use crate::model::{Field, FieldKind, ValueFormat, title_case};

/// The LookML model that all explores stand in.
pub(crate) const MODEL: &str = "shop";

/// One explore: a table and what it is joined with.
pub(crate) struct Explore {
    pub(crate) name: &'static str,
    pub(crate) from: &'static str,
    /// The views whose fields can be asked for.
    views: &'static [&'static str],
}

const EXPLORES: [Explore; 5] = [
    Explore {
        name: "orders",
        from: "orders\nLEFT JOIN users ON orders.user_id = users.id\n\
               LEFT JOIN companies ON users.company_id = companies.id\n\
               LEFT JOIN products ON orders.product_id = products.id",
        views: &["orders", "users", "companies", "products"],
    },
    Explore {
        name: "users",
        from: "users\nLEFT JOIN companies ON users.company_id = companies.id\n\
               LEFT JOIN orders ON orders.user_id = users.id",
        views: &["users", "companies", "orders"],
    },
    Explore { name: "companies", from: "companies", views: &["companies"] },
    Explore { name: "servers", from: "servers", views: &["servers"] },
    Explore { name: "penguins", from: "penguins", views: &["penguins"] },
];

pub(crate) fn explore(name: &str) -> Option<&'static Explore> {
    EXPLORES.iter().find(|explore| explore.name == name)
}

impl Explore {
    /// The field of that name, if this explore reaches it.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        let (view, column) = name.split_once('.')?;
        if !self.views.contains(&view) {
            return None;
        }
        let known = FIELDS.iter().find(|known| known.0 == name)?;
        let &(_, type_name, sql, tags, format) = known;
        let kind = match type_name {
            "count" | "count_distinct" | "sum" | "average" => FieldKind::Measure,
            _ => FieldKind::Dimension,
        };
        let numeric = kind == FieldKind::Measure || type_name == "number";
        let sql = if sql.is_empty() { name } else { sql };
        Some(Field {
            type_name: type_name.into(),
            kind,
            format,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            sql: sql.into(),
            label_short: label(column),
            label: format!("{} {}", title_case(view), label(column)),
            ..Field::undescribed(view, column, numeric)
        })
    }
}

fn label(column: &str) -> String {
    match column {
        "id" => "ID".into(),
        "aws_instance" => "AWS Instance".into(),
        "bill_length" | "bill_depth" | "flipper_length" => format!("{} (mm)", title_case(column)),
        "body_mass" => "Body Mass (g)".into(),
        _ => title_case(column),
    }
}

/// Name, LookML type, SQL (empty: the column of that name), tags, value format.
type Known = (&'static str, &'static str, &'static str, &'static [&'static str], ValueFormat);

const PLAIN: ValueFormat = ValueFormat::Plain;
const WHOLE: ValueFormat = ValueFormat::Whole;
const USD: ValueFormat = ValueFormat::Usd;
const ONE: ValueFormat = ValueFormat::OneDecimal;

/// Between them the tags give every row action of the reference what it requires.
#[rustfmt::skip]
const FIELDS: &[Known] = &[
    ("orders.id", "number", "", &[], PLAIN),
    ("orders.created_date", "date_date", "", &[], PLAIN),
    ("orders.created_month", "date_month", "substr(orders.created_date, 1, 7)", &[], PLAIN),
    ("orders.created_year", "date_year", "substr(orders.created_date, 1, 4)", &[], PLAIN),
    ("orders.status", "string", "", &[], PLAIN),
    ("orders.quantity", "number", "", &[], WHOLE),
    ("orders.total", "number", "orders.quantity * orders.unit_price", &[], USD),
    ("orders.note", "string", "", &[], PLAIN),
    ("orders.count", "count_distinct", "COUNT(DISTINCT orders.id)", &[], WHOLE),
    ("orders.revenue", "sum", "SUM(orders.quantity * orders.unit_price)", &[], USD),
    ("orders.average_total", "average", "AVG(orders.quantity * orders.unit_price)", &[], USD),
    ("users.id", "number", "", &["user_id"], PLAIN),
    ("users.name", "string", "", &[], PLAIN),
    ("users.email", "string", "", &["email"], PLAIN),
    ("users.phone", "string", "", &["phone"], PLAIN),
    ("users.city", "string", "", &[], PLAIN),
    ("users.country", "string", "", &[], PLAIN),
    ("users.joined_date", "date_date", "", &[], PLAIN),
    ("users.braze_id", "string", "", &["braze_id"], PLAIN),
    ("users.hubspot_contact_id", "string", "", &["hubspot_contact_id"], PLAIN),
    ("users.salesforce_contact_id", "string", "", &["sfdc_contact_id"], PLAIN),
    ("users.salesforce_lead_id", "string", "", &["sfdc_lead_id"], PLAIN),
    ("users.anonymous_id", "string", "", &["segment_anonymous_id"], PLAIN),
    ("users.count", "count_distinct", "COUNT(DISTINCT users.id)", &[], WHOLE),
    ("companies.id", "number", "", &["segment_group_id"], PLAIN),
    ("companies.name", "string", "", &[], PLAIN),
    ("companies.domain", "string", "", &[], PLAIN),
    ("companies.hubspot_company_id", "string", "", &["hubspot_company_id"], PLAIN),
    ("companies.employees", "number", "", &[], WHOLE),
    ("products.id", "number", "", &[], PLAIN),
    ("products.name", "string", "", &[], PLAIN),
    ("products.category", "string", "", &[], PLAIN),
    ("products.price", "number", "", &[], USD),
    ("servers.name", "string", "", &[], PLAIN),
    ("servers.purpose", "string", "", &[], PLAIN),
    ("servers.aws_instance", "string", "", &["aws_resource_id", "aws_instance_id"], PLAIN),
    ("servers.droplet_id", "string", "", &["digitalocean_droplet_id"], PLAIN),
    ("servers.load", "number", "", &[], ValueFormat::Percent),
    ("penguins.species", "string", "", &[], PLAIN),
    ("penguins.island", "string", "", &[], PLAIN),
    ("penguins.sex", "string", "", &[], PLAIN),
    ("penguins.year", "number", "", &[], PLAIN),
    ("penguins.bill_length", "number", "penguins.bill_length_mm", &[], PLAIN),
    ("penguins.bill_depth", "number", "penguins.bill_depth_mm", &[], PLAIN),
    ("penguins.flipper_length", "number", "penguins.flipper_length_mm", &[], PLAIN),
    ("penguins.body_mass", "number", "penguins.body_mass_g", &[], PLAIN),
    ("penguins.count", "count", "COUNT(*)", &[], WHOLE),
    ("penguins.average_bill_length", "average", "AVG(penguins.bill_length_mm)", &[], ONE),
    ("penguins.average_body_mass", "average", "AVG(penguins.body_mass_g)", &[], WHOLE),
];
