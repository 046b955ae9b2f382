//! Fills the demo database: the same rows every time, on every machine.

use rusqlite::{Connection, params};

/// A database that was seeded by another version is seeded anew.
pub(crate) const VERSION: i32 = 1;

const SCHEMA: &str = "
DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS users; DROP TABLE IF EXISTS companies;
DROP TABLE IF EXISTS products; DROP TABLE IF EXISTS servers; DROP TABLE IF EXISTS penguins;
CREATE TABLE companies (id INTEGER PRIMARY KEY, name TEXT, domain TEXT, hubspot_company_id TEXT,
  employees INTEGER);
CREATE TABLE users (id INTEGER PRIMARY KEY, company_id INTEGER, name TEXT, email TEXT, phone TEXT,
  city TEXT, country TEXT, joined_date TEXT, braze_id TEXT, hubspot_contact_id TEXT,
  salesforce_contact_id TEXT, salesforce_lead_id TEXT, anonymous_id TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, product_id INTEGER,
  created_date TEXT, status TEXT, quantity INTEGER, unit_price REAL, note TEXT);
CREATE INDEX orders_user ON orders (user_id);
CREATE TABLE servers (name TEXT, purpose TEXT, aws_instance TEXT, droplet_id TEXT, load REAL);
CREATE TABLE penguins (species TEXT, island TEXT, bill_length_mm REAL, bill_depth_mm REAL,
  flipper_length_mm INTEGER, body_mass_g INTEGER, sex TEXT, year INTEGER);
";

const COMPANIES: i64 = 24;
const USERS: i64 = 400;
const ORDERS: i64 = 2_400;

const FIRST: [&str; 20] = [
    "Ana", "Ben", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Inés", "Jonas", "Kavya",
    "Luca", "Mei", "Noah", "Olga", "Priya", "Quinn", "Rosa", "Søren", "Tariq",
];
const LAST: [&str; 20] = [
    "Alvarez", "Brandt", "Chen", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova",
    "Jensen", "Kumar", "López", "Meyer", "Novák", "O'Brien", "Petrov", "Rossi", "Sato", "Tanaka",
    "Ünal",
];
/// City, country, weight.
const CITIES: [(&str, &str, u64); 10] = [
    ("Madrid", "Spain", 3),
    ("Berlin", "Germany", 4),
    ("Paris", "France", 3),
    ("Austin", "USA", 5),
    ("Portland", "USA", 3),
    ("Kyoto", "Japan", 2),
    ("Oslo", "Norway", 1),
    ("Izmir", "Türkiye", 1),
    ("Pune", "India", 2),
    ("Brno", "Czechia", 1),
];
const WARES: [(&str, &str); 24] = [
    ("Kettle", "Kitchen"),
    ("Frying pan", "Kitchen"),
    ("Cutting board", "Kitchen"),
    ("Coffee grinder", "Kitchen"),
    ("Bread knife", "Kitchen"),
    ("Tea towel", "Kitchen"),
    ("Tent", "Outdoor"),
    ("Sleeping bag", "Outdoor"),
    ("Head lamp", "Outdoor"),
    ("Hiking poles", "Outdoor"),
    ("Rain jacket", "Outdoor"),
    ("Water bottle", "Outdoor"),
    ("Notebook", "Office"),
    ("Fountain pen", "Office"),
    ("Desk lamp", "Office"),
    ("Paper tray", "Office"),
    ("Stapler", "Office"),
    ("Monitor stand, 24\"", "Office"),
    ("Wooden train", "Toys"),
    ("Kite", "Toys"),
    ("Puzzle", "Toys"),
    ("Chess set", "Toys"),
    ("Marbles", "Toys"),
    ("Yo-yo", "Toys"),
];
/// With weights.
const STATUS: [(&str, u64); 4] =
    [("complete", 14), ("shipped", 4), ("cancelled", 2), ("returned", 1)];
/// Values that trip naive writers: quotes, commas, newlines, markup, other scripts.
const NOTES: [&str; 6] = [
    "Leave at the door, please",
    "Gift: \"For Mum\"",
    "Ring twice\nthen wait",
    "<b>Fragile</b> & heavy",
    "Доставка утром",
    "=SUM(1,2)",
];

