//! A revision of policy is one canonical bundle: Cedar texts, requirements, and what the operator says of
//! upstreams and their tools (decisions §9). Its hash is in every decision; the store's active revision is
//! the truth, files are where proposals come from.

use std::collections::BTreeMap;

use terms::{Json, Kind, Pointer, PolicyHash, Requirement, Route, Touch, touch};

/// One revision, before it is compiled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// Cedar texts by file name.
    pub texts: BTreeMap<String, String>,
    /// Requirements by name, each with its one part of that name.
    pub requirements: BTreeMap<String, Requirement>,
    /// What the operator says of upstreams.
    pub upstreams: BTreeMap<String, UpstreamSettings>,
}

/// What the operator says of an upstream, as far as decisions rest on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamSettings {
    /// The environment that it stands in.
    pub environment: String,
    /// Whether changed descriptions only warn, for upstreams whose descriptions change by themselves.
    pub pins_warn: bool,
    /// Tools by name or by a pattern with one `*`; the longest that fits is taken.
    pub tools: BTreeMap<String, ToolSettings>,
    /// The routes of an HTTP API, by name. What is no route of it is not there.
    pub routes: BTreeMap<String, Declared>,
    /// The operations of an application that asks, by name.
    pub operations: BTreeMap<String, Declared>,
}

/// What the operator declares, since nobody states it: a route of an HTTP API, or an operation of an application. And what is said of
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// What it is; [`terms::Route`] is read from that of a route.
    pub definition: Json,
    /// What is said of it, as of a tool.
    pub settings: ToolSettings,
}

/// What the operator says of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolSettings {
    /// What a person found that it does: `read-only` or `acts` (B25).
    pub reviewed: Option<String>,
    /// Arguments that are secrets.
    pub secrets: Vec<Pointer>,
    /// Arguments that only name something else.
    pub references: Vec<Pointer>,
    /// The card's headline, with `{/pointer}` for arguments.
    pub title: Option<String>,
    /// What it touches.
    pub touches: Vec<Touch>,
    /// What of its answer is a new credential of ours.
    pub capture: Option<Capture>,
}

/// Where an answer holds a new credential, and for which upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Where in the content of the answer.
    pub from: Pointer,
    /// The HTTP API that it authenticates us to.
    pub upstream: String,
}

/// The text is not a bundle that [`Bundle::to_json`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored policy revision has an unknown shape")]
pub struct BundleError;

impl Bundle {
    /// The canonical form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let texts = self.texts.iter().map(|(name, text)| (name.as_str(), Json::from(text.as_str())));
        let requirements = self.requirements.iter().map(|(name, r)| (name.as_str(), r.to_json()));
        let upstreams = self.upstreams.iter().map(|(name, u)| (name.as_str(), u.to_json()));
        Json::object([
            ("texts", Json::object(texts)),
            ("requirements", Json::object(requirements)),
            ("upstreams", Json::object(upstreams)),
        ])
    }

    /// The hash that every decision names.
    #[must_use]
    pub fn hash(&self) -> PolicyHash {
        PolicyHash::of(&self.to_json())
    }

    /// Reads the rules.
    ///
    /// # Errors
    /// Everything that is wrong with them; then they cannot come into force.
    pub fn compile(&self) -> Result<policy::PolicySet, Vec<policy::Finding>> {
        policy::PolicySet::compile(&self.texts, &self.requirements)
    }

    /// The bundle that [`Bundle::to_json`] wrote.
    ///
    /// # Errors
    /// [`BundleError`] for any other shape; then nothing is allowed.
    pub fn from_json(json: &Json) -> Result<Self, BundleError> {
        Self::read(json).filter(|bundle| bundle.to_json() == *json).ok_or(BundleError)
    }

    fn read(json: &Json) -> Option<Self> {
        let texts = members(json, "texts")?.map(|(name, text)| Some((name, text.as_str()?.to_owned())));
        let requirements =
            members(json, "requirements")?.map(|(name, r)| Some((name, Requirement::from_json(r)?)));
        let upstreams = members(json, "upstreams")?.map(|(name, u)| Some((name, UpstreamSettings::read(u)?)));
        Some(Self {
            texts: texts.collect::<Option<_>>()?,
            requirements: requirements.collect::<Option<_>>()?,
            upstreams: upstreams.collect::<Option<_>>()?,
        })
    }

    /// What is said of one tool: its own entry, or that of the longest pattern that fits.
    #[must_use]
    pub fn tool(&self, upstream: &str, tool: &str) -> ToolSettings {
        let tools = self.upstreams.get(upstream).map(|u| &u.tools);
        let fits = |pattern: &str| match pattern.split_once('*') {
            None => pattern == tool,
            Some((before, after)) => {
                tool.len() >= before.len() + after.len() && tool.starts_with(before) && tool.ends_with(after)
            }
        };
        let best = tools.and_then(|tools| {
            let fitting = tools.iter().filter(|(pattern, _)| fits(pattern));
            fitting.max_by_key(|(pattern, _)| (!pattern.contains('*'), pattern.len()))
        });
        best.map(|(_, settings)| settings.clone()).unwrap_or_default()
    }
}

