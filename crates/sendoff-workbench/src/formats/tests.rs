//! Every format, opened by readers that share no code with the writers.

use std::io::Read;

use calamine::{Data, Reader, Xlsx};
use serde_json::Value;

use super::*;
use crate::DataLimits;

const APPLIED: Rendering =
    Rendering { formatting: Formatting::Formatted, visualization: VisualizationFormatting::Apply };
const RAW: Rendering = Rendering {
    formatting: Formatting::Unformatted,
    visualization: VisualizationFormatting::Noapply,
};

async fn warehouse() -> Warehouse {
    Warehouse::in_memory(DataLimits::default()).await.unwrap()
}

async fn bytes(content: impl Into<Content>, format: Format, rendering: Rendering) -> Bytes {
    let rendered = warehouse().await.render(content, format, rendering).await.unwrap();
    rendered.whole(64 << 20).await.unwrap()
}

async fn look(slug: &str) -> Look {
    warehouse().await.look(slug).unwrap().clone()
}

async fn text(slug: &str, format: Format, rendering: Rendering) -> String {
    let bytes = bytes(&look(slug).await, format, rendering).await;
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn json(slug: &str, format: Format, rendering: Rendering) -> Value {
    serde_json::from_str(&text(slug, format, rendering).await).unwrap()
}

#[tokio::test]
async fn csv_shows_values_as_users_or_as_the_database_does() {
    let formatted = text("best-sellers", Format::Csv, Rendering::default()).await;
    let mut lines = formatted.lines();
    assert_eq!(
        lines.next().unwrap(),
        "Products Name,Products Category,Orders Count,Orders Revenue"
    );
    assert_eq!(lines.next().unwrap(), "Coffee grinder,Kitchen,99,\"$36,449.70\"");
    let raw = text("best-sellers", Format::Csv, RAW).await;
    assert!(raw.lines().nth(1).unwrap().ends_with(",99,36449.7"), "{raw}");
    assert_eq!(raw.lines().count(), 11);
    let tabs = text("best-sellers", Format::Txt, RAW).await;
    assert!(tabs.starts_with("Products Name\tProducts Category\tOrders Count\t"));
}

#[tokio::test]
async fn an_applied_visualization_relabels_hides_numbers_and_totals() {
    let plain = text("orders", Format::Csv, Rendering::default()).await;
    assert!(
        plain.starts_with("Orders ID,Orders Created Date,Orders Status,Users Name,Users Email")
    );
    let applied = text("orders", Format::Csv, APPLIED).await;
    let header = applied.lines().next().unwrap();
    assert_eq!(
        header,
        ",Orders ID,Orders Created Date,Orders Status,Users Name,Products Name,Orders Quantity,\
         Total (USD),Orders Note"
    );
    assert!(applied.lines().nth(1).unwrap().starts_with("1,2400,2025-12-"), "{applied}");
    let totals = text("revenue-by-month", Format::Csv, APPLIED).await;
    let last = totals.lines().last().unwrap();
    assert!(last.ends_with(",100.0%"), "{last}");
    let without = text("revenue-by-month", Format::Csv, Rendering::default()).await;
    assert_eq!(totals.lines().count(), without.lines().count() + 1);
}

#[tokio::test]
async fn pivots_stand_above_the_labels_in_csv() {
    let csv = text("penguin-sizes", Format::Csv, RAW).await;
    let mut lines = csv.lines();
    assert_eq!(lines.next().unwrap(), "Penguins Sex,,,,female,female,female,male,male,male");
    assert!(lines.next().unwrap().starts_with("Penguins Species,Penguins Count,Penguins Average"));
    assert!(lines.next().unwrap().starts_with("Adelie,6,"), "{csv}");
}

#[tokio::test]
async fn json_and_json_label_name_columns_each_in_their_way() {
    let rows = json("best-sellers", Format::Json, RAW).await;
    assert_eq!(rows.as_array().unwrap().len(), 10);
    assert_eq!(rows[0]["orders.revenue"], 36_449.7);
    assert_eq!(rows, json("best-sellers", Format::InlineJson, RAW).await);
    let labels = json("best-sellers", Format::JsonLabel, Rendering::default()).await;
    assert_eq!(labels[0]["Orders Revenue"], "$36,449.70");
    let pivoted = json("orders-by-country", Format::Json, RAW).await;
    let count = &pivoted[0]["orders.count"];
    assert!(count["complete"].is_i64() && count["$$$_row_total_$$$"].is_i64(), "{count}");
    let penguins = json("penguins", Format::Json, RAW).await;
    assert_eq!(penguins[3]["penguins.bill_length"], Value::Null);
    assert_eq!(penguins[0]["penguins.bill_length"], 39.1);
}

#[tokio::test]
async fn csv_quotes_what_needs_it_and_leaves_nulls_empty() {
    let sql =
        "SELECT 'a,b' AS a, 'say \"x\"' AS b, 'l1' || char(10) || 'l2' AS c, NULL AS d, 9e999 AS e";
    let csv = bytes(&Look::sql("Odd", sql), Format::Csv, RAW).await;
    let csv = String::from_utf8(csv.to_vec()).unwrap();
    assert_eq!(csv.split_once('\n').unwrap().1, "\"a,b\",\"say \"\"x\"\"\",\"l1\nl2\",,\n");
    let tabs = bytes(&Look::sql("Odd", sql), Format::Txt, RAW).await;
    let tabs = String::from_utf8(tabs.to_vec()).unwrap();
    assert!(tabs.contains("\na,b\t\"say"), "{tabs}");
    let json = bytes(&Look::sql("Odd", sql), Format::Json, RAW).await;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[0]["sql_runner_query.c"], "l1\nl2");
    assert_eq!(json[0]["sql_runner_query.e"], Value::Null);
}

