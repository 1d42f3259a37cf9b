import { z } from 'zod'
import { path, refuse } from './fields.js'
import { type List, readSyscall } from './syscall-names.js'

const entry = (list: List) =>
  z.string().superRefine((written, context) => {
    // Nobody's call has a longer name, and comparing with each known one takes its length squared.
    const read = readSyscall(written.slice(0, 64), list)
    if ('reason' in read) refuse(context, 'QI_SYSCALLS', read.reason, read.hint)
  })

export const syscalls = z.strictObject({
  allow: z
    .array(entry('allow'))
    .optional()
    .describe('Names and `@groups` that the built-in table refuses, and that no imported profile narrows'),
  deny: z.array(entry('deny')).optional().describe('Stronger than whatever allows it'),
  oci: path
    .optional()
    .describe('A seccomp profile as container engines take it: what it does not allow is refused, too')
})
