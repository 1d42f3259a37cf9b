/** The seccomp part of the OCI runtime specification, with what Docker and Podman add to it in their profiles. */
import { constants } from 'node:os'
import { z } from 'zod'

const LAST_ARGUMENT = 5
const MAX_ERRNO = 4095

/** Read as big integers: a comparison is over 64 bits. */
const u64 = z.bigint('is no whole number').refine((v) => v >= 0n && v < 1n << 64n, 'does not fit into 64 bits')
const small = (most: number, what: string) =>
  z
    .bigint(`is no ${what}`)
    .refine((v) => v >= 0n && v <= BigInt(most), `is no ${what}: 0 to ${most}`)
    .transform(Number)
/** 0 would be a success that did nothing. */
const errno = small(MAX_ERRNO, 'errno').refine((v) => v > 0, 'is no errno: the call would seem to have worked')
const errnoName = z
  .string()
  .refine((name) => Object.hasOwn(constants.errno, name), 'is no errno')
  .transform((name) => constants.errno[name as keyof typeof constants.errno])

const REFUSED_ACTIONS: Record<string, string> = {
  SCMP_ACT_TRAP: 'a signal in its place is not offered: write SCMP_ACT_ERRNO or SCMP_ACT_KILL_PROCESS',
  SCMP_ACT_TRACE: 'there is no tracer to ask: write SCMP_ACT_ERRNO',
  SCMP_ACT_NOTIFY: 'qi-monitor is the only one that is asked: write SCMP_ACT_ERRNO'
}
const ACTIONS = {
  SCMP_ACT_ALLOW: 'allow',
  SCMP_ACT_LOG: 'allow',
  SCMP_ACT_ERRNO: 'errno',
  SCMP_ACT_KILL: 'kill',
  SCMP_ACT_KILL_THREAD: 'kill',
  SCMP_ACT_KILL_PROCESS: 'kill'
} as const

const action = z.string().transform((name, context) => {
  if (Object.hasOwn(ACTIONS, name)) return ACTIONS[name as keyof typeof ACTIONS]
  const message = REFUSED_ACTIONS[name] ?? `is no action: ${Object.keys(ACTIONS).join(', ')}`
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

export const OPERATORS = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ'
] as const

const argument = z
  .strictObject({
    index: small(LAST_ARGUMENT, 'argument of a system call'),
    value: u64,
    /** With MASKED_EQ `value` is the mask and this what is left under it. */
    valueTwo: u64.optional(),
    op: z.enum(OPERATORS, `is no comparison: ${OPERATORS.join(', ')}`)
  })
  .superRefine(({ op, value, valueTwo = 0n }, context) => {
    if (op === 'SCMP_CMP_MASKED_EQ' && (valueTwo & ~value) !== 0n)
      context.addIssue({ code: 'custom', path: ['valueTwo'], message: 'has bits outside the mask: it never matches' })
  })

const filter = z.strictObject({
  caps: z.array(z.string()).nullish(),
  arches: z.array(z.string()).nullish(),
  minKernel: z
    .string()
    .regex(/^\d+\.\d+$/, 'is no kernel version like 4.8')
    .nullish()
})

const rule = z
  .strictObject({
    names: z.array(z.string().min(1)).nullish(),
    name: z.string().min(1).nullish(),
    action,
    errnoRet: errno.nullish(),
    errno: errnoName.nullish(),
    args: z.array(argument).nullish(),
    comment: z.string().nullish(),
    includes: filter.nullish(),
    excludes: filter.nullish()
  })
  .refine(({ names, name }) => Boolean(names?.length) !== Boolean(name), 'needs either names or name')
  .refine(({ errnoRet, errno }) => !errnoRet || !errno || errnoRet === errno, 'errnoRet and errno differ')

// TSYNC and LOG are what happens anyway: the command has one thread when its filter is put on, and refusals are recorded.
const flag = z.enum(
  ['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_LOG'],
  'is a flag that the filter of a jail does not have'
)

export const OciSchema = z.strictObject({
  defaultAction: action,
  defaultErrnoRet: errno.nullish(),
  defaultErrno: errnoName.nullish(),
  architectures: z.array(z.string()).nullish(),
  archMap: z
    .array(z.strictObject({ architecture: z.string(), subArchitectures: z.array(z.string()).nullish() }))
    .nullish(),
  flags: z.array(flag).nullish(),
  syscalls: z.array(rule).nullish(),
  comment: z.string().nullish()
})

export type OciDocument = z.output<typeof OciSchema>