#[tokio::test]
async fn pivoted_values_row_totals_and_totals_add_up() {
    let detail = json("orders-by-country", Format::JsonDetail, RAW).await;
    let (mut all, mut totals) = (0, 0);
    for row in detail["data"].as_array().unwrap() {
        for (key, cell) in row["orders.count"].as_object().unwrap() {
            let value = cell["value"].as_i64().unwrap();
            let of = if key == "$$$_row_total_$$$" { &mut totals } else { &mut all };
            *of += value;
        }
    }
    assert_eq!((all, totals), (2_400, 2_400));
    assert_eq!(detail["totals_data"]["orders.count"]["$$$_row_total_$$$"]["value"], 2_400);
    assert_eq!(detail["has_row_totals"], true);
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// The reference's example of json_detail.
const GOLDEN: &str = include_str!("../../../sendoff/tests/golden/json_detail_example.json");

#[tokio::test]
async fn json_detail_has_the_structure_of_the_reference_example() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let ours = json("revenue-by-month", Format::JsonDetail, Rendering::default()).await;
    let mut top: Vec<&String> = keys(&ours);
    top.retain(|key| *key != "totals_data");
    assert_eq!(top, keys(&golden));
    assert_eq!(keys(&ours["fields"]), keys(&golden["fields"]));
    let mut sample = keys(&golden["fields"]["measures"][0]);
    // Only time dimensions have it there.
    let timeframe = String::from("is_timeframe");
    sample.push(&timeframe);
    sample.sort();
    assert_eq!(keys(&ours["fields"]["measures"][0]), sample);
    let field = &ours["fields"]["dimensions"][0];
    let example = keys(&golden["fields"]["dimensions"][0]);
    let missing: Vec<_> = example.into_iter().filter(|key| field.get(key).is_none()).collect();
    // The length of the timeframe, which no action reads.
    assert_eq!(missing, ["time_interval"]);
    let filter = &ours["applied_filters"]["orders.status"];
    assert_eq!(keys(filter), keys(&golden["applied_filters"]["users.created_month"]));
    assert_eq!(filter["value"], "complete,shipped");
    let cell = &ours["data"][0]["orders.revenue"];
    assert!(cell["value"].is_f64() && cell["rendered"].as_str().unwrap().starts_with('$'));
    assert_eq!(keys(&cell["links"][0]), keys(&golden["data"][0]["orders.count"]["links"][0]));
    assert_eq!(ours["fields"]["table_calculations"][0]["name"], "share_of_revenue");
    assert_eq!(ours["totals_data"]["share_of_revenue"]["rendered"], "100.0%");
    assert_eq!(ours["has_totals"], true);
    let raw = json("revenue-by-month", Format::JsonDetail, RAW).await;
    assert_eq!(raw["data"][0]["orders.revenue"].get("rendered"), None);
}

