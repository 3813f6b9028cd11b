//! The server: three listeners and one for Envoy, the control socket, and what runs beside them; until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use terms::{Ambient, Millis, Time};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::cli::{Desk, Serve};
use crate::config::{Activate, Config};
use crate::listen::{self, Entrance, Limits, Shown, Speaks};
use crate::node::{self, StartError};
use crate::operations::Operations;
use crate::tls::Kept;
use crate::{control, policy_folder};

/// How long requests in flight may take to finish once the server is told to stop.
const DRAIN: Millis = Millis::seconds(10);

/// How long pages have: those that follow changes never finish by themselves.
const FAREWELL: Millis = Millis::seconds(1);

/// Connections of Envoy at once: one for each of its threads, and each carries many questions.
const ENVOYS: usize = 256;

/// How often time is looked at: requests that expire, denials that were counted.
const SWEEP: Duration = Duration::from_secs(1);

/// A running server.
pub struct Server {
    /// The desk.
    pub desk: Arc<Desk>,
    upstreams: Arc<upstream::Upstreams>,
    draining: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts everything, or nothing: whatever can be in the way is looked at before the log says that it starts.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way and what to do.
    pub async fn start(
        config: Arc<Config>,
        ambient: Arc<dyn Ambient>,
        demo: bool,
    ) -> Result<Self, StartError> {
        listen::raise_open_files();
        let told = config.notify.settings(&config.home)?;
        let shown = certificates(&config, ambient.now())?;
        let desk = Arc::new(node::ready(Arc::clone(&config), Arc::clone(&ambient), demo).await?);
        let rules = policy_folder::read_at_start(&desk)?;
        let launcher =
            std::env::current_exe().map_err(|because| system("finding our own program", because))?;
        let apis = node::apis(&config, &ambient)?;
        let upstreams = upstream::Upstreams::new(
            node::upstreams(&config)?,
            Arc::clone(&ambient),
            &node::private(&config),
            launcher,
        )?;
        let doors = Doors::open(&config, &shown).await?;
        desk.authority.begin().await?;
        let proposed = match rules {
            Some(rules) => policy_folder::activate_at_start(&desk, &rules).await?,
            None => None,
        };
        upstreams.sweep();
        let mut server = Self {
            desk,
            upstreams,
            draining: Arc::default(),
            stop: watch::Sender::new(false),
            tasks: JoinSet::new(),
        };
        server.listen(&config, apis, doors);
        server.beside(&config, told);
        let (again, certificates) = (Arc::new(Notify::new()), watch::Sender::new(0));
        for kept in shown.into_values() {
            server.until_stop(kept.follow(Arc::clone(&ambient), certificates.subscribe()));
        }
        // Who closes the window of a demo wants it to end.
        if !demo {
            server.until_stop(read_again(config.policy.activate, Arc::clone(&again), certificates));
        }
        if config.policy.activate == Activate::OnSave {
            server.until_stop(policy_folder::follow(Arc::clone(&server.desk), proposed, again));
        }
        Ok(server)
    }

    /// Answers at every door.
    fn listen(&mut self, config: &Config, apis: Arc<upstream::Apis>, doors: Doors) {
        let authority = Arc::clone(&self.desk.authority);
        let exits = (Arc::clone(&self.upstreams), apis);
        let gateway = gateway::Gateway::new(Arc::clone(&authority), exits, agents(config));
        gateway.watch();
        self.answer(doors.agents, &gateway.router(), DRAIN, of_agents(config));
        let limits = Limits { speaks: Speaks::Http2, ..Limits::share(ENVOYS, 1) };
        self.answer(doors.envoy, &of_envoy(gateway.clone()), DRAIN, limits);
        self.watch_drain(gateway);
        let console = console::router(authority, people(config));
        self.answer(doors.people, &console, FAREWELL, Limits::share(listen::MOST, 2));
        let operations = Operations {
            desk: Arc::clone(&self.desk),
            upstreams: Arc::clone(&self.upstreams),
            draining: Arc::clone(&self.draining),
        };
        self.answer(
            doors.operations,
            &crate::operations::router(operations),
            FAREWELL,
            Limits::share(listen::MOST, 1),
        );
        let desk = Arc::clone(&self.desk);
        self.until_stop(async move { control::serve(doors.control, desk).await });
    }

    fn answer(&mut self, entrances: Vec<Entrance>, router: &Router, grace: Millis, limits: Limits) {
        let limits = limits.among(entrances.len());
        for entrance in entrances {
            self.accept(entrance, router.clone(), grace, limits);
        }
    }

