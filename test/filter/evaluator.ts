/**
 * A classic-BPF interpreter for seccomp programs, written from seccomp(2) and the kernel's list of allowed instructions: a
 * filter is tested without a kernel, for any architecture. Anything the kernel's checker would refuse throws.
 */
export interface SeccompData {
  nr: number
  arch: number
  ip?: bigint
  args?: bigint[]
}

export interface Instruction {
  code: number
  jt: number
  jf: number
  k: number
}

export const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7, i386: 0x40000003, arm: 0x40000028 } as const

const MAX_INSTRUCTIONS = 4096
const Code = {
  ldAbs: 0x20,
  ldImm: 0x00,
  ldxImm: 0x01,
  ret: 0x06,
  and: 0x54,
  ja: 0x05,
  jeq: 0x15,
  jgt: 0x25,
  jge: 0x35,
  jset: 0x45
}
const VALID = new Set(Object.values(Code))

export function decode(bytes: Uint8Array): Instruction[] {
  if (bytes.length === 0 || bytes.length % 8) throw new Error(`a program of ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / 8 }, (_, i) => ({
    code: view.getUint16(i * 8, true),
    jt: view.getUint8(i * 8 + 2),
    jf: view.getUint8(i * 8 + 3),
    k: view.getUint32(i * 8 + 4, true)
  }))
}

/** What the kernel checks at load: known instructions, forward jumps inside the program, aligned loads, a return at the end. */
export function check(program: Instruction[]): void {
  if (program.length > MAX_INSTRUCTIONS) throw new Error(`${program.length} instructions`)
  program.forEach(({ code, jt, jf, k }, at) => {
    if (!VALID.has(code)) throw new Error(`instruction ${at}: code 0x${code.toString(16)}`)
    const furthest = code === Code.ja ? k : (code & 7) === 5 ? Math.max(jt, jf) : 0
    if (code !== Code.ret && at + 1 + furthest >= program.length)
      throw new Error(`instruction ${at} leaves the program`)
    if (code === Code.ldAbs && (k % 4 || k > 60)) throw new Error(`instruction ${at} loads at ${k}`)
  })
}

function serialise({ nr, arch, ip = 0n, args = [] }: SeccompData): DataView {
  const view = new DataView(new ArrayBuffer(64))
  view.setUint32(0, nr >>> 0, true)
  view.setUint32(4, arch, true)
  view.setBigUint64(8, ip, true)
  for (let i = 0; i < 6; i++) view.setBigUint64(16 + 8 * i, BigInt.asUintN(64, args[i] ?? 0n), true)
  return view
}

/** The 32-bit return value. */
export function run(program: Instruction[], data: SeccompData): number {
  const memory = serialise(data)
  let a = 0
  for (let pc = 0; ; pc++) {
    const instruction = program[pc]
    if (!instruction) throw new Error(`ran off the program at ${pc}`)
    const { code, jt, jf, k } = instruction
    const jump = (taken: boolean) => (pc += taken ? jt : jf)
    if (code === Code.ret) return k
    else if (code === Code.ldAbs) a = memory.getUint32(k, true)
    else if (code === Code.ldImm) a = k
    else if (code === Code.and) a = (a & k) >>> 0
    else if (code === Code.ja) pc += k
    else if (code === Code.jeq) jump(a === k)
    else if (code === Code.jgt) jump(a > k)
    else if (code === Code.jge) jump(a >= k)
    else if (code === Code.jset) jump((a & k) !== 0)
    else throw new Error(`code 0x${code.toString(16)}`)
  }
}

/** `allow`, `notify`, `kill` or `errno N`. */
export function verdict(program: Instruction[], data: SeccompData): string {
  const value = run(program, data)
  const action = (value & 0xffff0000) >>> 0
  if (action === 0x7fff0000) return 'allow'
  if (action === 0x7fc00000) return 'notify'
  if (action === 0x80000000) return 'kill'
  if (action === 0x00050000) return `errno ${value & 0xffff}`
  return `0x${value.toString(16)}`
}
