import { type CacheVariable, VariableKind } from '../plan/layout.gen.js'

type Env = Record<string, string | undefined>

/** Which variables of the caller's environment a plan was made of: those that decided something, and those only handed on. */
export class ObservedVariables {
  /** The caller's environment for whoever decides by it. */
  readonly env: Env
  private readonly decisive = new Set<string>()
  private readonly handedOn = new Set<string>()
  private known = true

  constructor(readonly caller: Env) {
    this.env = this.watch(caller)
  }

  /** `env`, whose members are the caller's: to read one is to decide by it. */
  readonly watch = (env: Env): Env => {
    return new Proxy(env, {
      get: (target, name) => {
        if (typeof name === 'string') this.decisive.add(name)
        return Reflect.get(target, name)
      },
      has: (target, name) => {
        if (typeof name === 'string') this.decisive.add(name)
        return Reflect.has(target, name)
      },
      ownKeys: (target) => {
        this.known = false // by all of them, then
        return Reflect.ownKeys(target)
      }
    })
  }

  /** To the payload, whatever it says; or not, where it is not set. */
  readonly handOn = (name: string): void => {
    this.handedOn.add(name)
  }

  /** `envp`: of the plan. Undefined where it cannot be told what decided. */
  list(envp: string[]): CacheVariable[] | undefined {
    const places = new Map(envp.map((text, at) => [text.slice(0, text.indexOf('=')), at]))
    const out = [...new Set([...this.decisive, ...this.handedOn])].map((name): CacheVariable => {
      const value = this.caller[name]
      if (value === undefined) return { kind: VariableKind.Absent, at: 0, name, value: '' }
      const at = places.get(name)
      if (this.decisive.has(name) || at === undefined) return { kind: VariableKind.Same, at: 0, name, value }
      return { kind: VariableKind.Passed, at, name, value: '' }
    })
    const isText = out.every(({ name, value }) => !/[\0\ufffd=]/.test(name) && !/[\0\ufffd]/.test(value))
    return this.known && isText ? out : undefined
  }
}
