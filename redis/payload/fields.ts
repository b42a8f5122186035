/**
 * A stream entry's fields as they come from Redis: bytes, the payload's own mixed with what only travels along. Here a consumer
 * spends most of its time and makes most of its garbage. So nothing is made per field but the text that is kept. Nothing of the
 * bytes is kept: their memory serves the next reply.
 *
 * Producers repeat themselves: the field at a place nearly always has the name that the last entry's had there. Its bytes are
 * compared with that name's before anything is decoded.
 */
import { isUtf8 } from 'node:buffer'
import { isNamedBy } from '../../api/fieldnames.ts'
import { quotedName } from '../../api/printable.ts'
import { beginOf, bytesOf, checkHeld, type FieldList } from '../reply/fieldlist.ts'
import { isOptionField } from './request.ts'

/** W3C Trace Context as it travelled with the entry. */
export interface Trace {
  readonly traceparent?: string
  readonly tracestate?: string
}

/** The payload's own fields, in order; a name may occur twice. */
export interface EntryFields {
  readonly names: readonly string[]
  readonly texts: readonly string[]
  /** The metadata that the resource keeps beside the payload. Undefined: none. */
  readonly metadata?: Metadata
}

export type Metadata = Readonly<Record<string, string>>

/** An entry before its fields are taken for text. */
export interface Envelope {
  /** Of all names and values. */
  readonly bytes: number
  /** Number of fields of the payload and its metadata. */
  readonly count: number
  readonly trace: Trace
  /** How often it came back from the dead letters. */
  readonly redrives: number
  /** Field and value of each option of the request (request.ts). Undefined: none. */
  readonly options?: readonly (readonly [string, Buffer | string])[]
  /** Throws Unreadable, naming the field. */
  fields(): EntryFields
}

/** A field that cannot be read without loss. The message names it. */
export class Unreadable extends Error {}

export type FieldKind = 'Own' | 'Metadata' | 'traceparent' | 'tracestate' | 'Redrives' | 'Option' | 'Ignored'

/** Sorts each name outside this product's own: part of the payload, metadata, or ignored. */
export type FieldSorter = (name: string) => 'Own' | 'Metadata' | 'Ignored'

interface KnownName {
  readonly bytes: Buffer
  readonly kind: FieldKind
  /** Undefined where the bytes are no UTF-8. */
  readonly text: string | undefined
}

export const noTrace: Trace = Object.freeze({})

/** A reader that remembers the last entry's names. */
export function createFieldReader(sort: FieldSorter): (list: FieldList) => Envelope {
  const known: KnownName[] = []

  const nameAt = (place: number, source: Buffer, begin: number, end: number): KnownName => {
    const last = known[place]
    if (last !== undefined && isSame(last.bytes, source, begin, end)) return last
    const name = knownName(source.subarray(begin, end), sort)
    // An entry of very many fields is refused, and must not be remembered for ever.
    if (place < rememberedPlaces && end - begin <= rememberedBytes) known[place] = name
    return name
  }

  /** @param use called with each field: what its name is, and where its value begins and ends */
  const eachField = ({ table, from, to }: FieldList, use: (name: KnownName, begin: number, end: number) => void): void => {
    const { bytes, ends } = table
    let begin = beginOf(table, from)
    for (let at = from; at + 1 < to; at += 2) {
      const middle = ends[at] ?? 0
      const end = ends[at + 1] ?? 0
      use(nameAt((at - from) >> 1, bytes, begin, middle), middle, end)
      begin = end
    }
  }

  return (list) => {
    checkHeld(list)
    const { bytes: source } = list.table
    let [count, redrives] = [0, 0]
    let trace = noTrace
    let options: [string, Buffer][] | undefined
    eachField(list, (name, begin, end) => {
      const { kind } = name
      switch (kind) {
        case 'Own':
        case 'Metadata':
          count += 1
          break
        case 'traceparent':
        case 'tracestate':
          trace = { ...trace, [kind]: source.toString('latin1', begin, end) }
          break
        case 'Redrives':
          redrives = countOf(source.subarray(begin, end))
          break
        case 'Option':
          options ??= []
          options.push([name.bytes.toString('latin1'), Buffer.from(source.subarray(begin, end))])
          break
        case 'Ignored':
          break
        default:
          kind satisfies never
      }
    })
    const fields = () => {
      const names: string[] = []
      const texts: string[] = []
      let metadata: [string, string][] | undefined
      eachField(list, ({ kind, text }, begin, end) => {
        if (kind !== 'Own' && kind !== 'Metadata') return
        if (text === undefined) throw new Unreadable('a field name is not UTF-8 text')
        const value = textIn(source, begin, end, text)
        if (kind === 'Metadata') {
          metadata ??= []
          metadata.push([text, value])
        } else {
          names.push(text)
          texts.push(value)
        }
      })
      return metadata === undefined ? { names, texts } : { names, texts, metadata: once(metadata) }
    }
    const envelope = { bytes: bytesOf(list), count, trace, redrives, fields }
    return options === undefined ? envelope : { ...envelope, options }
  }
}

