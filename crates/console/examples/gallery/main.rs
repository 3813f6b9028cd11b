//! Every page with invented data, without a store, to look at: `cargo run -p console --example gallery -- 7399`.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, clippy::cast_possible_truncation)]
#![allow(clippy::type_complexity)]

mod sample;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::get;
use console::view::{ProblemPage, SignInPage};

type Page = (&'static str, fn() -> String);

fn html(page: &impl Template) -> String {
    page.render().expect("a page")
}

const PAGES: &[Page] = &[
    ("inbox", || html(&sample::inbox())),
    ("empty", || html(&sample::empty_inbox())),
    ("request", || html(&sample::request(&sample::model()))),
    ("proposal", || html(&sample::proposal())),
    ("nasty", || html(&sample::request(&sample::nasty()))),
    ("waiting", || html(&sample::waiting())),
    ("approved", || html(&sample::approved())),
    ("unknown", || html(&sample::unknown())),
    ("rejected", || html(&sample::rejected())),
    ("history", || html(&sample::history())),
    ("callers", || html(&sample::callers())),
    ("caller", || html(&sample::caller())),
    ("locks", || html(&sample::locks())),
    ("tools", || html(&sample::tools())),
    ("tool", || html(&sample::tool())),
    ("explain", || html(&sample::explain())),
    ("explain-empty", || html(&sample::nothing_to_explain())),
    ("why", || html(&sample::why())),
    ("policies", || html(&sample::policies())),
    ("log", || html(&sample::log())),
    ("record", || html(&sample::record())),
    ("me", || html(&sample::me())),
    ("sign-in", || html(&SignInPage { plain: true })),
    ("enrol", || html(&sample::enrol())),
    ("problem", || {
        html(&ProblemPage { title: "There is nothing here for you.", todo: "It may be over, or for others." })
    }),
];

async fn page(Path(name): Path<String>) -> Html<String> {
    let found = PAGES.iter().find(|(page, _)| *page == name);
    Html(found.map_or_else(index, |(_, page)| page()))
}

fn index() -> String {
    PAGES.iter().map(|(name, _)| format!("<p><a href=\"/{name}\">{name}</a>")).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).unwrap_or_else(|| "7399".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("a port");
    println!("http://127.0.0.1:{port}/inbox");
    let router = Router::new()
        .route("/", get(|| async { Html(index()) }))
        .route("/{page}", get(page))
        .route("/assets/{hash}/{name}", get(console::assets::serve));
    axum::serve(listener, router).await.expect("to serve");
}
