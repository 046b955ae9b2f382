//! The Looks and dashboards that ship with the demo model.

use crate::look::{Dashboard, DashboardFilter, Look, TableCalculation, Visualization};
use crate::model::ValueFormat;

/// The Looks, those for people first.
pub(crate) fn looks() -> Vec<Look> {
    vec![
        latest_orders(),
        customers(),
        revenue_by_month(),
        orders_by_country(),
        best_sellers(),
        Look::new(
            "companies",
            "Companies",
            "companies",
            &[
                "companies.id",
                "companies.name",
                "companies.domain",
                "companies.hubspot_company_id",
                "companies.employees",
            ],
        )
        .describe("Accounts of companies: for HubSpot companies."),
        Look::new(
            "servers",
            "Servers",
            "servers",
            &[
                "servers.name",
                "servers.purpose",
                "servers.aws_instance",
                "servers.droplet_id",
                "servers.load",
            ],
        )
        .describe("Machines of the shop, for actions that stop one.")
        .sort("servers.load", true),
        Look::new(
            "penguins",
            "Penguins",
            "penguins",
            &[
                "penguins.species",
                "penguins.island",
                "penguins.bill_length",
                "penguins.bill_depth",
                "penguins.flipper_length",
                "penguins.body_mass",
                "penguins.sex",
                "penguins.year",
            ],
        )
        .describe("344 real penguins of three species, with nulls."),
        penguin_sizes(),
    ]
}

fn latest_orders() -> Look {
    Look::new(
        "orders",
        "Latest orders",
        "orders",
        &[
            "orders.id",
            "orders.created_date",
            "orders.status",
            "users.name",
            "users.email",
            "products.name",
            "orders.quantity",
            "orders.total",
            "orders.note",
        ],
    )
    .describe("500 orders, with notes that trip naive writers: quotes, newlines, markup.")
    .sort("orders.id", true)
    .limit(Some(500))
    .relabel("orders.total", "Total (USD)")
    .hide("users.email")
}

fn customers() -> Look {
    Look::new(
        "customers",
        "Customers to reach",
        "users",
        &[
            "users.id",
            "users.name",
            "users.email",
            "users.phone",
            "users.city",
            "users.country",
            "users.braze_id",
            "users.hubspot_contact_id",
            "users.salesforce_contact_id",
            "users.salesforce_lead_id",
            "users.anonymous_id",
            "companies.id",
            "orders.count",
            "orders.revenue",
        ],
    )
    .describe("One row per customer, tagged for every action that works row by row.")
    .sort("orders.revenue", true)
}

fn revenue_by_month() -> Look {
    Look::new(
        "revenue-by-month",
        "Revenue by month",
        "orders",
        &["orders.created_month", "orders.count", "orders.revenue", "orders.average_total"],
    )
    .describe("Two years, with totals and a table calculation.")
    .filter("orders.status", "complete,shipped")
    .sort("orders.created_month", false)
    .calculate(TableCalculation {
        name: "share_of_revenue".into(),
        label: "Share of revenue".into(),
        expression: "${orders.revenue} / sum(${orders.revenue})".into(),
        sql: "\"orders.revenue\" / SUM(\"orders.revenue\") OVER ()".into(),
        format: ValueFormat::Percent,
    })
    .total()
    .draw(Visualization::Line)
}

fn orders_by_country() -> Look {
    Look::new(
        "orders-by-country",
        "Orders by country and status",
        "orders",
        &["users.country", "orders.status", "orders.count"],
    )
    .describe("Pivoted by status, with row totals and totals.")
    .pivot("orders.status", true)
    .sort("users.country", false)
    .total()
    .draw(Visualization::Columns)
}

fn best_sellers() -> Look {
    Look::new(
        "best-sellers",
        "Best sellers",
        "orders",
        &["products.name", "products.category", "orders.count", "orders.revenue"],
    )
    .describe("The ten products with the most revenue.")
    .sort("orders.revenue", true)
    .limit(Some(10))
    .draw(Visualization::Bars)
}

fn penguin_sizes() -> Look {
    Look::new(
        "penguin-sizes",
        "Penguin sizes",
        "penguins",
        &[
            "penguins.species",
            "penguins.sex",
            "penguins.count",
            "penguins.average_bill_length",
            "penguins.average_body_mass",
        ],
    )
    .describe("Means by species, pivoted by sex; one of the pivot values is null.")
    .pivot("penguins.sex", false)
    .sort("penguins.species", false)
}

/// The dashboards.
pub(crate) fn dashboards() -> Vec<Dashboard> {
    let revenue = Look::new("revenue", "Revenue", "orders", &["orders.revenue"])
        .draw(Visualization::SingleValue);
    vec![
        Dashboard {
            slug: "shop".into(),
            title: "The shop".into(),
            description: "Revenue, orders and best sellers, with filters.".into(),
            tiles: vec![
                revenue,
                revenue_by_month(),
                orders_by_country(),
                best_sellers(),
                latest_orders().limit(Some(25)),
            ],
            filters: vec![
                DashboardFilter {
                    title: "Country".into(),
                    field: "users.country".into(),
                    value: String::new(),
                },
                DashboardFilter {
                    title: "Since".into(),
                    field: "orders.created_date".into(),
                    value: "after 2025-01-01".into(),
                },
            ],
        },
        Dashboard {
            slug: "penguins".into(),
            title: "Penguins of Palmer Station".into(),
            description: "The open data set, without filters.".into(),
            tiles: vec![
                penguin_sizes(),
                Look::new(
                    "penguins-by-island",
                    "Penguins by island",
                    "penguins",
                    &["penguins.island", "penguins.count"],
                )
                .sort("penguins.count", true)
                .draw(Visualization::Columns),
            ],
            filters: Vec::new(),
        },
    ]
}
