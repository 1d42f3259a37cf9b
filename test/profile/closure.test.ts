import { describe, expect, it } from 'vitest'
import { codeOf, EXECUTABLE, elf, type Given, profileOf, resolveOn, type Tree } from './fake.js'

/** Paths that the closure grants besides the system's. */
const closure = (argv: string[], tree: Tree = {}, given: Given = {}) =>
  resolveOn({ argv, tree, cwd: '/home/u/app', ...given })
    .grants.filter((g) => g.origin !== 'closure: system')
    .map((g) => g.path)

const WRITABLE = profileOf({ filesystem: { allowedPaths: ['$CWD'] } })
const NODE = EXECUTABLE('#!/usr/bin/env node\n')

describe('closure of a command', () => {
  it('is the system alone for a system command', () => {
    const profile = resolveOn({ argv: ['bash', '-c', 'true'] })
    expect(profile.grants.map((g) => `${g.access} ${g.as} ${g.path}`)).toEqual([
      'ro other /etc/ld.so.cache',
      'ro other /etc/ssl/certs',
      'ro other /usr'
    ])
    expect(profile.symlinks.map((l) => `${l.path} -> ${l.target}`)).toEqual([
      '/bin -> usr/bin',
      '/etc/localtime -> /usr/share/zoneinfo/UTC',
      '/lib -> usr/lib'
    ])
  })

  it('grants /bin as a folder where it is one', () => {
    const tree = { '/bin': null, '/bin/busybox': elf() }
    expect(resolveOn({ argv: ['busybox'], tree }).grants.map((g) => g.path)).toContain('/bin')
  })

  it.each<[string, string[], Tree, string[]]>([
    ['a script in its package', ['node', 'server.js'], {}, ['/home/u/app']],
    ['a script without its extension', ['node', './server'], {}, ['/home/u/app']],
    ['the folder of a script', ['node', '.'], {}, ['/home/u/app']],
    [
      'flags before the script',
      ['node', '--import', 'x', '-C', 'dev', '--no-warnings', 'server.js'],
      {},
      ['/home/u/app']
    ],
    ['code instead of a script', ['node', '-e', '1', 'server.js'], {}, []],
    ['a script that is not there', ['node', '/home/u/other.js'], {}, []],
    [
      'a marker package.json below the real one',
      ['node', '/srv/p/dist/x.js'],
      {
        '/srv/p/package.json': '{"name":"p"}',
        '/srv/p/dist/package.json': '{"type":"module"}',
        '/srv/p/dist/x.js': ''
      },
      ['/srv/p']
    ],
    ['a lone script', ['node', '/srv/s/x.js'], { '/srv/s/x.js': '', '/srv/s/other': '' }, ['/srv/s/x.js']],
    [
      'a lone script with node_modules',
      ['node', '/srv/s/x.js'],
      { '/srv/s/x.js': '', '/srv/s/node_modules/a': null },
      ['/srv/s/node_modules', '/srv/s/x.js']
    ],
    [
      'a script in home with a package.json',
      ['node', '~/x.js'.replace('~', '/home/u')],
      { '/home/u/x.js': '', '/home/u/package.json': '{"name":"h"}', '/home/u/node_modules/a': null },
      ['/home/u/node_modules', '/home/u/x.js']
    ],
    [
      'hoisted node_modules',
      ['node', '/srv/m/packages/a/x.js'],
      {
        '/srv/m/packages/a/x.js': '',
        '/srv/m/packages/a/package.json': '{"name":"a"}',
        '/srv/m/node_modules/b': null,
        '/srv/m/secret': ''
      },
      ['/srv/m/node_modules', '/srv/m/packages/a']
    ],
    [
      'workspace packages',
      ['node', '/srv/m/packages/a/x.js'],
      {
        '/srv/m/packages/a/x.js': '',
        '/srv/m/packages/a/package.json': '{"name":"a"}',
        '/srv/m/node_modules/@s/b': '-> ../../packages/b',
        '/srv/m/packages/b/package.json': '{"name":"@s/b"}',
        '/srv/m/packages/c/package.json': '{}'
      },
      ['/srv/m/node_modules', '/srv/m/packages/a', '/srv/m/packages/b']
    ],
    [
      'a linked folder that is no package',
      ['node', 'server.js'],
      { '/home/u/app/node_modules/b': '-> /data', '/data/x': '' },
      ['/home/u/app']
    ],
    [
      'a node_modules/.bin command',
      ['/srv/w/node_modules/.bin/tool'],
      {
        '/srv/w/node_modules/.bin/tool': '-> ../tool/cli.js',
        '/srv/w/node_modules/tool/cli.js': NODE,
        '/srv/w/node_modules/tool/package.json': '{"name":"tool"}',
        '/srv/w/package.json': '{"name":"w"}'
      },
      ['/srv/w/node_modules']
    ],
    [
      'a preloaded package and file',
      ['node', '--import', 'tsx', '-r', '/srv/hook/h.js', 'server.js'],
      {
        '/home/u/app/node_modules/tsx': '-> /srv/tsx',
        '/srv/tsx/package.json': '{"name":"tsx"}',
        '/srv/hook/h.js': ''
      },
      ['/home/u/app', '/srv/hook/h.js', '/srv/tsx']
    ],
    ['env as the command', ['env', 'A=1', 'node', 'server.js'], {}, ['/home/u/app']],
    [
      'env -S in a script',
      ['/srv/p/x'],
      { '/srv/p/x': EXECUTABLE('#!/usr/bin/env -S node --no-warnings\n'), '/srv/p/package.json': '{"name":"p"}' },
      ['/srv/p']
    ],
    [
      'tsx',
      ['/srv/w/node_modules/.bin/tsx', 'watch', '/srv/t/x.ts'],
      {
        '/srv/w/node_modules/.bin/tsx': '-> ../tsx/cli.mjs',
        '/srv/w/node_modules/tsx/cli.mjs': NODE,
        '/srv/w/node_modules/tsx/package.json': '{"name":"tsx"}',
        '/srv/t/x.ts': '',
        '/srv/t/package.json': '{"name":"t"}'
      },
      ['/srv/t', '/srv/w/node_modules']
    ],
    [
      'a shell script alone',
      ['bash', '/srv/s/x.sh'],
      { '/srv/s/x.sh': '', '/srv/s/package.json': '{}' },
      ['/srv/s/x.sh']
    ],
    [
      'a python project',
      ['python3', '-u', '-X', 'dev', '/srv/py/src/x.py'],
      { '/srv/py/src/x.py': '', '/srv/py/pyproject.toml': '' },
      ['/srv/py']
    ],
    [
      'a lone python script',
      ['python3', '/srv/py/x.py'],
      { '/srv/py/x.py': '', '/srv/py/other.py': '' },
      ['/srv/py/x.py']
    ],
    ['python -c', ['python3', '-c', 'x', '/srv/py/x.py'], { '/srv/py/x.py': '' }, []],
    [
      'python -m of the working directory',
      ['python3', '-m', 'app.main'],
      { '/home/u/app/app/main.py': '' },
      ['/home/u/app']
    ],
    ['python -m of the library', ['python3', '-m', 'http.server'], {}, []],
    [
      'user site packages',
      ['python3', '-c', 'x'],
      { '/home/u/.local/lib/python3.11/site-packages/a': null, '/home/u/.local/share/x': '' },
      ['/home/u/.local/lib/python3.11']
    ]
  ])('%s', (_what, argv, tree, paths) => expect(closure(argv, tree)).toEqual(paths))
})