export const rememberedPlaces = 64
export const rememberedBytes = 64

/** Names are short: this loop ends before a native comparison, such as Buffer's, would begin. */
function isSame(name: Buffer, source: Buffer, begin: number, end: number): boolean {
  if (name.length !== end - begin) return false
  for (let i = 0; i < name.length; i++) if (name[i] !== source[begin + i]) return false
  return true
}

export function once(pairs: readonly (readonly [string, string])[]): Metadata {
  const metadata = new Map(pairs)
  const [first] = pairs.filter(([name, value]) => metadata.get(name) !== value)
  if (metadata.size < pairs.length) throw new Unreadable(`field ${show(first?.[0] ?? pairs[0]?.[0] ?? '')} occurs twice`)
  return Object.fromEntries(metadata)
}

function knownName(bytes: Buffer, sort: FieldSorter): KnownName {
  const text = isUtf8(bytes) ? bytes.toString() : undefined
  const own = ownKind(bytes.toString('latin1', 0, longestOwnName))
  // A copy: the original is a view of a whole read from the socket.
  return { bytes: Buffer.from(bytes), kind: own ?? sort(text ?? bytes.toString('latin1')), text }
}

/** Longer than every name of this product's own. */
const longestOwnName = 32

/** Sorts the names that belong to this product or the standard in every pipeline. */
export function ownKind(name: string): FieldKind | undefined {
  if (name === 'traceparent' || name === 'tracestate') return name
  if (name === 'sp-redrives') return 'Redrives'
  if (isOptionField(name)) return 'Option'
  return name.startsWith('sp-') ? 'Ignored' : undefined
}

/** Whether a payload's field may not have this name. */
export function isReserved(name: string): boolean {
  return ownKind(name) !== undefined
}

interface SortedNames {
  readonly encoding: 'Fields' | 'Json'
  readonly field: string
  readonly ignoreFields?: readonly string[]
  readonly metadataFields?: readonly string[]
}

/** Sorts by the resource's lists; a name in both is kept. The document of a Json payload is never left out. */
export function createFieldSorter({ encoding, field, ignoreFields = [], metadataFields = [] }: SortedNames): FieldSorter {
  if (ignoreFields.length === 0 && metadataFields.length === 0) return () => 'Own'
  return (name) => {
    if (encoding === 'Json' && name === field) return 'Own'
    if (metadataFields.some((pattern) => isNamedBy(pattern, name))) return 'Metadata'
    return ignoreFields.some((pattern) => isNamedBy(pattern, name)) ? 'Ignored' : 'Own'
  }
}

/**
 * The decoder turns invalid UTF-8 into a replacement character. The sender may also have sent that character. So only a text that
 * has one is checked.
 */
export function textOf(given: Buffer | string, name: string): string {
  return typeof given === 'string' ? given : textIn(given, 0, given.length, name)
}

function textIn(source: Buffer, begin: number, end: number, name: string): string {
  const text = source.toString('utf8', begin, end)
  if (text.includes('\uFFFD') && !isUtf8(source.subarray(begin, end))) {
    throw new Unreadable(`field ${show(name)} is not UTF-8 text`)
  }
  return text
}

/** A producer may write anything there; more than nine digits is no count. */
export function countOf(value: Buffer | string): number {
  const text = value.length <= 9 ? value.toString('latin1') : ''
  return /^\d+$/.test(text) ? Number(text) : 0
}

/** A name from outside, safe in a one-line message. */
export const show = quotedName