#[tokio::test]
async fn json_detail_names_pivots_and_nests_their_values() {
    let detail = json("penguin-sizes", Format::JsonDetail, Rendering::default()).await;
    assert_eq!(detail["fields"]["pivots"][0]["name"], "penguins.sex");
    let names: Vec<_> =
        detail["pivots"].as_array().unwrap().iter().map(|pivot| &pivot["key"]).collect();
    assert_eq!(names, ["$$$_null_$$$", "female", "male"]);
    let count = &detail["data"][0]["penguins.count"];
    assert_eq!(count["female"]["value"], 73);
    assert_eq!(count["$$$_null_$$$"]["value"], 6);
    assert_eq!(detail["data"][0]["penguins.species"]["value"], "Adelie");
    let lite = text("penguin-sizes", Format::JsonDetailLiteStream, RAW).await;
    assert!(lite.starts_with("{\"fields\":{"));
    let lite: Value = serde_json::from_str(&lite).unwrap();
    assert_eq!(keys(&lite), ["data", "fields"]);
    assert_eq!(lite["data"][0]["penguins.count"]["male"]["value"], 73);
}

#[tokio::test]
async fn json_bi_has_the_published_metadata_and_says_that_its_rows_are_guessed() {
    let data = warehouse().await;
    let look = data.look("orders-by-country").unwrap();
    let rendered = data.render(look, Format::JsonBi, RAW).await.unwrap();
    assert_eq!(rendered.warning, Some(JSON_BI));
    let whole = rendered.whole(1 << 20).await.unwrap();
    let value: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(keys(&value), ["metadata", "rows"]);
    assert_eq!(
        keys(&value["metadata"]),
        [
            "big_query_metadata",
            "columns_truncated",
            "fields",
            "filter_expression",
            "filters",
            "has_subtotals",
            "has_totals",
            "pivots",
            "sql"
        ]
    );
    let plain = data.render(look, Format::Json, RAW).await.unwrap();
    assert_eq!(plain.warning, None);
}

#[tokio::test]
async fn html_escapes_what_stands_in_the_data() {
    let look = Look::sql("A <b>", "SELECT '<script>&\"' AS \"a>b\", 2 AS n");
    let html = bytes(&look, Format::Html, Rendering::default()).await;
    let html = String::from_utf8(html.to_vec()).unwrap();
    assert!(html.contains("<title>A &lt;b&gt;</title>"), "{html}");
    assert!(html.contains("<th>Sql Runner Query A&gt;b</th>"), "{html}");
    assert!(html.contains("<td>&lt;script&gt;&amp;&quot;</td><td class=\"n\">2</td>"), "{html}");
    let totals = text("revenue-by-month", Format::Html, APPLIED).await;
    assert!(totals.contains("<tfoot>") && totals.ends_with("</body></html>\n"));
}

#[tokio::test]
async fn xlsx_opens_with_numbers_texts_and_totals() {
    let file = bytes(&look("revenue-by-month").await, Format::Xlsx, APPLIED).await;
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(file)).unwrap();
    let range = book.worksheet_range("Revenue by month").unwrap();
    assert_eq!(range.get((0, 2)), Some(&Data::String("Orders Revenue".into())));
    assert_eq!(range.get((1, 0)), Some(&Data::String("2024-01".into())));
    assert!(matches!(range.get((1, 2)), Some(Data::Float(revenue)) if *revenue > 1_000.0));
    assert_eq!(range.height(), 1 + 24 + 1);

    let notes = Look::sql("Notes: [all]", "SELECT note, id FROM orders WHERE note LIKE '=%'");
    let file = bytes(&notes, Format::Xlsx, RAW).await;
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(file)).unwrap();
    let range = book.worksheet_range("Notes all").unwrap();
    assert_eq!(range.get((1, 0)), Some(&Data::String("=SUM(1,2)".into())));
    assert!(book.worksheet_formula("Notes all").unwrap().is_empty());
}

