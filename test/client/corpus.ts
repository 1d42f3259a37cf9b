/** Configurations as people and clients have them, by what is special about each. */
export const CORPUS: Record<string, string> = {
  'two spaces, as clients write it': `{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/me/notes", "/srv/data"]
    },
    "github": {
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-github"
      ],
      "env": {
        "GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_secret"
      }
    }
  }
}
`,
  'comments and trailing commas': `// my servers
{
  /* one by one */
  "servers": {
    "memory": {
      "type": "stdio", // by command
      "command": "npx" /* from the registry */, // kept
      "args": [ // none of them secret
        "-y", /* yes */ "@modelcontextprotocol/server-memory", // last
      ],
      "env": { "MEMORY_FILE_PATH": "\${workspaceFolder}/m.jsonl", },
      "dev": { "watch": "x" },
    },
  },
  "inputs": [{ "type": "promptString", "id": "token", "password": true },],
}`,
  'tabs and args before the command':
    '{\n\t"mcpServers": {\n\t\t"a": {\n\t\t\t"args": ["x"],\n\t\t\t"command": "uvx"\n\t\t}\n\t}\n}\n',
  CRLF: '{\r\n  "mcpServers": {\r\n    "a": {\r\n      "command": "srv"\r\n    }\r\n  }\r\n}\r\n',
  'a byte order mark': '\ufeff{ "mcpServers": { "a": { "command": "srv", "args": ["x"] } } }',
  'other scripts and escapes':
    '{"mcpServers":{"сервер 🚀":{"command":"/opt/\\u00e4pp/sérv\\/er","args":["日本","a\\u0000b","\\ud83d\\ude00"],"env":{"NAME":"ü"}},"b":{"command":"/opt/\\u00e4pp/sérv\\/er","args":["日本","\\ud83d\\ude00 \\"q\\""]}}}',
  'no args, in lines':
    '{\n    "mcpServers": {\n        "a": {\n            "command": "srv",\n        },\n        "b": {\n            "command": "srv"\n        }\n    }\n}',
  'no args, in one line': '{"mcpServers":{"a":{"command":"srv","env":{}},"b":{"env":{},"command":"srv"}}}',
  'empty args':
    '{"mcpServers":{"a":{"command":"srv","args":[]},"b":{"command":"srv","args":[ /* none */ ]},"c":{"args":[\n],"command":"srv"}}}',
  'no servers': '{ "theme": "dark", "mcpServers": {} }',
  'no object of servers': '{ "mcpServers": null }',
  'an empty file': '',
  'only a comment': '// nothing yet\n',
  'keys twice elsewhere':
    '{"a":1,"a":2,"mcpServers":{"x":{"command":"srv","note":1,"note":2,"args":["a"],"env":{"A":"1","A":"2"}}}}',
  'what cannot be wrapped':
    '{"mcpServers":{"r":{"type":"http","url":"https://example.com/mcp"},"s":{"url":"https://example.com/sse"},"d":{"command":"docker","args":["run","-i","img"]},"two":{"command":"a","command":"b"},"t":{"command":"a"},"t":{"command":"b"},"n":{"command":"x","args":[1]},"both":{"command":"a","url":"https://x"},"e":{"command":"a","env":{"NODE_OPTIONS":"-r ./x.js"}},"nil":null}}',
  'names of the prototype':
    '{"mcpServers":{"__proto__":{"command":"srv"},"constructor":{"command":"srv","__proto__":{"command":"evil"},"args":["x"]},"toString":{"command":"__proto__"}}}',
  'projects of Claude Code':
    '{"numStartups":7,"projects":{"/home/me/a":{"mcpServers":{"x":{"type":"stdio","command":"srv","args":["1"],"env":{}}}},"/home/me/b":{"mcpServers":{"x":{"command":"srv2"}}},"/c":{"allowedTools":[]}},"mcpServers":{"x":{"command":"srv3","args":[]}}}',
  'a megabyte': `{"mcpServers":{"a":{"command":"srv","args":["x"]}},"history":[${Array.from({ length: 20_000 }, (_, i) => `{"display":"line ${i} of what was said before"}`).join(',')}]}`
}
