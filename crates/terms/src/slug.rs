//! The error catalogue: one table from which the wire, the CLI and `docs/errors.md` are made
//! (decisions §8). A slug is stable; its sentences may be improved.

/// How a refusal is told to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// As an HTTP status before any protocol answer.
    Http,
    /// As a JSON-RPC error.
    JsonRpc,
    /// As the result of a tool call with `isError`, because models are shown those and rarely errors.
    ToolError,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The slug.
    pub slug: Slug,
    /// Its stable text.
    pub name: &'static str,
    /// The HTTP status at doors that speak plain HTTP.
    pub http: u16,
    /// The JSON-RPC code.
    pub code: i32,
    /// How callers over MCP are told.
    pub carried: Carried,
    /// What happened, in one sentence.
    pub happened: &'static str,
    /// What to do, in one sentence.
    pub todo: &'static str,
}

macro_rules! catalogue {
    ($($slug:ident $name:literal $http:literal $code:literal $carried:ident $happened:literal $todo:literal;)*) => {
        /// Every way in which a request can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Slug {
            $(#[doc = $happened] $slug,)*
        }

        impl Slug {
            /// The catalogue.
            pub const TABLE: &'static [Row] = &[$(Row {
                slug: Self::$slug, name: $name, http: $http, code: $code, carried: Carried::$carried,
                happened: $happened, todo: $todo,
            },)*];

            /// This slug's row.
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$slug => const {
                        &Row {
                            slug: Self::$slug, name: $name, http: $http, code: $code,
                            carried: Carried::$carried, happened: $happened, todo: $todo,
                        }
                    },)*
                }
            }
        }
    };
}

