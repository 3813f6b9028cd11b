"""The server that the conformance suite calls by name, of the Python SDK 2.x; speaks both eras: python fixture.py PORT

What each tool, prompt and resource is called and answers is what the suite's scenarios describe (fixture.json).
"""

import asyncio
import json
import re
import secrets
import sys
import warnings
from pathlib import Path

import mcp_types as types
import uvicorn
from mcp.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

# Logging and sampling are deprecated in the modern era, and spoken in the other one.
warnings.simplefilter("ignore")

SUITE = json.loads(Path(__file__).with_suffix(".json").read_text())
CAPABILITY = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
bus = InMemorySubscriptionBus()


def said(text, **more):
    return types.CallToolResult.model_validate({"content": [{"type": "text", "text": text}], **more})


def declared(ctx):
    """What the client says that it can, by name."""
    capabilities = ctx.session.client_capabilities
    return set(capabilities.model_dump(exclude_none=True)) if capabilities else set()


def ask(ctx, names, state=None):
    """Asks the client for what these names stand for, in a result of the modern era."""
    missing = {CAPABILITY[SUITE["asks"][name]["method"]] for name in names} - declared(ctx)
    if missing:
        needs = {"requiredCapabilities": {name: {} for name in missing}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "The client has not what this takes", needs)
    asked = {"resultType": "input_required", "inputRequests": {name: SUITE["asks"][name] for name in names}}
    return types.InputRequiredResult.model_validate(asked | ({"requestState": json.dumps(state)} if state else {}))


def given(params, name):
    """What the client gave under a name: a member of an accepted form, or whatever else it was asked for."""
    answer = (params.input_responses or {}).get(name)
    form = SUITE["asks"][name]["params"].get("requestedSchema")
    if answer is None or form is None:
        return answer and answer.model_dump_json(by_alias=True)
    ((member, schema),) = form["properties"].items()
    value = (getattr(answer, "content", None) or {}).get(member)
    fits = isinstance(value, bool if schema["type"] == "boolean" else str)
    return value if fits and answer.action == "accept" else None


def state_of(params):
    return json.loads(params.request_state) if params.request_state else None


def asking(name):
    async def call(ctx, params):
        value = given(params, name)
        return ask(ctx, [name]) if value is None else said(f"Given: {value}")

    return call


def keeping(names, words):
    """Asks for all, with a state that has to come back."""

    async def call(ctx, params):
        done = state_of(params) and all(given(params, name) is not None for name in names)
        return said(words) if done else ask(ctx, names, {"asked": True})

    return call


async def rounds(ctx, params):
    at = (state_of(params) or {}).get("step")
    if at == 2 and given(params, "step2"):
        return said("All steps are done")
    step = 2 if at == 1 and given(params, "step1") else 1
    return ask(ctx, [f"step{step}"], {"step": step})


def eliciting(name):
    """Of the legacy era: a form while the call runs."""

    async def call(ctx, params):
        if "elicitation" not in declared(ctx):
            return said("The client takes no forms", isError=True)
        message = (params.arguments or {}).get("message", "Please say")
        answer = await ctx.session.elicit_form(message, SUITE["forms"][name], related_request_id=ctx.request_id)
        return said(f"User response: action={answer.action}, content={json.dumps(answer.content or {})}")

    return call


async def sampling(ctx, params):
    if "sampling" not in declared(ctx):
        return said("The client does not sample", isError=True)
    message = {"role": "user", "content": {"type": "text", "text": params.arguments["prompt"]}}
    messages = [types.SamplingMessage.model_validate(message)]
    answer = await ctx.session.create_message(messages, max_tokens=100, related_request_id=ctx.request_id)
    return said(f"LLM response: {answer.content.text}")


async def progress(ctx, params):
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return said("Done")


async def logging(ctx, params):
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return said("Done")


async def by_capability(ctx, params):
    able = declared(ctx)
    names = ["user_name"] * ("elicitation" in able) + ["capital_question"] * ("sampling" in able)
    return ask(ctx, names, {"asked": True})


def changing(event):
    async def call(ctx, params):
        await bus.publish(event)
        return said("changed")

    return call


def answering(answer):
    async def call(ctx, params):
        return types.CallToolResult.model_validate(answer)

    return call


