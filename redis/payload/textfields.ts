/**
 * Fields that are text already: an entry that is about to be sent. The result is that of their bytes (fields.ts), without making any. A lone
 * half of a surrogate pair becomes U+FFFD, as it does on the way through UTF-8.
 */
import {
  countOf,
  type EntryFields,
  type Envelope,
  type FieldKind,
  type FieldSorter,
  noTrace,
  once,
  ownKind,
  rememberedBytes,
  rememberedPlaces,
  type Trace,
} from './fields.ts'

interface KnownName {
  /** As it was given. */
  readonly given: string
  readonly text: string
  readonly bytes: number
  readonly kind: FieldKind
}

/** A reader that remembers the last entry's names. @returns a reader of field, value, … */
export function createTextReader(sort: FieldSorter): (flat: readonly string[]) => Envelope {
  const known: KnownName[] = []

  const nameAt = (place: number, given: string): KnownName => {
    const last = known[place]
    if (last !== undefined && last.given === given) return last
    const text = given.toWellFormed()
    const name = { given, text, bytes: Buffer.byteLength(text), kind: ownKind(text) ?? sort(text) }
    if (place < rememberedPlaces && name.bytes <= rememberedBytes) known[place] = name
    return name
  }

  return (flat) => {
    let [bytes, count, redrives] = [0, 0, 0]
    let trace: Trace = noTrace
    let options: [string, string][] | undefined
    const names: string[] = []
    const texts: string[] = []
    let metadata: [string, string][] | undefined
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const name = nameAt(at >> 1, flat[at] ?? '')
      const value = (flat[at + 1] ?? '').toWellFormed()
      const { kind } = name
      bytes += name.bytes + Buffer.byteLength(value)
      switch (kind) {
        case 'Own':
          count += 1
          names.push(name.text)
          texts.push(value)
          break
        case 'Metadata':
          count += 1
          metadata ??= []
          metadata.push([name.text, value])
          break
        case 'traceparent':
        case 'tracestate':
          trace = { ...trace, [kind]: Buffer.from(value).toString('latin1') }
          break
        case 'Redrives':
          redrives = countOf(value)
          break
        case 'Option':
          options ??= []
          options.push([name.text, value])
          break
        case 'Ignored':
          break
        default:
          kind satisfies never
      }
    }
    const fields = (): EntryFields => (metadata === undefined ? { names, texts } : { names, texts, metadata: once(metadata) })
    const envelope = { bytes, count, trace, redrives, fields }
    return options === undefined ? envelope : { ...envelope, options }
  }
}