    /// Once the server is told to stop nothing new is taken, and what is in flight has `grace` to finish.
    fn accept(&mut self, entrance: Entrance, router: Router, grace: Millis, limits: Limits) {
        let (stop, mut late) = (self.stop.subscribe(), self.stop.subscribe());
        self.tasks.spawn(async move {
            let late = async move {
                let _ = late.wait_for(|stop| *stop).await;
                tokio::time::sleep(grace.duration()).await;
            };
            tokio::select! {
                () = listen::serve(entrance, router, limits, stop) => {}
                () = late => {}
            }
        });
    }

    /// Runs until the server is told to stop, and no longer.
    fn until_stop(&mut self, what: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = what => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    fn watch_drain(&mut self, gateway: gateway::Gateway) {
        let mut stop = self.stop.subscribe();
        self.tasks.spawn(async move {
            let _ = stop.wait_for(|stop| *stop).await;
            gateway.drain();
        });
    }

    /// What runs beside the listeners.
    fn beside(&mut self, config: &Arc<Config>, told: console::notify::Settings) {
        let desk = Arc::clone(&self.desk);
        let every = config.log.checkpoint_every.duration().max(Duration::from_millis(100));
        self.until_stop(async move {
            loop {
                tokio::time::sleep(every).await;
                if let Err(failed) = desk.checkpoint().await {
                    tracing::error!(%failed, "the log's head is not signed");
                }
            }
        });
        let desk = Arc::clone(&self.desk);
        self.until_stop(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                if let Err(failed) = desk.authority.expire().await {
                    tracing::error!(%failed, "requests are not expired");
                }
            }
        });
        let authority = Arc::clone(&self.desk.authority);
        self.until_stop(console::notify::run(authority, told));
    }

    /// Stops: nothing new, what is in flight finishes or counts as unknown, the log is signed to its end.
    pub async fn stop(mut self) {
        self.draining.store(true, Ordering::Release);
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN.duration(), all).await.is_err() {
            tracing::warn!("some requests did not finish in time; their outcomes count as unknown");
            self.tasks.shutdown().await;
        }
        self.upstreams.close_all().await;
        self.desk.authority.drain(DRAIN).await;
        if let Err(failed) = self.desk.checkpoint().await {
            tracing::error!(%failed, "the log's last head is not signed");
        }
    }
}

/// Where the server is reached: open, and nobody is answered yet.
struct Doors {
    agents: Vec<Entrance>,
    people: Vec<Entrance>,
    operations: Vec<Entrance>,
    envoy: Vec<Entrance>,
    control: control::Socket,
}

impl Doors {
    async fn open(config: &Config, shown: &BTreeMap<&str, Kept>) -> Result<Self, StartError> {
        let tls = |table| shown.get(table).map(Kept::shown);
        let agents = Self::every(&config.agents.listen, tls("agents")).await?;
        let people = Self::every(&config.people.listener.listen, tls("people")).await?;
        let operations = Self::every(&config.operations.listen, None).await?;
        let envoy = match &config.envoy {
            Some(envoy) => Self::every(&envoy.listen, tls("envoy")).await?,
            None => Vec::new(),
        };
        let failed = |e| system(control::path(&config.home).display().to_string(), e);
        let control = control::bind(control::path(&config.home)).map_err(failed)?;
        Ok(Self { agents, people, operations, envoy, control })
    }

    /// Every address that the name stands for; "localhost" is both families (B19).
    async fn every(name: &str, tls: Option<Shown>) -> Result<Vec<Entrance>, StartError> {
        let failed = |because| system(format!("listening on {name}"), because);
        let mut opened = Vec::new();
        let mut last = None;
        for address in tokio::net::lookup_host(name).await.map_err(failed)? {
            match TcpListener::bind(address).await {
                Ok(socket) => opened.push(Entrance { socket, tls: tls.clone() }),
                Err(because) => last = Some(because),
            }
        }
        match last {
            Some(because) if opened.is_empty() => Err(failed(because)),
            Some(_) | None => Ok(opened),
        }
    }
}

