/**
 * A stream entry's fields as they come from Redis: bytes, the payload's own mixed with what only travels along. This is where a consumer
 * spends most of its time and makes most of its garbage, so nothing is made here per field but the text that is kept.
 *
 * Producers repeat themselves: the field at a place nearly always has the name that the last entry's had there. Its bytes are
 * compared with that name's before anything is decoded.
 */
import { isUtf8 } from 'node:buffer'
import { quotedName } from '../../api/printable.ts'

/** W3C Trace Context as it travelled with the entry. */
export interface Trace {
  readonly traceparent?: string
  readonly tracestate?: string
}

/** The payload's own fields, in order; a name may occur twice. */
export interface EntryFields {
  readonly names: readonly string[]
  readonly texts: readonly string[]
}

/** An entry before its fields are taken for text. */
export interface Envelope {
  /** Of all names and values. */
  readonly bytes: number
  /** Fields of the payload. */
  readonly count: number
  readonly trace: Trace
  /** How often it came back from the dead letters. */
  readonly redrives: number
  /** Throws NotText, naming the field. */
  fields(): EntryFields
}

export class NotText extends Error {}

interface KnownName {
  readonly bytes: Buffer
  readonly kind: 'Own' | 'traceparent' | 'tracestate' | 'Redrives' | 'Ignored'
  /** Undefined where the bytes are no UTF-8. */
  readonly text: string | undefined
}

const noTrace: Trace = Object.freeze({})

/** A reader that remembers the last entry's names. @returns reads field, value, … as Redis replies them */
export function createFieldReader(): (flat: readonly Buffer[]) => Envelope {
  const known: KnownName[] = []

  const nameAt = (place: number, bytes: Buffer): KnownName => {
    const last = known[place]
    if (last !== undefined && isSame(last.bytes, bytes)) return last
    const name = knownName(bytes)
    // An entry of very many fields is refused, and must not be remembered for ever.
    if (place < rememberedPlaces && bytes.length <= rememberedBytes) known[place] = name
    return name
  }

  return (flat) => {
    let [bytes, count, redrives] = [0, 0, 0]
    let trace = noTrace
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const [name, value] = [flat[at] ?? empty, flat[at + 1] ?? empty]
      bytes += name.length + value.length
      const { kind } = nameAt(at >> 1, name)
      switch (kind) {
        case 'Own':
          count += 1
          break
        case 'traceparent':
        case 'tracestate':
          trace = { ...trace, [kind]: value.toString('latin1') }
          break
        case 'Redrives':
          redrives = countOf(value)
          break
        case 'Ignored':
          break
        default:
          kind satisfies never
      }
    }
    const fields = () => {
      const names: string[] = []
      const texts: string[] = []
      for (let at = 0; at + 1 < flat.length; at += 2) {
        const { kind, text } = nameAt(at >> 1, flat[at] ?? empty)
        if (kind !== 'Own') continue
        if (text === undefined) throw new NotText('a field name is not UTF-8 text')
        names.push(text)
        texts.push(textOf(flat[at + 1] ?? empty, text))
      }
      return { names, texts }
    }
    return { bytes, count, trace, redrives, fields }
  }
}

const rememberedPlaces = 64
const rememberedBytes = 64

const empty = Buffer.alloc(0)

/** Names are short: this is done before a call out of JavaScript has begun. */
function isSame(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function knownName(bytes: Buffer): KnownName {
  const text = isUtf8(bytes) ? bytes.toString() : undefined
  // A copy: the original is a view of a whole read from the socket.
  return { bytes: Buffer.from(bytes), kind: kindOf(bytes.toString('latin1', 0, 16)), text }
}

function kindOf(name: string): KnownName['kind'] {
  if (name === 'traceparent' || name === 'tracestate') return name
  if (name === 'sp-redrives') return 'Redrives'
  return name.startsWith('sp-') ? 'Ignored' : 'Own'
}

/** Whether a payload's field may not have this name. */
export function isReserved(name: string): boolean {
  return kindOf(name) !== 'Own'
}

/** A replacement character is either the sender's own or the decoder's; only then is it worth a second look. */
function textOf(bytes: Buffer, name: string): string {
  const text = bytes.toString()
  if (text.includes('\uFFFD') && !isUtf8(bytes)) throw new NotText(`field ${show(name)} is not UTF-8 text`)
  return text
}

/** A producer may write anything there; more than nine digits is no count. */
function countOf(value: Buffer): number {
  const text = value.length <= 9 ? value.toString('latin1') : ''
  return /^\d+$/.test(text) ? Number(text) : 0
}

/** A name from outside, safe in a one-line message. */
export const show = quotedName