catalogue! {
    NoCredential "no_credential" 401 1001 Http
        "The request carries no caller key."
        "Send the key that `stepup caller add` printed as `Authorization: Bearer …`.";
    CredentialInvalid "credential_invalid" 401 1002 Http
        "The caller key is unknown, expired or revoked."
        "Ask the operator for a new key (`stepup caller rotate`).";
    HostRefused "host_refused" 403 1003 Http
        "The Host header is not one that this listener answers to."
        "Use the address in the configuration, or add it to `public_url`.";
    OriginRefused "origin_refused" 403 1004 Http
        "The request comes from a web page that may not call this listener."
        "Call from a program, or add the origin to `[agents] origins`.";
    NotJson "not_json" 400 -32700 JsonRpc
        "The body is not exactly one strict JSON text in UTF-8."
        "Send one JSON value without a byte order mark, comments or anything after it.";
    NotCanonical "not_canonical" 400 -32602 JsonRpc
        "The arguments hold names that a person could not see or compare."
        "Use argument names without control, invisible or unassigned characters.";
    DuplicateKey "duplicate_key" 400 -32700 JsonRpc
        "One object in the body names a member twice."
        "Send each member once: two readers could pick different ones.";
    NumberInexact "number_inexact" 400 -32602 JsonRpc
        "A number cannot be represented exactly, so two readers could see different amounts."
        "Send that number as a string, or with fewer digits.";
    BatchRefused "batch_refused" 400 -32600 JsonRpc
        "The body is a batch; none of its requests ran."
        "Send each request by itself.";
    RequestInvalid "request_invalid" 400 -32600 JsonRpc
        "The request is not as the protocol in use defines it."
        "Send what that defines and nothing else; over MCP `jsonrpc`, `method`, `id` and `params`.";
    HeaderMismatch "header_mismatch" 400 -32020 JsonRpc
        "A header that repeats the body is missing, or says something else."
        "Make the Mcp-* headers say what the body says.";
    EnvelopeIncomplete "envelope_incomplete" 400 -32602 JsonRpc
        "The request does not say of itself what every request of MCP 2026-07-28 says."
        "Send `protocolVersion` and `clientCapabilities` in `_meta`, each after `io.modelcontextprotocol/`.";
    VersionUnsupported "version_unsupported" 400 -32022 JsonRpc
        "The request names a revision of MCP that is not spoken here, or not in its session."
        "Name one that is listed as supported; in a session, the one that its `initialize` answered.";
    SessionRequired "session_required" 400 1005 Http
        "The request belongs to no session."
        "Send `initialize` first and then its Mcp-Session-Id with every request, or speak MCP 2026-07-28.";
    SessionUnknown "session_unknown" 404 1006 Http
        "The session is unknown, ended, or another caller's."
        "Send `initialize` again.";
    MediaType "media_type" 415 1007 Http
        "The body is not `application/json` without content coding."
        "Send `Content-Type: application/json`, and no `Content-Encoding`.";
    NotFound "not_found" 404 1008 Http
        "There is nothing here for you at this address."
        "Check the address against the configuration.";
    MethodNotAllowed "method_not_allowed" 405 1009 Http
        "This address does not answer that HTTP method."
        "See the address list in the documentation.";
    TooLarge "too_large" 413 1010 Http
        "The request is over a limit of size, depth or number of members."
        "Send less at once.";
    OverBudget "over_budget" 429 1011 Http
        "The caller, or its owner with all its callers, has too much in flight, held or pending, or asks too often."
        "Wait a moment, or until earlier requests are answered, approved or withdrawn.";
    MethodUnknown "method_unknown" 404 -32601 JsonRpc
        "The method is not one that is let through here."
        "See the methods in the documentation (docs/mcp.md).";
    ToolUnknown "tool_unknown" 404 -32602 JsonRpc
        "There is no such tool for this caller."
        "Use a name from `tools/list`.";
    ArgumentsInvalid "arguments_invalid" 400 -32602 JsonRpc
        "The arguments or parameters do not fit what is defined for them."
        "Compare them with that; for a tool it is `inputSchema` in `tools/list`.";
    ArgumentUnjudgeable "argument_unjudgeable" 403 1012 ToolError
        "A rule speaks of an argument that has no form in which it could be judged."
        "Send that argument in the type that the tool's schema gives it.";
    PolicyDenied "policy_denied" 403 1013 ToolError
        "Policy does not allow this. It did not run."
        "Do not repeat it; ask the owner of this caller if it should be allowed.";
    PolicyFailed "policy_failed" 403 1014 ToolError
        "Policy could not be evaluated for this call, so it was denied. It did not run."
        "Tell the operator the record id below.";
    CallerLocked "caller_locked" 403 1015 ToolError
        "A person has locked this caller, its upstream, or everything. It did not run."
        "Stop. A person has to lift the lock.";
    ToolQuarantined "tool_quarantined" 403 1016 ToolError
        "The definition of the tool or prompt is new or has changed, and nobody has accepted it yet. It did not run."
        "Ask the operator to look at it (`stepup upstream diff`).";
    PreparerUnknown "preparer_unknown" 403 1017 ToolError
        "It is not known who prepared what this call acts on. It did not run."
        "Prepare it again through stepup.";
    Rejected "rejected" 403 1018 ToolError
        "A person rejected this very call a short while ago. It did not run."
        "Do not ask again; read the reason and change the plan.";
    AlreadyRunning "already_running" 409 1019 ToolError
        "This very call is running now under its one approval. It was not started again."
        "Wait for the other attempt's answer.";
    AlreadyRan "already_ran" 409 1020 ToolError
        "This very call has just run under its one approval. It was not started again."
        "Use the answer of the attempt named below.";
    OutcomeUnknown "outcome_unknown" 409 1021 ToolError
        "This very call was started and nobody knows whether it took effect. It was not started again."
        "Stop. A person has to resolve the attempt named below.";
    NobodyMayApprove "nobody_may_approve" 403 1022 ToolError
        "This call needs an approval that nobody may give. It did not run."
        "Ask the operator: the requirement, its groups or the caller's owner must change.";
    ApprovalRequired "approval_required" 401 1023 ToolError
        "This call did not run: it needs approval first."
        "Ask the person to open the link, then run it with `stepup_run` or repeat exactly the same call.";
    GrantExpired "grant_expired" 401 1024 ToolError
        "The approval for this call has run out of time. It did not run."
        "It was asked for again; wait for a new approval.";
    GrantSpent "grant_spent" 401 1025 ToolError
        "The approval for this call is used up. It did not run again."
        "It was asked for again; wait for a new approval.";
    ElevationUnknown "elevation_unknown" 404 1026 ToolError
        "There is no such elevation of this caller."
        "Use the id from the answer that asked for approval.";
    Expired "expired" 403 1027 ToolError
        "Nobody approved this call in time. It did not run."
        "Make the call again if it is still needed.";
    Withdrawn "withdrawn" 403 1028 ToolError
        "This request for approval was withdrawn. The call did not run."
        "Make the call again if it is still needed.";
    StateInvalid "state_invalid" 400 -32602 JsonRpc
        "The continuation is not one that was given to this caller, or it is too old."
        "Make the original call again.";
    UpstreamUnreachable "upstream_unreachable" 502 1029 ToolError
        "The upstream could not be reached, or it went away."
        "See below whether the call may have run before you repeat it.";
    UpstreamTimeout "upstream_timeout" 504 1030 ToolError
        "The upstream did not answer in time."
        "See below whether the call may have run before you repeat it.";
    UpstreamInvalid "upstream_invalid" 502 1031 ToolError
        "The upstream's answer is not valid."
        "See below whether the call may have run before you repeat it.";
    Busy "busy" 503 1032 ToolError
        "The decision kept colliding with others and was given up. The call did not run."
        "Make the same call again in a moment.";
    StoreUnavailable "store_unavailable" 503 1033 ToolError
        "The store cannot record decisions, so everything is denied. The call did not run."
        "Try again later; the operator sees this on /readyz.";
    PolicyStale "policy_stale" 503 1034 ToolError
        "This node does not have the rules in force and denies until it has. The call did not run."
        "Make the same call again in a moment.";
    Draining "draining" 503 1035 Http
        "This node is shutting down and takes nothing new."
        "Make the same call again in a moment.";
    NotAcceptable "not_acceptable" 406 1036 Http
        "The Accept header leaves out a form in which the answer may come."
        "Send `Accept: application/json, text/event-stream`; to listen with GET, the second is enough.";
    UpstreamNeedsFeature "upstream_needs_feature" 502 1037 ToolError
        "The upstream needs what is not passed on here: a feature of MCP, or what this client or its operator does not allow."
        "Use another tool.";
    GatewayUnreachable "gateway_unreachable" 502 1038 JsonRpc
        "No gateway answers `stepup stdio` at its address, so nothing was done with this request."
        "See that `stepup serve` runs there; when it does, send `initialize` and then the same request again.";
    AnswerLost "answer_lost" 502 1039 JsonRpc
        "The answer did not come back to `stepup stdio`, which does not know whether the request took effect."
        "Look before you repeat it; `stepup_status` tells how a request for approval ended.";
    PromptUnknown "prompt_unknown" 404 -32602 JsonRpc
        "There is no such prompt for this caller."
        "Use a name from `prompts/list`.";
    ResourceUnknown "resource_unknown" 404 -32602 JsonRpc
        "There is no such resource for this caller."
        "Use a URI from `resources/list`, or one that a template of `resources/templates/list` makes.";
    UriRefused "uri_refused" 400 -32602 JsonRpc
        "The URI is not in its canonical form, so two readers could find two resources under it."
        "Write it absolute, in its canonical spelling (RFC 3986), without user, password or fragment.";
    RevisionNotCarried "revision_not_carried" 400 1040 JsonRpc
        "The request is of a revision of MCP that `stepup stdio` does not carry."
        "Send `initialize` and speak in its session, or connect to the gateway over HTTP.";
    RouteUnknown "route_unknown" 404 1041 Http
        "There is no such route of this API for this caller. Nothing was sent."
        "Use a method and a path that the operator has configured, written as they are there.";
    PathRefused "path_refused" 400 1042 Http
        "The path or the query is written in a way that two readers could read differently. Nothing was sent."
        "Write it without dot segments, empty segments, `;`, or what is encoded twice (RFC 3986).";
    KeyReused "key_reused" 422 1043 ToolError
        "The name by which this was to be done once is that of another request. It did not run."
        "Use a new Idempotency-Key for each new request, and the same one to repeat it.";
    OperationUnknown "operation_unknown" 404 1044 Http
        "There is no such operation for this caller."
        "Use an operation that the operator has named for the application.";
    AttemptUnknown "attempt_unknown" 404 1045 Http
        "There is no such attempt of this caller whose end it could report."
        "Report once, how an attempt ended that you were told to carry out yourself.";
    AnswerWithheld "answer_withheld" 502 1046 Http
        "The request was sent, and its answer is withheld: a new credential was to be taken out of it, and could not be so that nothing of it is left."
        "See below whether it ran and whether the credential is in force, and tell the operator.";
    HttpVersionRefused "http_version_refused" 505 1047 Http
        "The request is of a version of HTTP that is not taken here. Nothing was sent."
        "Speak HTTP/1.1.";
    ExpectationRefused "expectation_refused" 417 1048 Http
        "The request expects what is not done here. Nothing was sent."
        "Send `Expect: 100-continue`, or no `Expect` at all.";
}

impl std::fmt::Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().name)
    }
}