/// SplitMix64: a few lines, and the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to `end - 1`.
    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    fn weighted<T: Copy>(&mut self, of: impl Iterator<Item = (T, u64)> + Clone) -> Option<T> {
        let mut left = self.below(of.clone().map(|(_, weight)| weight).sum());
        for (item, weight) in of {
            if left < weight {
                return Some(item);
            }
            left -= weight;
        }
        None
    }

    /// The day so many days after 2024-01-01, at most.
    fn day(&mut self, within: u64) -> String {
        use jiff::ToSpan;
        let days = self.below(within) as i64;
        jiff::civil::date(2024, 1, 1).saturating_add(days.days()).to_string()
    }
}

/// Creates the tables and fills them.
///
/// # Errors
/// The database's own.
pub(crate) fn seed(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let mut dice = Dice(2024);
    companies(&transaction, &mut dice)?;
    users(&transaction, &mut dice)?;
    orders(&transaction, &mut dice)?;
    servers(&transaction, &mut dice)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn companies(to: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert = to.prepare("INSERT INTO companies VALUES (?, ?, ?, ?, ?)")?;
    for id in 1..=COMPANIES {
        let last = LAST[(id as usize * 7) % LAST.len()];
        let trade = ["Works", "Trading", "Foods", "Labs"][id as usize % 4];
        let domain = format!("company{id}.example");
        let hubspot = format!("{}", 90_000_000 + id * 37);
        insert.execute(params![
            id,
            format!("{last} {trade}"),
            domain,
            hubspot,
            5 + dice.below(900) as i64
        ])?;
    }
    Ok(())
}

fn users(to: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert =
        to.prepare("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for id in 1..=USERS {
        let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
        let name = format!("{} {}", first.unwrap_or(&""), last.unwrap_or(&""));
        let place = dice.weighted(CITIES.iter().map(|city| ((city.0, city.1), city.2)));
        let (city, country) = place.unwrap_or_default();
        // One in ten gave no phone number. 555-01xx is set aside for fiction.
        let phone = (id % 10 != 0).then(|| format!("+1202555{:04}", 100 + id % 100));
        // Every third is still a lead.
        let (contact, lead) = if id % 3 == 0 {
            (None, Some(format!("00Q5e00000{id:05}EAA")))
        } else {
            (Some(format!("0035e00000{id:05}AAA")), None)
        };
        insert.execute(params![
            id,
            1 + dice.below(COMPANIES as u64) as i64,
            name,
            format!("user{id}@example.com"),
            phone,
            city,
            country,
            dice.day(365),
            format!("braze-{:016x}", dice.roll()),
            format!("{}", 51_000_000 + id * 13),
            contact,
            lead,
            format!("anon-{:012x}", dice.roll() >> 16),
        ])?;
    }
    Ok(())
}

fn orders(to: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut prices = Vec::with_capacity(WARES.len());
    let mut insert = to.prepare("INSERT INTO products VALUES (?, ?, ?, ?)")?;
    for (n, (name, category)) in WARES.iter().enumerate() {
        let price = 2.0 + dice.below(15_000) as f64 / 100.0;
        insert.execute(params![n as i64 + 1, name, category, price])?;
        prices.push(price);
    }
    let mut insert = to.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut days: Vec<String> = (0..ORDERS).map(|_| dice.day(731)).collect();
    days.sort();
    for (n, day) in days.into_iter().enumerate() {
        let product = dice.below(prices.len() as u64) as usize;
        let note = (dice.below(12) == 0).then(|| dice.pick(&NOTES)).flatten();
        insert.execute(params![
            n as i64 + 1,
            1 + dice.below(USERS as u64) as i64,
            product as i64 + 1,
            day,
            dice.weighted(STATUS.iter().copied()),
            1 + dice.below(4) as i64,
            prices.get(product),
            note,
        ])?;
    }
    Ok(())
}

fn servers(to: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert = to.prepare("INSERT INTO servers VALUES (?, ?, ?, ?, ?)")?;
    for n in 1..=12_i64 {
        // Half stand at AWS, half at DigitalOcean.
        let at_aws = n % 2 == 1;
        insert.execute(params![
            format!("shop-{n:02}"),
            ["web", "search", "batch"][n as usize % 3],
            at_aws.then(|| format!("i-{:017x}", dice.roll() >> 4)),
            (!at_aws).then(|| format!("{}", 300_000_000 + n * 1_117)),
            dice.below(1_000) as f64 / 1_000.0,
        ])?;
    }
    Ok(())
}
