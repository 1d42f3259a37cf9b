#!/usr/bin/env python3
"""An MCP server over stdio in nothing but Python's standard library."""
import json
import sys

TOOLS = {
    "echo": ("Returns its text", {"text": {"type": "string"}}, lambda a: a["text"]),
    "readfile": ("Reads a text file", {"path": {"type": "string"}}, lambda a: open(a["path"], encoding="utf-8").read()),
}


def initialize(params):
    info = {"name": "python-stdlib", "version": "1.0.0"}
    return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}


def list_tools(_params):
    def describe(name, description, properties):
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        return {"name": name, "description": description, "inputSchema": schema}

    return {"tools": [describe(name, text, properties) for name, (text, properties, _) in TOOLS.items()]}


def call_tool(params):
    try:
        text, failed = TOOLS[params["name"]][2](params.get("arguments", {})), False
    except (KeyError, OSError) as error:
        text, failed = f"{type(error).__name__}: {error}", True
    return {"content": [{"type": "text", "text": text}], "isError": failed}


METHODS = {"initialize": initialize, "tools/list": list_tools, "tools/call": call_tool, "ping": lambda _params: {}}

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    method = METHODS.get(request["method"])
    if method:
        outcome = {"result": method(request.get("params", {}))}
    else:
        outcome = {"error": {"code": -32601, "message": f"no method {request['method']}"}}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}), flush=True)
