//! Where the demo lives: a fresh folder with its own keys, store, policy and sample database.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authority::{Added, NewCaller};
use terms::{Ambient, CallerKind, Secret};

use super::agent::Trouble;
use crate::cli::{Demo, Desk};
use crate::config::Config;
use crate::keys::Keys;
use crate::serve::Server;

/// The demo's folder and addresses.
pub struct Home {
    root: PathBuf,
    config: Arc<Config>,
}

/// Who takes part, with what each is given.
pub struct People {
    /// The link's token with which the approver enrols.
    pub invitation: Secret<String>,
    /// The agent's key.
    pub key: Secret<String>,
}

/// How long the sample upstream may take to say what tools it has.
const FIRST_CONTACT: Duration = Duration::from_secs(30);

impl Home {
    /// Makes the folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn prepare(demo: &Demo, ambient: &dyn Ambient) -> Result<Self, Trouble> {
        let root = match &demo.keep {
            Some(folder) => folder.clone(),
            None => {
                let mut bytes = [0; 8];
                ambient.fill(&mut bytes);
                std::env::temp_dir().join(format!("stepup-demo-{:016x}", u64::from_be_bytes(bytes)))
            }
        };
        if root.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(format!("{} is not empty: name a new folder", root.display()).into());
        }
        let home = root.join("stepup");
        std::fs::create_dir_all(home.join("policies"))?;
        std::fs::create_dir_all(root.join("ops"))?;
        Keys::create(&home.join("keys"), ambient)?;
        let policy = include_str!("../../../../policies/starter-team.cedar");
        std::fs::write(home.join("policies/starter.cedar"), policy)?;
        let path = home.join("stepup.toml");
        std::fs::write(&path, configuration(demo, &root)?)?;
        let config = Arc::new(Config::read(&path)?);
        Ok(Self { root: root.canonicalize()?, config })
    }

    /// Removes it all.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_dir_all(&self.root)
    }

    /// Starts the server, and waits until the sample upstream has said what it offers.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn start(&self, ambient: Arc<dyn Ambient>) -> Result<Server, Trouble> {
        let server = Server::start(Arc::clone(&self.config), ambient, true).await?;
        let pinned = async {
            while server.desk.authority.active().tool("ops", "deploy").is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(FIRST_CONTACT, pinned).await {
            Ok(()) => Ok(server),
            Err(_) => Err("the sample upstream said nothing".into()),
        }
    }

    /// Adds the approver, the agent's owner, who is somebody else, and the agent.
    ///
    /// # Errors
    /// What the store says.
    pub async fn people(&self, desk: &Desk) -> Result<People, Trouble> {
        let authority = &desk.authority;
        let (_, invitation) =
            added(authority.add_human("you", &["release-managers".to_owned()], &desk.by).await?)?;
        added(authority.add_human("robin", &[], &desk.by).await?)?;
        let bot = NewCaller {
            name: "release-bot".to_owned(),
            kind: CallerKind::Agent,
            owner: "robin".to_owned(),
            groups: vec!["ops-agents".to_owned()],
            act: Vec::new(),
        };
        let (_, key) = added(authority.add_caller(&bot, &desk.by).await?)?;
        Ok(People { invitation, key: key.key })
    }

    /// Where people approve.
    #[must_use]
    pub fn people_url(&self) -> &str {
        &self.config.people.listener.public_url
    }

    /// Where the agent connects.
    #[must_use]
    pub fn agents_url(&self) -> String {
        format!("{}/mcp/ops", self.config.agents.public_url)
    }

    /// What arrived at the sample upstream, one line a call.
    ///
    /// # Errors
    /// What reading the file fails with.
    pub fn arrivals(&self) -> std::io::Result<Vec<serde_json::Value>> {
        match std::fs::read_to_string(self.root.join("ops/arrivals.jsonl")) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// A file in the demo's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn added<T>(added: Added<T>) -> Result<T, Trouble> {
    match added {
        Added::Done(value) => Ok(value),
        Added::NameTaken => Err("the name is taken: the folder is not fresh".into()),
        Added::Missing(what) => Err(format!("there is no {what}").into()),
        Added::Stopped(_) => Err("the demo's rules do not let it add people".into()),
        Added::Refused(refused) => Err(refused.to_string().into()),
    }
}

/// A port that is free now.
fn free() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn configuration(demo: &Demo, root: &Path) -> Result<String, Trouble> {
    let people = if demo.unattended { free()? } else { demo.port };
    let program = std::env::current_exe()?;
    let text = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned());
    let root = root.canonicalize()?;
    Ok(format!(
        r#"[agents]
listen = "127.0.0.1:{agents}"
[people]
listen = "localhost:{people}"
[operations]
listen = "127.0.0.1:{operations}"
[policy]
activate = "on-save"
[upstreams.ops]
command = [{program}, "sample-ops", "--database", {database}, "--arrivals", {arrivals}]
environment = "production"
[upstreams.ops.tools."list_*"]
reviewed = "read-only"
[upstreams.ops.tools.get_ticket]
reviewed = "read-only"
[upstreams.ops.tools.deploy]
reviewed = "acts"
title = "Deploy {{/service}} {{/version}} to {{/environment}}"
[upstreams.ops.tools.set_secret]
reviewed = "acts"
title = "Set the secret {{/name}}"
secrets = ["/value"]
{requirements}"#,
        agents = free()?,
        operations = free()?,
        program = text(&program),
        database = text(&root.join("ops/ops.db")),
        arrivals = text(&root.join("ops/arrivals.jsonl")),
        requirements = include_str!("../init/team.toml"),
    ))
}