impl UpstreamSettings {
    /// Everything that the operator declares of it.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (Kind, &String, &Declared)> {
        let routes = self.routes.iter().map(|(name, route)| (Kind::Route, name, route));
        routes.chain(self.operations.iter().map(|(name, one)| (Kind::Operation, name, one)))
    }

    fn to_json(&self) -> Json {
        let tools = self.tools.iter().map(|(name, tool)| (name.as_str(), tool.to_json()));
        // A revision from before there were any has no such member, and keeps its hash.
        let declared = |name, all: &BTreeMap<String, Declared>| {
            let each = all.iter().map(|(name, one)| (name.as_str(), one.to_json()));
            (!all.is_empty()).then(|| (name, Json::object(each)))
        };
        let declared = [declared("routes", &self.routes), declared("operations", &self.operations)];
        let members = [
            ("environment", Json::from(self.environment.as_str())),
            ("pins_warn", Json::from(self.pins_warn)),
            ("tools", Json::object(tools)),
        ];
        Json::object(members.into_iter().chain(declared.into_iter().flatten()))
    }

    fn read(json: &Json) -> Option<Self> {
        let tools = members(json, "tools")?.map(|(name, tool)| Some((name, ToolSettings::read(tool)?)));
        let declared = |name, fits: fn(&Json) -> bool| {
            let one = |(name, one): (String, &Json)| Some((name, Declared::read(one, fits)?));
            members(json, name).map_or_else(|| Some(BTreeMap::new()), |all| all.map(one).collect())
        };
        Some(Self {
            environment: json.get("environment")?.as_str()?.to_owned(),
            pins_warn: json.get("pins_warn")?.as_bool()?,
            tools: tools.collect::<Option<_>>()?,
            routes: declared("routes", |definition| Route::of(definition).is_ok())?,
            operations: declared("operations", |definition| definition.as_object().is_some())?,
        })
    }
}

impl Declared {
    fn to_json(&self) -> Json {
        Json::object([("definition", self.definition.clone()), ("settings", self.settings.to_json())])
    }

    fn read(json: &Json, fits: fn(&Json) -> bool) -> Option<Self> {
        let definition = json.get("definition").filter(|definition| fits(definition))?.clone();
        Some(Self { definition, settings: ToolSettings::read(json.get("settings")?)? })
    }
}

impl ToolSettings {
    fn to_json(&self) -> Json {
        let members = [
            ("reviewed", Json::from(self.reviewed.clone())),
            ("secrets", Json::from(self.secrets.clone())),
            ("references", Json::from(self.references.clone())),
            ("title", Json::from(self.title.clone())),
        ];
        // As with routes: what says nothing new is what it was.
        let touches = self.touches.iter().map(Touch::to_json).collect();
        let touches = (!self.touches.is_empty()).then_some(("touches", Json::Array(touches)));
        let capture = self.capture.as_ref().map(|capture| {
            let from = ("from", Json::from(&capture.from));
            ("capture", Json::object([from, ("upstream", Json::from(capture.upstream.as_str()))]))
        });
        Json::object(members.into_iter().chain(touches).chain(capture))
    }

    fn read(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name)?.as_str().map(str::to_owned);
        let pointers = |name: &str| {
            json.get(name)?
                .as_array()?
                .iter()
                .map(|p| p.as_str()?.parse().ok())
                .collect::<Option<Vec<Pointer>>>()
        };
        Some(Self {
            reviewed: text("reviewed"),
            secrets: pointers("secrets")?,
            references: pointers("references")?,
            title: text("title"),
            touches: json.get("touches").map_or_else(|| Some(Vec::new()), touches)?,
            capture: json.get("capture").map_or(Some(None), |capture| self::capture(capture).map(Some))?,
        })
    }
}

fn touches(json: &Json) -> Option<Vec<Touch>> {
    let all = json.as_array().filter(|all| all.len() <= touch::MOST)?;
    all.iter().map(Touch::from_json).collect()
}

fn capture(json: &Json) -> Option<Capture> {
    let text = |name: &str| json.get(name)?.as_str();
    Some(Capture { from: text("from")?.parse().ok()?, upstream: text("upstream")?.to_owned() })
}

fn members<'j>(json: &'j Json, name: &str) -> Option<impl Iterator<Item = (String, &'j Json)>> {
    Some(json.get(name)?.as_object()?.iter().map(|(name, value)| (name.to_owned(), value)))
}