describe('closure of an installation', () => {
  const nvm: Tree = {
    '/home/u/.nvm/versions/node/v22/bin/node': elf(),
    '/home/u/.nvm/versions/node/v22/lib/node_modules/npm/package.json': '{"name":"npm"}',
    '/home/u/.nvm/versions/node/v22/lib/node_modules/npm/bin/npx-cli.js': NODE,
    '/home/u/.nvm/versions/node/v22/bin/npx': '-> ../lib/node_modules/npm/bin/npx-cli.js',
    '/home/u/.nvm/token': 'x',
    '/home/u/.npm/_npx/x': 'x',
    '/home/u/.npm/_cacache/x': 'x',
    '/home/u/.npmrc': 'token'
  }
  const PATH = '/home/u/.nvm/versions/node/v22/bin:/usr/bin'
  const withPath = (value: string) => ({ env: { PATH: value } })

  it('nvm: the prefix of that version only', () => {
    expect(closure(['node', '-e', '1'], nvm, withPath(PATH))).toEqual(['/home/u/.nvm/versions/node/v22'])
  })

  it('npx: its own package and the caches', () => {
    const paths = ['/home/u/.npm/_cacache', '/home/u/.npm/_npx', '/home/u/.nvm/versions/node/v22']
    expect(closure(['npx', '-y', '@s/tool@1.0.0', 'x'], nvm, withPath(PATH))).toEqual(paths)
    const local: Tree = {
      '/home/u/app/node_modules/.bin/tool': '-> ../tool/x.js',
      '/home/u/app/node_modules/tool/x.js': NODE
    }
    expect(closure(['npx', '-y', '@s/tool@1.0.0', 'x'], { ...nvm, ...local }, withPath(PATH))).toEqual(
      [...paths, '/home/u/app'].sort()
    )
  })

  it('npx of a local package whose program has another name', () => {
    const local: Tree = { '/srv/w/node_modules/@s/tool/package.json': '{"name":"@s/tool"}', '/srv/w/sub/x': '' }
    const given = { ...withPath(PATH), cwd: '/srv/w/sub' }
    expect(closure(['npx', '@s/tool@1.0.0'], { ...nvm, ...local }, given)).toContain('/srv/w/node_modules')
    expect(closure(['npx', '@s/other'], { ...nvm, ...local }, given)).not.toContain('/srv/w/node_modules')
  })

  it('npx of what it has downloaded: the program itself, which needs neither its cache nor the registry', () => {
    // The folder's name is the start of the SHA-512 of what was asked for.
    const folder = '/home/u/.npm/_npx/e043f9ffa1e460ef/node_modules'
    const cached = (bin: unknown): Tree => ({
      ...nvm,
      [`${folder}/@s/tool/package.json`]: JSON.stringify({ name: '@s/tool', bin }),
      [`${folder}/@s/tool/x.js`]: NODE,
      [`${folder}/.bin/tool`]: '-> ../@s/tool/x.js',
      [`${folder}/.bin/other`]: '-> ../@s/tool/x.js'
    })
    const run = (argv: string[], tree: Tree) => resolveOn({ argv, tree, ...withPath(PATH) }).command
    const found = (name: string) => ({ file: `${folder}/.bin/${name}`, argv: [`${folder}/.bin/${name}`, 'a', '-b'] })
    const asked = ['npx', '-y', '@s/tool@1.0.0', 'a', '-b']
    expect(run(asked, cached('x.js'))).toMatchObject(found('tool'))
    expect(run(asked, cached({ other: 'x.js' }))).toMatchObject(found('other'))
    expect(run(asked, cached({ tool: 'x.js', other: 'x.js' }))).toMatchObject(found('tool'))
    expect(closure(asked, cached('x.js'), withPath(PATH))).toEqual([
      '/home/u/.npm/_cacache',
      '/home/u/.npm/_npx',
      '/home/u/.nvm/versions/node/v22'
    ])
    const npx = { file: '/home/u/.nvm/versions/node/v22/bin/npx', argv: asked }
    for (const bin of [{ a: 'x.js', b: 'x.js' }, { '../../x': 'x.js' }, { gone: 'x.js' }, 7, undefined])
      expect(run(asked, cached(bin))).toMatchObject(npx)
    expect(run(['npx', '@s/tool'], cached('x.js'))).toMatchObject({ argv: ['npx', '@s/tool'] })
  })

  it('fnm: a link in /run is a link in the jail', () => {
    const tree: Tree = {
      '/run/fnm/1': '-> /home/u/.fnm/v22',
      '/home/u/.fnm/v22/bin/node': elf(),
      '/home/u/.fnm/v22/lib/node_modules/npm': null
    }
    const profile = resolveOn({ argv: ['node', '-e', '1'], tree, ...withPath('/run/fnm/1/bin:/usr/bin') })
    expect(profile.command.file).toBe('/run/fnm/1/bin/node')
    expect(profile.symlinks).toContainEqual(expect.objectContaining({ path: '/run/fnm/1', target: '/home/u/.fnm/v22' }))
    expect(profile.grants.map((g) => g.path)).toContain('/home/u/.fnm/v22')
  })

  it('pyenv shims: pyenv', () => {
    const tree: Tree = { '/home/u/.pyenv/shims/python3': EXECUTABLE('#!/usr/bin/env bash\n') }
    expect(closure(['python3', '-c', '1'], tree, withPath('/home/u/.pyenv/shims:/usr/bin'))).toEqual(['/home/u/.pyenv'])
  })

  it('a binary below a shared prefix: its file alone', () => {
    const tree: Tree = {
      '/home/u/.local/bin/tool': elf(),
      '/home/u/.local/share/keyrings/x': 'x',
      '/home/u/.local/lib/x': 'x'
    }
    expect(closure(['/home/u/.local/bin/tool'], tree)).toEqual(['/home/u/.local/bin/tool'])
    expect(closure(['/home/u/bin/tool'], { '/home/u/bin/tool': elf(), '/home/u/lib/x': 'x' })).toEqual([
      '/home/u/bin/tool'
    ])
  })

  it('a binary below /opt: its file and libraries', () => {
    expect(closure(['/opt/t/bin/t'], { '/opt/t/bin/t': elf(), '/opt/t/lib/l.so': 'x', '/opt/t/data': 'x' })).toEqual([
      '/opt/t/bin/t',
      '/opt/t/lib'
    ])
  })

  const venv: Tree = {
    '/home/u/app/.venv/pyvenv.cfg': 'home = /home/u/py/3.12/bin\nversion = 3.12\n',
    '/home/u/app/.venv/bin/python': '-> /home/u/py/3.12/bin/python3.12',
    '/home/u/app/.venv/bin/tool': EXECUTABLE('#!/home/u/app/.venv/bin/python\n'),
    '/home/u/py/3.12/bin/python3.12': elf(),
    '/home/u/py/3.12/lib/python3.12/os.py': ''
  }

  it('venv: the environment, its base interpreter and editable installs', () => {
    const editable = {
      '/home/u/app/.venv/lib/python3.12/site-packages/e.pth': '/srv/src\nimport x\n',
      '/srv/src/m.py': ''
    }
    const paths = ['/home/u/app/.venv', '/home/u/py/3.12']
    expect(closure(['.venv/bin/python', '-c', '1'], venv)).toEqual(paths)
    expect(closure(['.venv/bin/tool'], { ...venv, ...editable })).toEqual([...paths, '/srv/src'])
  })

  it('venv in a writable project: the base interpreter, but nothing else it points to', () => {
    const given = { profile: WRITABLE }
    expect(closure(['.venv/bin/python', '-c', '1'], venv, given)).toEqual(['/home/u/app', '/home/u/py/3.12'])
    const planted: Tree = {
      '/home/u/app/.venv/pyvenv.cfg': 'home = /home/u/secret/bin\n',
      '/home/u/secret/bin/x': '',
      '/home/u/app/.venv/lib/python3.12/site-packages/e.pth': '/home/u/secret\n'
    }
    expect(closure(['.venv/bin/python', '-c', '1'], { ...venv, ...planted }, given)).toEqual([
      '/home/u/app',
      '/home/u/py/3.12'
    ])
  })
})

