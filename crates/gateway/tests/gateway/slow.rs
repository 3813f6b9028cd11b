//! Who is slow holds nothing for long: a caller that sends or takes little, and an API that says little (T54).

use std::time::Duration;

use terms::Millis;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::apis::world_with;
use crate::crm::Crm;
use crate::wire;
use crate::world::World;

/// Where an answer may take half a second, and a caller has one request at a time.
async fn world() -> (World, Crm) {
    world_with(|settings| {
        settings.longest_answer = Millis::new(500);
        settings.budgets.body_within = Millis::new(300);
        settings.budgets.in_flight = 1;
    })
    .await
}

impl World {
    fn asks(&self, method: &str, path: &str, length: usize) -> String {
        let key = format!("Bearer {}", self.key("bot"));
        self.head(method, &format!("/http/crm{path}"), &[("Authorization", &key)], length)
    }

    /// The outcomes that were recorded, once there are any.
    async fn settled(&self) -> Vec<String> {
        for _ in 0..1000 {
            let lines = self.authority.store().records(0, 10_000).await.unwrap();
            let settled =
                lines.into_iter().filter(|line| line.kind == "settled").filter_map(|line| line.body);
            let outcomes: Vec<String> = settled.map(|(body, _)| String::from_utf8(body).unwrap()).collect();
            if !outcomes.is_empty() {
                return outcomes;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody says how it ended");
    }

    /// The caller's one place is free.
    async fn is_free(&self) {
        for _ in 0..200 {
            if self.get("/health").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the place is not given back");
    }
}

#[tokio::test]
async fn t54_an_api_that_drips_its_answer_is_cut_off_and_nobody_takes_what_came_for_all_of_it() {
    let (world, crm) = world().await;
    let began = Instant::now();
    let mut stream = wire::write(world.at, &world.asks("GET", "/odd/drips", 0), b"").await;
    let mut heard = Vec::new();
    let _broken =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.starts_with("HTTP/1.1 200") && heard.contains("1\r\nx\r\n"), "{heard}");
    assert!(!heard.ends_with("0\r\n\r\n"), "it looks whole: {heard}");
    let settled = world.settled().await;
    assert!(settled.len() == 1 && settled[0].contains(r#""outcome":"unknown""#), "{settled:?}");
    world.is_free().await;
    assert_eq!(crm.arrived().iter().filter(|one| one.line().contains("drips")).count(), 1, "sent once");
}

#[tokio::test]
async fn t54_a_caller_that_never_takes_its_answer_holds_no_place_and_the_api_is_let_go() {
    let (world, _crm) = world().await;
    let stream = wire::write(world.at, &world.asks("GET", "/odd/endless", 0), b"").await;
    let settled = world.settled().await;
    assert!(
        settled.len() == 1 && settled[0].contains(r#""outcome":"done""#),
        "the API had answered: {settled:?}"
    );
    assert!(settled[0].contains(r#""delivered":false"#), "{settled:?}");
    world.is_free().await;
    drop(stream);
}

#[tokio::test]
async fn t54_a_caller_that_drips_its_content_is_refused_and_holds_no_place() {
    let (world, crm) = world().await;
    let mut head = world.asks("PUT", "/import", 100);
    head.truncate(head.len() - 2);
    let began = Instant::now();
    let mut stream = wire::write(world.at, &format!("{head}Content-Type: text/csv\r\n\r\n"), b"a").await;
    let mut heard = [0; 12];
    let reading = async {
        // A drop now and then does not help.
        let (mut takes, mut gives) = tokio::io::split(stream.get_mut());
        let dripping = async {
            while tokio::io::AsyncWriteExt::write_all(&mut gives, b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = takes.read_exact(&mut heard) => { read.unwrap(); }
            () = dripping => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 400");
    assert!(began.elapsed() >= Duration::from_millis(250));
    world.is_free().await;
    assert!(crm.arrived().iter().all(|one| one.line().starts_with("GET")));
}