#[tokio::test]
async fn a_dashboard_is_a_zip_of_its_tiles_and_filters() {
    let data = warehouse().await;
    let dashboard = data.dashboard("shop").unwrap();
    let file = bytes(dashboard, Format::CsvZip, Rendering::default()).await;
    let archive = rawzip::ZipArchive::from_slice(&file).unwrap();
    let mut members = std::collections::BTreeMap::new();
    for entry in archive.entries() {
        let entry = entry.unwrap();
        let name = String::from_utf8(entry.file_path().as_ref().to_vec()).unwrap();
        let packed = archive.get_entry(entry.wayfinder()).unwrap();
        let mut text = String::new();
        flate2::read::DeflateDecoder::new(packed.data()).read_to_string(&mut text).unwrap();
        members.insert(name, text);
    }
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "dashboard-shop/best_sellers.csv",
            "dashboard-shop/filters_applied.csv",
            "dashboard-shop/latest_orders.csv",
            "dashboard-shop/orders_by_country_and_status.csv",
            "dashboard-shop/revenue.csv",
            "dashboard-shop/revenue_by_month.csv",
        ]
    );
    assert_eq!(
        members["dashboard-shop/filters_applied.csv"],
        "Filter,Value\nCountry,is any value\nSince,after 2025-01-01\n"
    );
    // The filter was applied to the tile.
    assert_eq!(members["dashboard-shop/revenue_by_month.csv"].lines().count(), 13);
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_with_what_can() {
    let data = warehouse().await;
    let refused = async |content: Content, format| {
        let rendered = data.render(content, format, RAW).await;
        rendered.err().expect("it was rendered").to_string()
    };
    let dashboard = data.dashboard("shop").unwrap();
    assert_eq!(
        refused(dashboard.into(), Format::Csv).await,
        "A dashboard cannot be had as csv; it can as csv_zip, wysiwyg_pdf, assembled_pdf, \
         wysiwyg_png."
    );
    let zip = refused(data.look("orders").unwrap().into(), Format::CsvZip).await;
    assert!(zip.starts_with("A Look cannot be had as csv_zip; it can as txt, csv,"), "{zip}");
    let wrong = Look::new("x", "X", "orders", &["orders.nothing"]);
    assert_eq!(
        refused((&wrong).into(), Format::Csv).await,
        "The explore `orders` has no field `orders.nothing`."
    );
}

#[tokio::test]
async fn rows_flow_as_they_are_read_and_stop_with_their_reader() {
    let data = warehouse().await;
    // Some terabytes: it could not be had if it had to be complete.
    let look = Look::generated(20_000_000_000);
    let mut rendered = data.render(&look, Format::Csv, RAW).await.unwrap();
    let rows = rendered.rows();
    let first = rendered.source.next().await.unwrap().unwrap();
    assert!(
        first.starts_with(b"Generated Id,Generated Email,Generated Amount,Generated Filler\n1,")
    );
    for _ in 0..10 {
        rendered.source.next().await.unwrap().unwrap();
    }
    // At most the channel's four chunks, the one in hand and the one being gathered are ahead.
    let ahead = 17 * CHUNK as u64 / 90;
    assert!(rows.get() < ahead, "{} rows were made", rows.get());
    drop(rendered);
    // The thread is free again: the runtime could not shut down otherwise, and this test not end.
}