/// `stepup serve`.
///
/// # Errors
/// [`StartError`] when it does not start.
pub async fn run(config: Arc<Config>, ambient: Arc<dyn Ambient>, how: &Serve) -> Result<(), StartError> {
    keep_memory_closed();
    if how.retire_passkeys {
        let passkeys = node::retire_passkeys(Arc::clone(&config), Arc::clone(&ambient)).await?;
        tracing::warn!(passkeys, "revoked what was made for another name of the people's page");
    }
    let mut told = Box::pin(told_to_stop());
    let server = tokio::select! {
        server = Server::start(Arc::clone(&config), ambient, false) => server?,
        () = &mut told => return Ok(()),
    };
    tracing::info!(
        agents = config.agents.public_url,
        people = config.people.listener.public_url,
        operations = config.operations.listen,
        envoy = config.envoy.as_ref().map(|envoy| envoy.listen.as_str()),
        "ready"
    );
    told.await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

/// No core dump is written, and no process of the same account reads our memory or environment: secrets are there.
pub fn keep_memory_closed() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "others of this account can read this process's memory");
    }
}

/// Hears SIGTERM and SIGINT from now on, and ends once either has come. Made before the server answers: whoever sees that
/// it is ready may tell it to stop.
pub fn told_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match heard {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Hears SIGHUP from now on: what can be read again while it runs is, and nothing ends.
fn read_again(
    activate: Activate,
    again: Arc<Notify>,
    certificates: watch::Sender<u64>,
) -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = signal(SignalKind::hangup());
    async move {
        let Ok(mut hangup) = heard else { return std::future::pending().await };
        while hangup.recv().await.is_some() {
            certificates.send_modify(|times| *times += 1);
            match activate {
                Activate::OnSave => {
                    tracing::info!(
                        "SIGHUP: the policy folder, the requirements and certificates are read again; all else takes a restart"
                    );
                    again.notify_one();
                }
                Activate::ByCommand => {
                    tracing::info!(
                        "SIGHUP: certificates are read again; rules wait for `stepup policy activate`, all else for a restart"
                    );
                }
            }
        }
    }
}

/// What listeners show of themselves, by their tables.
fn certificates(config: &Config, now: Time) -> Result<BTreeMap<&'static str, Kept>, StartError> {
    let one = |(table, files, url)| {
        let kept = Kept::read((table, files, url), now).map_err(|why| StartError::Tls(table, why))?;
        Ok((table, kept))
    };
    config.tls().map(one).collect()
}

/// The connections of callers: as many as are configured, where there are file descriptors for them.
fn of_agents(config: &Config) -> Limits {
    let limits = Limits::share(config.connections, 10);
    if limits.connections < config.connections {
        let (wanted, taken) = (config.connections, limits.connections);
        tracing::warn!(wanted, taken, "callers have fewer connections: the limit of open files is too low");
    }
    limits
}

/// Where Envoy asks, over gRPC.
fn of_envoy(gateway: gateway::Gateway) -> Router {
    let door = envoy::Door::new(gateway);
    Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
        door.answer(peer.ip(), request).await
    })
}

fn agents(config: &Config) -> gateway::Settings {
    let mut settings = gateway::Settings::at(&config.agents.public_url, &config.people.listener.public_url);
    settings.hosts.insert(config.agents.listen.to_ascii_lowercase());
    settings.origins = config.agents.origins.iter().cloned().collect();
    settings.longest_answer = config.longest_answer;
    settings.hold = config.challenge.hold;
    settings.hold_with_progress = config.challenge.hold_with_progress;
    settings.denial_data = config.challenge.denial_data;
    let carriers = config.challenge.carriers.iter();
    settings.carriers = carriers.map(|(caller, carrier)| (caller.clone(), carrier.pin())).collect();
    let asked = config.upstreams.iter().filter(|(_, file)| !file.asked_by.is_empty());
    settings.asked = asked.map(|(name, file)| (name.clone(), file.asked_by.clone())).collect();
    let askers = config.upstreams.iter().filter(|(_, file)| !file.askers.is_empty());
    let askers = askers.map(|(name, file)| {
        let askers = gateway::Askers { callers: file.askers.clone(), subjects: file.subjects.clone() };
        (name.clone(), askers)
    });
    settings.askers = askers.collect();
    let applications = config.upstreams.iter().filter(|(_, file)| file.is_application());
    settings.applications = applications.map(|(name, _)| name.clone()).collect();
    settings.budgets.in_flight = config.budgets.in_flight;
    settings.budgets.held = config.budgets.held;
    settings.budgets.preflights = config.budgets.preflights_per_minute;
    settings
}

fn people(config: &Config) -> console::Settings {
    let mut settings = console::Settings::at(&config.people.listener.public_url);
    settings.agents_url.clone_from(&config.agents.public_url);
    settings.origins.extend(config.people.listener.origins.iter().cloned());
    settings.routes = config.notify.routes.clone();
    settings.desktop = config.notify.desktop;
    settings
}

fn system(what: impl Into<String>, because: std::io::Error) -> StartError {
    StartError::System { what: what.into(), because }
}