TOOLS = {
    **{name: answering(answer) for name, answer in SUITE["answers"].items()},
    **{name: eliciting(name) for name in SUITE["forms"]},
    "test_tool_with_progress": progress,
    "test_tool_with_logging": logging,
    "test_logging_tool": logging,
    "test_sampling": sampling,
    "test_missing_capability": asking("capital_question"),
    "test_streaming_elicitation": asking("user_name"),
    "test_trigger_tool_change": changing(ToolsListChanged()),
    "test_trigger_prompt_change": changing(PromptsListChanged()),
    "test_input_required_result_elicitation": asking("user_name"),
    "test_input_required_result_sampling": asking("capital_question"),
    "test_input_required_result_list_roots": asking("client_roots"),
    "test_input_required_result_request_state": keeping(["confirm"], "state-ok"),
    "test_input_required_result_tampered_state": keeping(["confirm"], "confirmed"),
    "test_input_required_result_multiple_inputs": keeping(["user_name", "greeting", "client_roots"], "All is here"),
    "test_input_required_result_multi_round": rounds,
    "test_input_required_result_capabilities": by_capability,
}


def schema(name):
    return SUITE["schemas"].get(name, {"type": "object", "properties": {}})


def about(name):
    return {"name": name, "description": f"The suite's {name}."}


async def list_tools(ctx, params):
    return types.ListToolsResult.model_validate({"tools": [about(name) | {"inputSchema": schema(name)} for name in TOOLS]})


async def call_tool(ctx, params):
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await TOOLS[params.name](ctx, params)


async def list_prompts(ctx, params):
    def arguments(prompt):
        return [{"name": one, "description": f"The {one}.", "required": True} for one in prompt["arguments"]]

    prompts = [about(name) | {"arguments": arguments(prompt)} for name, prompt in SUITE["prompts"].items()]
    return types.ListPromptsResult.model_validate({"prompts": prompts})


async def get_prompt(ctx, params):
    if params.name not in SUITE["prompts"]:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    if params.name == "test_input_required_result_prompt" and given(params, "user_context") is None:
        return ask(ctx, ["user_context"])

    def filled(value):
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        if isinstance(value, str):
            return re.sub(r"\{(\w+)\}", lambda found: (params.arguments or {}).get(found[1], found[0]), value)
        return value

    return types.GetPromptResult.model_validate({"messages": [filled(one) for one in SUITE["prompts"][params.name]["messages"]]})


async def list_resources(ctx, params):
    resources = [about(uri) | {"uri": uri, "mimeType": one["mimeType"]} for uri, one in SUITE["resources"].items()]
    return types.ListResourcesResult.model_validate({"resources": resources})


async def list_templates(ctx, params):
    template = about("template") | {"uriTemplate": SUITE["template"], "mimeType": "application/json"}
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": [template]})


async def read_resource(ctx, params):
    uri = str(params.uri)
    before, after = SUITE["template"].split("{id}")
    if uri.startswith(before) and uri.endswith(after):
        number = uri[len(before) : -len(after)]
        text = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        resource = {"mimeType": "application/json", "text": text}
    elif uri in SUITE["resources"]:
        resource = SUITE["resources"][uri]
    else:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return types.ReadResourceResult.model_validate({"contents": [{"uri": uri} | resource]})


async def nothing(ctx, params):
    return types.EmptyResult()


async def complete(ctx, params):
    values = [one for one in SUITE["completions"] if one.startswith(params.argument.value)]
    return types.CompleteResult.model_validate({"completion": {"values": values, "total": len(values), "hasMore": False}})


server = Server(
    "conformance-fixture",
    version="1.0.0",
    get_tool_input_schema=schema,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_list_resources=list_resources,
    on_list_resource_templates=list_templates,
    on_read_resource=read_resource,
    on_subscribe_resource=nothing,
    on_unsubscribe_resource=nothing,
    on_set_logging_level=nothing,
    on_completion=complete,
    on_subscriptions_listen=ListenHandler(bus),
)
server.middleware.append(RequestStateBoundary(RequestStateSecurity(keys=[secrets.token_bytes(32)]), default_audience=server.name))


class Listening(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


Listening(uvicorn.Config(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")).run()
