//! The page in the browser: it plays Looker for any hub. Choose data, send it to an action, see what
//! Looker would make of the answer and every byte that crossed the wire.
//!
//! All of it is drawn here, on the server. Forms and links do everything; htmx, where JavaScript is
//! on, only spares the browser from drawing the whole page anew.

mod action;
mod assets;
mod bulk;
mod checks;
mod data;
mod guard;
mod held;
mod home;
mod icon;
mod looker;
mod schedules;
mod sends;
#[cfg(test)]
mod tests;
mod told;
mod vendors;
mod view;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use tokio::net::TcpListener;

pub use vendors::{Delivered, Known, Mischief, Vendors, Visit};

use crate::Warehouse;
use crate::instance::{ActionId, HubId, Instance};
use view::{Pairs, View};

/// The page waits so long for a form; Looker waits on.
const FORM_WITHIN: Duration = Duration::from_secs(20);

/// What the page shows.
#[derive(Clone)]
pub struct Setup {
    /// The Looker that is played.
    pub instance: Instance,
    /// The hub that is tried.
    pub hub: HubId,
    /// The hub's token, for the conformance checks. It never stands in the page.
    pub token: Option<String>,
    /// The stand-ins behind the hub, where there are some.
    pub vendors: Option<Arc<dyn Vendors>>,
    /// The hub's process, where it is on this machine: its memory is shown.
    pub hub_process: Option<u32>,
}

/// The page. Clones share it.
#[derive(Clone)]
pub struct Page(Arc<Inner>);

struct Inner {
    setup: Setup,
    view: View,
    /// What was filled in last, by action.
    given: Mutex<BTreeMap<String, Pairs>>,
    told: Mutex<told::Told>,
    sends: sends::Sends,
    bulk: bulk::Bulk,
    checks: checks::Checks,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Page {
    /// The page for a hub that the instance knows.
    pub fn new(setup: Setup) -> Self {
        Self(Arc::new(Inner {
            setup,
            view: View::new(),
            given: Mutex::default(),
            told: Mutex::default(),
            sends: sends::Sends::default(),
            bulk: bulk::Bulk::default(),
            checks: checks::Checks::default(),
        }))
    }

    /// Serves the page, and whatever hubs and browsers call on Looker, until it is dropped.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let instance = self.0.setup.instance.clone();
        let routes = self.routes();
        tokio::select! {
            served = axum::serve(listener, routes).into_future() => served,
            () = instance.run() => Ok(()),
        }
    }

    /// The routes, guarded; those that hubs call are not, since a hub is anywhere and knows its
    /// one-time URL.
    pub fn routes(&self) -> Router {
        let page = Router::new()
            .route("/", get(home::home))
            .route("/data/upload", form(data::upload).layer(DefaultBodyLimit::disable()))
            .route("/enable", form(home::enable))
            .route("/form", form(home::redraw))
            .route("/list", form(home::list_again))
            .route("/icon/{action}", get(icon::icon))
            .route("/send", form(sends::send))
            .route("/runs/{id}", get(sends::run))
            .route("/runs/{id}/cancel", form(sends::cancel))
            .route("/schedules", get(schedules::list).post(schedules::create))
            .route("/schedules/new", form(schedules::draft))
            .route("/schedules/{id}", form(schedules::change))
            .route("/wire", get(wire::list))
            .route("/wire/record", get(wire::record))
            .route("/wire/replay", form(wire::replay).layer(DefaultBodyLimit::disable()))
            .route("/wire/{id}", get(wire::one))
            .route("/wire/{id}/{side}", get(wire::body))
            .route("/load", get(bulk::page).post(bulk::start))
            .route("/load/stop", form(bulk::stop))
            .route("/check", get(checks::page).post(checks::start))
            .route("/looker", get(looker::page).post(looker::change))
            .route("/style.css", get(assets::style))
            .route("/htmx.js", get(assets::htmx))
            .route("/page.js", get(assets::script))
            .route("/logo.svg", get(assets::logo))
            .fallback(async || (StatusCode::NOT_FOUND, "There is no such page.\n"))
            .with_state(self.clone())
            .layer(axum::middleware::from_fn(guard::guard));
        self.instance().routes().fallback_service(page)
    }

    fn instance(&self) -> &Instance {
        &self.0.setup.instance
    }

    fn warehouse(&self) -> &Warehouse {
        self.instance().data()
    }

    fn action_id(&self, name: &str) -> ActionId {
        ActionId { hub: self.0.setup.hub, name: name.to_owned() }
    }

    fn vendors(&self) -> Option<&dyn Vendors> {
        self.0.setup.vendors.as_deref()
    }

    fn given(&self, action: &str) -> Pairs {
        locked(&self.0.given).get(action).cloned().unwrap_or_default()
    }

    fn remember(&self, action: &str, given: Pairs) {
        locked(&self.0.given).insert(action.to_owned(), given);
    }

    /// What every page shows of the hub.
    fn hub(&self) -> HubView {
        let hubs = self.instance().hubs();
        let hub = hubs.into_iter().find(|hub| hub.id == self.0.setup.hub);
        let hub = hub.map(|hub| HubView {
            url: hub.url,
            label: hub.label.unwrap_or_default(),
            error: hub.fetch_error_message,
            actions: hub.actions.len(),
        });
        hub.unwrap_or_default()
    }

    /// Draws a page of this menu entry.
    fn draw(&self, template: &str, here: &str, more: minijinja::Value) -> Response {
        let frame = minijinja::context! {
            here,
            hub => view::shown(self.hub()),
            is_demo => self.vendors().is_some(),
            ..more
        };
        self.0.view.page(template, frame)
    }

    /// A page that says why what was asked for cannot be had.
    fn refuse(&self, why: &str) -> Response {
        let mut response = self.draw("notice.html", "", minijinja::context! { why });
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    }
}

/// The route of a form. Whoever draws its answer anew, or follows its address, asks by GET: he gets
/// the page that the form stood on.
fn form<H, T>(handler: H) -> MethodRouter<Page>
where
    H: Handler<T, Page>,
    T: 'static,
{
    post(handler).get(async |uri: Uri| {
        let schedules = uri.path().starts_with("/schedules");
        Redirect::to(if schedules { "/schedules" } else { "/" })
    })
}

/// What every page shows of the hub.
#[derive(Default, Serialize)]
struct HubView {
    url: String,
    label: String,
    error: Option<String>,
    actions: usize,
}

/// Form fields whose names begin so, without that beginning.
fn below(form: &Pairs, prefix: &str) -> Pairs {
    let cut = |(name, value): (&String, &String)| {
        Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
    };
    form.iter().filter_map(cut).collect()
}

/// Back to the page with these choices.
fn back(form: &Pairs, more: &[(&'static str, String)]) -> Response {
    let more_of = |name: &str| more.iter().find(|(known, _)| *known == name);
    let query = view::CHOICES.into_iter().filter_map(|name| {
        let value = more_of(name).map(|(_, value)| value).or_else(|| form.get(name))?;
        (!value.is_empty()).then(|| (name, value.clone()))
    });
    Redirect::to(&view::address(query)).into_response()
}
