import { QiError } from '../errors.js'
import {
  type FieldType,
  LAYOUT,
  PLAN_MAGIC,
  PLAN_MAX_BYTES,
  PLAN_MAX_ITEMS,
  PLAN_VERSION,
  type Plan
} from './layout.gen.js'

/** Texts of a plan may be given as bytes: arguments and environment need not be UTF-8. */
type Text = string | Uint8Array

interface Reference {
  offset: number
  length: number
}

const SIZES = { u32: 4, u64: 8, str: 8, bytes: 8 } as const

/** Numbers by a DataView, texts by `write`: much quicker than other ways in functions that run once. */
class Encoder {
  private buffer = Buffer.alloc(64 * 1024)
  private view = viewOf(this.buffer)
  private end = 0
  private readonly known = new Map<string, Reference>()

  reserve(size: number): number {
    const offset = Math.ceil(this.end / 8) * 8
    this.end = offset + size
    if (this.end > PLAN_MAX_BYTES) {
      throw new QiError('QI_PLAN_TOO_LARGE', `the plan would be larger than ${PLAN_MAX_BYTES} bytes`, {
        hint: 'shorten the arguments, the environment or the list of paths'
      })
    }
    if (this.end > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(this.end, this.buffer.length * 2))
      this.buffer.copy(larger)
      this.buffer = larger
      this.view = viewOf(larger)
    }
    return offset
  }

  struct(name: string, value: Record<string, unknown>, at: number): void {
    const layout = LAYOUT[name]
    if (!layout) throw new TypeError(`no struct ${name}`)
    for (const field of layout.fields) this.field(field.type, value[field.name], at + field.offset)
  }

  finish(): Buffer {
    return this.buffer.subarray(0, this.end)
  }

  private field(type: FieldType, value: unknown, at: number): void {
    if (type === 'u32') this.u32(value === undefined ? 0 : (value as number), at)
    else if (type === 'u64') this.u64(value as bigint, at)
    else if (type === 'str') this.reference(this.text(value as Text), at)
    else if (type === 'bytes') this.reference(this.bytes(value as Uint8Array), at)
    else this.list(type.list, value as unknown[], at)
  }

  /** A DataView would write what is left of a number that does not fit. */
  private u32(value: number, at: number): void {
    if (!(value >= 0 && value <= 0xffffffff)) throw new RangeError(`${value} is no unsigned number of 32 bits`)
    this.view.setUint32(at, value, true)
  }

  private u64(value: bigint, at: number): void {
    if (!(value >= 0n && value <= 0xffffffffffffffffn))
      throw new RangeError(`${value} is no unsigned number of 64 bits`)
    this.view.setBigUint64(at, value, true)
  }

  private reference({ offset, length }: Reference, at: number): void {
    this.u32(offset, at)
    this.u32(length, at + 4)
  }

  private list(item: string, values: unknown[], at: number): void {
    if (values.length > PLAN_MAX_ITEMS) {
      throw new QiError('QI_PLAN_TOO_LARGE', `a plan list has ${values.length} items, more than ${PLAN_MAX_ITEMS}`, {
        hint: 'give fewer arguments, variables or paths'
      })
    }
    const size = item in SIZES ? SIZES[item as keyof typeof SIZES] : (LAYOUT[item]?.size ?? 0)
    const offset = this.reserve(size * values.length)
    this.reference({ offset, length: values.length }, at)
    values.forEach((value, i) => {
      // Each argument has bytes of its own: a reader refuses a plan whose references come to many times its size.
      if (item === 'str') this.reference(this.write(value as Text), offset + i * size)
      else if (item in SIZES) this.field(item as FieldType, value, offset + i * size)
      else this.struct(item, value as Record<string, unknown>, offset + i * size)
    })
  }

  private text(value: Text): Reference {
    const key = typeof value === 'string' ? value : undefined
    const seen = key === undefined ? undefined : this.known.get(key)
    if (seen) return seen
    const made = this.write(value)
    if (key !== undefined) this.known.set(key, made)
    return made
  }

  private write(value: Text): Reference {
    if (typeof value === 'string' ? value.includes('\0') : value.includes(0))
      throw new QiError('QI_PLAN_TEXT', 'a text of the plan holds a NUL byte')
    const length = Buffer.byteLength(value)
    const offset = this.reserve(length + 1)
    if (typeof value === 'string') this.buffer.write(value, offset)
    else this.buffer.set(value, offset)
    return { offset, length }
  }

  private bytes(value: Uint8Array): Reference {
    const offset = this.reserve(value.length)
    this.buffer.set(value, offset)
    return { offset, length: value.length }
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView => new DataView(buffer, byteOffset, byteLength)

/**
 * The flat form that qi-monitor reads (schema/plan.json): little-endian, 8-byte aligned, references as offset and length.
 * @throws QiError QI_PLAN_TOO_LARGE, QI_PLAN_TEXT
 */
export function encodePlan(plan: Plan): Uint8Array {
  return encodeStruct('Plan', { ...plan, magic: PLAN_MAGIC, version: PLAN_VERSION })
}

/** One that begins with its magic number, its version and the size of the whole. */
export function encodeStruct(name: string, value: Record<string, unknown>): Buffer {
  const encoder = new Encoder()
  encoder.struct(name, { ...value, size: 0 }, encoder.reserve(LAYOUT[name]?.size ?? 0))
  const bytes = encoder.finish()
  bytes.writeUInt32LE(bytes.length, 8)
  return bytes
}