#[tokio::test]
async fn a_query_that_fails_on_its_way_breaks_the_stream() {
    // The two-thousandth row holds bytes, which no format takes.
    let look = Look::sql(
        "Late",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) \
         SELECT i, CASE WHEN i = 20000 THEN x'ff' ELSE printf('%.40c', 'x') END AS v FROM n",
    )
    .limit(None);
    let rendered = warehouse().await.render(&look, Format::Csv, RAW).await.unwrap();
    let error = rendered.whole(64 << 20).await.unwrap_err();
    assert!(error.to_string().contains("The column `v` holds bytes"), "{error}");
}

#[tokio::test]
async fn a_cell_carries_its_value_and_how_it_is_shown() {
    let data = warehouse().await;
    let grid = data.grid(data.look("best-sellers").unwrap(), 1).await.unwrap();
    let revenue = grid.columns.iter().position(|c| c.name == "orders.revenue").unwrap();
    let cell = grid.rows[0][revenue].cell();
    assert_eq!((cell.value.as_str(), cell.rendered.as_str()), ("36449.7", "$36,449.70"));
    let delivery = cell.delivery();
    assert_eq!(delivery.params.get("value"), Some("36449.7"));
    assert!(grid.is_cut && grid.rows.len() == 1);
}

#[tokio::test]
async fn a_look_tells_the_query_behind_it() {
    let look = look("revenue-by-month").await;
    let delivery = look.delivery();
    let query = delivery.plan.unwrap().query.unwrap();
    assert_eq!(query.limit.unwrap().0, "5000");
    let fields: Value = serde_json::from_str(&query.dynamic_fields.unwrap().0).unwrap();
    assert_eq!(fields[0]["table_calculation"], "share_of_revenue");
}

#[cfg(feature = "render")]
mod drawn {
    use super::*;

    #[tokio::test]
    async fn png_decodes_and_is_not_blank() {
        let data = warehouse().await;
        let dashboard = data.dashboard("shop").unwrap();
        let file = bytes(dashboard, Format::WysiwygPng, Rendering::default()).await;
        let reader = zune_png::zune_core::bytestream::ZCursor::new(file.to_vec());
        let mut decoder = zune_png::PngDecoder::new(reader);
        let pixels = decoder.decode_raw().unwrap();
        assert_eq!(decoder.dimensions().unwrap().0, 1_200);
        let coloured = pixels.chunks_exact(4).filter(|pixel| pixel[0] != pixel[2]).count();
        assert!(coloured > 10_000, "{coloured} coloured pixels");
    }

    async fn pdf(content: impl Into<Content>, format: Format) -> (usize, String) {
        let file = bytes(content, format, Rendering::default()).await;
        let pdf = lopdf::Document::load_mem(&file).unwrap();
        let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
        // The reader gives each letter a line.
        (pages.len(), pdf.extract_text(&pages).unwrap().replace('\n', ""))
    }

    #[tokio::test]
    async fn wysiwyg_pdf_is_one_page_with_text_that_can_be_read() {
        let (pages, text) = pdf(&look("best-sellers").await, Format::WysiwygPdf).await;
        assert_eq!(pages, 1);
        assert!(text.contains("Best sellers"), "{text}");
        let orders = look("orders").await.filter("orders.note", "Доставка утром");
        let (_, text) = pdf(&orders, Format::WysiwygPdf).await;
        assert!(text.contains("Доставка утром"), "{text}");
    }

    #[tokio::test]
    async fn assembled_pdf_has_a_page_per_tile_and_all_rows_of_a_table() {
        let data = warehouse().await;
        let (pages, text) = pdf(data.dashboard("shop").unwrap(), Format::AssembledPdf).await;
        // A title, four charts, and the latest orders.
        assert_eq!(pages, 7);
        assert!(text.contains("The shop") && text.contains("2400"), "{text}");
        let chinstraps = look("penguins").await.filter("penguins.species", "Chinstrap");
        let (pages, text) = pdf(&chinstraps, Format::AssembledPdf).await;
        assert_eq!(pages, 3);
        assert_eq!(text.matches("Chinstrap").count(), 68);
    }
}
