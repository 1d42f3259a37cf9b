import { isAbsolute, join } from 'node:path'

export const CLIENTS = ['claude-desktop', 'claude-code', 'vscode', 'cursor'] as const
export type ClientName = (typeof CLIENTS)[number]

/** A file in which a client keeps MCP servers. */
export interface Place {
  client: ClientName | 'file'
  file: string
  /** `project`: it comes with a repository, and whoever works on that uses it. */
  scope: 'user' | 'project'
  /** Members of the document that hold servers. */
  keys: string[]
  /** ~/.claude.json also has servers of single projects: `projects.FOLDER.mcpServers`. */
  projects?: boolean
}

export interface Surroundings {
  env: Record<string, string | undefined>
  home: string
  cwd: string
}

export const isClient = (name: string): name is ClientName => (CLIENTS as readonly string[]).includes(name)

/** Where the clients keep them on Linux, whether the file is there or not. */
export function placesOf(client: ClientName, { env, home, cwd }: Surroundings): Place[] {
  const given = env.XDG_CONFIG_HOME
  const config = given && isAbsolute(given) ? given : join(home, '.config') // a relative one is to be ignored, by its standard
  const place = (scope: Place['scope'], file: string, key = 'mcpServers'): Place => ({
    client,
    scope,
    file,
    keys: [key]
  })
  const project = (name: string, key?: string) => place('project', join(cwd, name), key)
  const user = (folder: string, name: string, key?: string) => place('user', join(folder, name), key)
  switch (client) {
    case 'claude-desktop':
      return [user(config, 'Claude/claude_desktop_config.json')]
    case 'claude-code':
      return [project('.mcp.json'), { ...user(home, '.claude.json'), projects: true }]
    case 'vscode':
      return [project('.vscode/mcp.json', 'servers'), user(config, 'Code/User/mcp.json', 'servers')]
    case 'cursor':
      return cwd === home
        ? [user(home, '.cursor/mcp.json')]
        : [project('.cursor/mcp.json'), user(home, '.cursor/mcp.json')]
  }
}

/** A file of any client, named by its path. */
export const placeOfFile = (file: string, { cwd }: Surroundings): Place => ({
  client: 'file',
  file: isAbsolute(file) ? file : join(cwd, file),
  scope: 'user',
  keys: ['mcpServers', 'servers'],
  projects: true
})
