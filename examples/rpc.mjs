import { createInterface } from 'node:readline'

/** The least that an MCP server over stdio needs: answers initialize, tools/list and tools/call from `tools`. */
export function serve(name, tools) {
  const methods = {
    initialize: ({ protocolVersion }) => ({
      protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name, version: '1.0.0' }
    }),
    ping: () => ({}),
    'tools/list': () => ({
      tools: Object.entries(tools).map(([tool, { description, properties }]) => ({
        name: tool,
        description,
        inputSchema: { type: 'object', properties }
      }))
    }),
    'tools/call': async ({ name: tool, arguments: given }) => {
      const text = await tools[tool].run(given ?? {})
      return { content: [{ type: 'text', text }] }
    }
  }
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const { id, method, params } = JSON.parse(line)
    if (id === undefined) return
    const reply = await answer(methods[method], method, params ?? {})
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...reply })}\n`)
  })
}

async function answer(method, name, params) {
  if (!method) return { error: { code: -32601, message: `no method ${name}` } }
  try {
    return { result: await method(params) }
  } catch (error) {
    return { error: { code: -32603, message: error.message } }
  }
}