describe('an earlier payload cannot steer the closure', () => {
  const given = { profile: WRITABLE }

  it.each<[string, string[], Tree]>([
    [
      'a script that became a link',
      ['node', 'x.js'],
      {
        '/home/u/app/x.js': '-> /home/u/other/x.js',
        '/home/u/other/x.js': '',
        '/home/u/other/package.json': '{"name":"o"}'
      }
    ],
    [
      'a command that became a link',
      ['./run'],
      { '/home/u/app/run': '-> /home/u/other/run', '/home/u/other/run': elf() }
    ],
    [
      'a "#!" line that leads out',
      ['./run'],
      { '/home/u/app/run': EXECUTABLE('#!/home/u/other/run\n'), '/home/u/other/run': elf() }
    ],
    [
      'a python script that became a link',
      ['python3', 'x.py'],
      { '/home/u/app/x.py': '-> /home/u/other/x.py', '/home/u/other/x.py': '' }
    ]
  ])('%s', (_what, argv, tree) => {
    expect(codeOf(() => closure(argv, tree, given))).toBe('QI_GRANT_LINK')
    // Control: without the writable grant the same layout is fine.
    expect(codeOf(() => closure(argv, tree))).toBe('none')
  })

  it('a removed package.json does not widen the package to the parent folder', () => {
    const tree: Tree = { '/srv/code/package.json': '{"name":"all"}', '/srv/code/app/x.js': '', '/srv/code/secret': '' }
    expect(closure(['node', 'x.js'], tree, { ...given, cwd: '/srv/code/app' })).toEqual(['/srv/code/app'])
    expect(closure(['node', 'x.js'], tree, { cwd: '/srv/code/app' })).toEqual(['/srv/code'])
  })

  it('links planted in node_modules are left out', () => {
    const tree: Tree = {
      '/home/u/app/node_modules/o': '-> /home/u/other',
      '/home/u/other/package.json': '{"name":"o"}'
    }
    expect(closure(['node', 'server.js'], tree, given)).toEqual(['/home/u/app'])
    expect(closure(['node', 'server.js'], tree)).toEqual(['/home/u/app', '/home/u/other'])
  })
})

