//! The Rust SDK, driven by lines of JSON: one request a line on stdin, one answer a line on stdout.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    Implementation, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Failure = Box<dyn std::error::Error>;

/// Which request began last: the SDK names progress by tokens of its own, and tests listen to one call at a time.
static LAST: AtomicU64 = AtomicU64::new(0);

fn say(message: &Value) {
    println!("{message}");
}

/// Whether it can ask its person.
struct Listener {
    asks: bool,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.client_info = Implementation::new("stepup-tests", "1");
        if self.asks {
            let able = json!({"elicitation": {"url": {}, "form": {}}});
            info.capabilities = serde_json::from_value(able).unwrap_or_default();
        }
        info
    }

    /// Tells what the person is asked, and agrees.
    async fn create_elicitation(
        &self,
        asked: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let asked = json!(asked);
        say(&json!({"asked": asked}));
        let agreed = ElicitResult::new(ElicitationAction::Accept);
        // A form is filled in.
        let Some(wanted) = asked["requestedSchema"]["required"].as_array() else { return Ok(agreed) };
        let said = wanted.iter().filter_map(Value::as_str).map(|name| (name, "a person said so"));
        Ok(agreed.with_content(json!(said.collect::<HashMap<_, _>>())))
    }

    async fn on_progress(&self, heard: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        say(&json!({"id": LAST.load(Ordering::SeqCst), "progress": heard}));
    }
}

type Client = RunningService<RoleClient, Listener>;

fn mode(name: &str) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match name {
        "legacy" => ClientLifecycleMode::Initialize,
        "auto" => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
        _ => ClientLifecycleMode::Discover { preferred_versions },
    }
}

async fn connect(asked: &Value) -> Result<Client, Failure> {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let mut config = StreamableHttpClientTransportConfig::with_uri(text("url"));
    if let Some(key) = asked["headers"]["authorization"].as_str() {
        config = config.auth_header(key.trim_start_matches("Bearer "));
    }
    Ok(Listener { asks: asked["asks"] == true }
        .serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), mode(text("mode")))
        .await?)
}

async fn answer(client: &Client, asked: &Value) -> Result<Value, ServiceError> {
    if asked["what"] == "list" {
        return Ok(json!(client.list_all_tools().await?));
    }
    let mut params = CallToolRequestParams::new(asked["name"].as_str().unwrap_or_default().to_owned());
    params.arguments = asked["arguments"].as_object().cloned();
    Ok(json!(client.call_tool(params).await?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut lines = BufReader::new(stdin()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await?.ok_or("nothing was asked")?)?;
    let client = match connect(&first).await {
        Ok(client) => client,
        Err(failure) => {
            return Ok(say(&json!({"id": first["id"], "error": {"message": failure.to_string()}})));
        }
    };
    let server = json!(client.peer_info());
    say(
        &json!({"id": first["id"], "result": {"server": server["serverInfo"], "revision": server["protocolVersion"]}}),
    );
    let client = std::rc::Rc::new(client);
    let all = tokio::task::LocalSet::new();
    all.run_until(async {
        while let Ok(Some(line)) = lines.next_line().await {
            let client = client.clone();
            tokio::task::spawn_local(async move {
                let Ok(asked) = serde_json::from_str::<Value>(&line) else { return };
                LAST.store(asked["id"].as_u64().unwrap_or_default(), Ordering::SeqCst);
                match answer(&client, &asked).await {
                    Ok(result) => say(&json!({"id": asked["id"], "result": result})),
                    Err(ServiceError::McpError(error)) => say(&json!({"id": asked["id"], "error": error})),
                    Err(error) => say(&json!({"id": asked["id"], "error": {"message": error.to_string()}})),
                }
            });
        }
    })
    .await;
    all.await;
    if let Some(client) = std::rc::Rc::into_inner(client) {
        client.cancel().await?;
    }
    Ok(())
}
