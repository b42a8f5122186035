/**
 * A job's options as the JSON that BullMQ's add script stores. For the specialised add they are encoded here: unpacking and
 * encoding them took a quarter of the add's time in Redis. As in template.ts, BullMQ packs a few jobs, and the parts between their
 * changing parts are kept. A template is believed only if it reproduces other jobs.
 */
import { decode } from '@msgpack/msgpack'
import type { Queue } from 'bullmq'
import { failure } from '../../../api/errors.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { type ForwardItem, sumOf } from '../item.ts'
import { type JobShape, type PartName, partsOfOptions, recordSample, samples } from './template.ts'

/** Texts that stay, and after each but the last the part that changes. */
interface JsonTemplate {
  readonly texts: readonly string[]
  readonly parts: readonly PartName[]
}

/** @param packed as BullMQ sends them. A member that it leaves undefined is nil in Lua, and so no member of the stored options. */
export function jsonOptions(packed: Buffer): string {
  return JSON.stringify(decode(packed), (_, value: unknown) => (value === null ? undefined : value))
}

/**
 * Throws Internal where BullMQ's first argument holds more than the specialised add covers: a parent, a repetition, a deduplication key.
 * @param packed as BullMQ sends it
 */
export function checkPlain(packed: Buffer): void {
  const args = decode(packed)
  const more = Array.isArray(args) ? args.slice(4).findIndex((value) => value !== null && value !== false) : 0
  if (more !== -1)
    throw failure('Internal', { detail: `BullMQ adds a job with argument ${more + 5}, which this add does not know` })
}

/** @returns undefined where the options cannot be foreseen */
export async function makeJsonTemplate(queue: Queue, target: ForwardTarget, shape: JobShape): Promise<JsonTemplate | undefined> {
  const [model, ...others] = samples(shape)
  const recorded = model && (await recordSample(queue, target, model))
  if (recorded === undefined || model === undefined) return undefined
  const template = templateOf(jsonOptions(recorded.options), target, model.item, partsOfOptions[shape])
  if (template === undefined) return undefined
  for (const other of others) {
    const expected = await recordSample(queue, target, other)
    if (expected === undefined || expected.data !== other.item.json.toString()) return undefined
    checkPlain(expected.args)
    if (fillJson(template, target, other.item) !== jsonOptions(expected.options)) return undefined
  }
  return template
}

/** Undefined where a part is not there exactly once. */
function templateOf(
  json: string,
  target: ForwardTarget,
  item: ForwardItem,
  names: readonly PartName[],
): JsonTemplate | undefined {
  const found = names.map((name) => {
    const part = partOf(name, target, item)
    return { name, from: json.indexOf(part), last: json.lastIndexOf(part), length: part.length }
  })
  if (found.some(({ from, last }) => from === -1 || from !== last)) return undefined
  found.sort((a, b) => a.from - b.from)
  const texts: string[] = []
  let at = 0
  for (const { from, length } of found) {
    texts.push(json.slice(at, from))
    at = from + length
  }
  return { texts: [...texts, json.slice(at)], parts: found.map(({ name }) => name) }
}

export function fillJson({ texts, parts }: JsonTemplate, target: ForwardTarget, item: ForwardItem): string {
  let json = texts[0] ?? ''
  for (const [index, name] of parts.entries()) json += partOf(name, target, item) + (texts[index + 1] ?? '')
  return json
}

/** As it stands in JSON. Ids and sums need no escapes. */
function partOf(name: PartName, { keys }: ForwardTarget, { hash, origin = '', json, trace }: ForwardItem): string {
  switch (name) {
    case 'id':
      return `"${jobId(keys.scope, hash)}"`
    case 'origin':
      return `"${origin}"`
    case 'sum':
      return `"${sumOf(json)}"`
    case 'trace':
      return JSON.stringify(JSON.stringify(trace))
    case 'time':
    case 'asked':
    case 'delay':
      // These options have none of these parts: the specialised add takes no request with options of its own.
      return ''
    default:
      return name satisfies never
  }
}