describe('a closure never grants what is personal', () => {
  it.each<[string, string[], Tree]>([
    ['a script in a credential folder', ['node', '/home/u/.ssh/x.js'], { '/home/u/.ssh/x.js': '' }],
    ['a command in a credential folder', ['/home/u/.ssh/x'], { '/home/u/.ssh/x': elf() }],
    ['a key as a script', ['bash', '/srv/k'], { '/srv/k': '-> /home/u/.ssh/id_ed25519' }]
  ])('refuses %s', (_what, argv, tree) => expect(codeOf(() => closure(argv, tree))).toBe('QI_GRANT_TOO_WIDE'))

  it.each<[string, string[], Tree]>([
    [
      'home by a linked package',
      ['node', 'server.js'],
      { '/home/u/app/node_modules/h': '-> /home/u', '/home/u/package.json': '{"name":"h"}' }
    ],
    [
      '/ by a linked package',
      ['node', 'server.js'],
      { '/home/u/app/node_modules/h': '-> /', '/package.json': '{"name":"h"}' }
    ],
    [
      '.config as a package',
      ['node', '/home/u/.config/x.js'],
      { '/home/u/.config/x.js': '', '/home/u/.config/package.json': '{"name":"c"}', '/home/u/.config/gh/hosts.yml': '' }
    ]
  ])('leaves out %s', (_what, argv, tree) => {
    const paths = closure(argv, tree)
    expect(paths.filter((p) => ['/', '/home', '/home/u', '/home/u/.config'].includes(p))).toEqual([])
    expect(paths.length).toBe(1)
  })
})
