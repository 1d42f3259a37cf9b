// One MCP session with one server in its jail, by the SDK's own client: `session.mjs REQUEST`, JSON in, JSON out.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SandboxedStdioTransport } from 'qi-jail'

const { server, calls } = JSON.parse(process.argv[2])
const transport = new SandboxedStdioTransport({ stderr: 'pipe', ...server })
let stderr = ''
transport.stderr.on('data', (chunk) => {
  stderr += chunk
})
const client = new Client({ name: 'qi-jail-test', version: '1.0.0' })
await client.connect(transport)
const events = []
transport.jail.on('event', (event) => events.push(event))
const { tools } = await client.listTools()
const results = []
for (const call of calls) results.push(await client.callTool(call))
await client.close()
console.log(
  JSON.stringify({
    name: client.getServerVersion().name,
    tools: tools.map((tool) => tool.name),
    results,
    stderr,
    events: events.map(({ event }) => event.action),
    protections: Object.fromEntries(transport.jail.protections.map(({ name, state }) => [name, state])),
    exit: await transport.jail.exited
  })
)
