/** The reference page: every field of the resource with its type, default and bounds, and the refusals of the API server. */

import { apiVersion, kind } from '../api/schema/pipeline.ts'
import { rulesOf } from '../api/schema/rules.ts'
import { pipelineStructure, type Structure } from '../api/structure.ts'
import { payloadSections } from './payloadreference.ts'
import { schemasSection } from './schemasdoc.ts'

const escaped = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const linked = (text: string) => text.replaceAll('the portable path', '[the portable path](guarantees.md#the-three-paths)')
const code = (value: unknown) => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``

/** The type of durations and sizes, by the rule on their form. Another rule has the bounds. */
function spelled(field: Structure): string | undefined {
  const messages = rulesOf(field).map(({ message }) => message)
  const range = messages.flatMap((message) => /between (.+?)(?:$|[:,])/.exec(message)?.[1]?.replace(' and ', '..') ?? [])[0]
  if (messages[0]?.startsWith('write a duration')) return `duration, ${range ?? ''}`
  if (messages[0]?.startsWith('write a size')) return `size, ${range ?? ''}`
  if (messages[0]?.startsWith('write a quantity')) return 'quantity'
  return undefined
}

const isReference = ({ properties = {} }: Structure) => properties['secretKeyRef'] !== undefined
const isRedis = ({ properties = {} }: Structure) => properties['sentinel'] !== undefined

function typeOf(field: Structure): string {
  const special = spelled(field)
  if (special !== undefined) return special
  if (field['x-kubernetes-int-or-string'] === true) return 'integer or string'
  if (field.enum !== undefined) return field.enum.map(code).join(' \\| ')
  if (isReference(field)) return field.properties?.['configMapKeyRef'] === undefined ? 'reference to a Secret' : 'reference'
  if (field.type === 'array') return `list of ${field.items === undefined ? 'anything' : typeOf(field.items)}`
  if (field.additionalProperties !== undefined) return `map of ${typeOf(field.additionalProperties)}`
  return field.type ?? 'anything'
}

function bounds(field: Structure): string {
  const { minimum, maximum, maxLength, minItems, maxItems } = field
  if (field.enum !== undefined || spelled(field) !== undefined) return ''
  if (minimum !== undefined || maximum !== undefined)
    return maximum === undefined ? ` ≥ ${minimum}` : ` ${minimum ?? ''}..${maximum}`
  if (maxItems !== undefined) return `, ${minItems ?? 0}..${maxItems}`
  return maxLength === undefined ? '' : `, ≤ ${maxLength} characters`
}

/** Empty for a default that only repeats those of the fields inside. */
function defaultOf(field: Structure): string {
  if (field.default === undefined || (field.type === 'object' && field.properties !== undefined && repeatsFields(field)))
    return ''
  return code(field.default)
}

function repeatsFields({ default: value, properties = {} }: Structure): boolean {
  return Object.entries(value ?? {}).every(([name, inner]) => JSON.stringify(properties[name]?.default) === JSON.stringify(inner))
}

function rows(field: Structure, path: string, required: boolean): string[] {
  const whether = required ? '**required**' : defaultOf(field)
  const own =
    path === ''
      ? []
      : [`| \`${path}\` | ${typeOf(field)}${bounds(field)} | ${whether} | ${linked(escaped(field.description ?? ''))} |`]
  if (isReference(field) || (isRedis(field) && path !== 'redis')) return own
  const list = field.type === 'array' && field.items !== undefined
  const holder = list && field.items !== undefined ? field.items : field
  const prefix = path === '' ? '' : `${path}${list ? '[]' : ''}.`
  const inner = Object.entries(holder.properties ?? {}).flatMap(([name, next]) =>
    rows(next, `${prefix}${name}`, holder.required?.includes(name) ?? false),
  )
  return [...own, ...inner]
}

interface Refusal {
  readonly field: string
  readonly message: string
  readonly onChange: boolean
}

function refusals(field: Structure, path: string): Refusal[] {
  if (isRedis(field) && path !== 'spec.redis') return []
  const own = rulesOf(field).map(({ rule, message, fieldPath = '' }) => ({
    field: `${path}${fieldPath}`.replace(/^\./, ''),
    message,
    onChange: /\boldSelf\b/.test(rule),
  }))
  const inner = Object.entries(field.properties ?? {}).flatMap(([name, next]) =>
    refusals(next, path === '' ? name : `${path}.${name}`),
  )
  const items = field.items === undefined ? [] : refusals(field.items, `${path}[]`)
  return [...own, ...inner, ...items]
}

/** Fields with one remedy share a row. The forms and bounds of durations and sizes are in the tables of fields. */
function refusalRows(structure: Structure): string[] {
  const byMessage = new Map<string, string[]>()
  for (const { field, message, onChange } of refusals(structure, '')) {
    if (/^write a (duration|size) between/.test(message) || message.startsWith('write a duration such')) continue
    const said = `${onChange ? 'On change: ' : ''}${message}`
    byMessage.set(said, [...(byMessage.get(said) ?? []), field])
  }
  return [...byMessage].map(([message, fields]) => `| ${fields.map(code).join(', ')} | ${escaped(message)} |`)
}

const tableHead = ['| Field | Type | Default | |', '|---|---|---|---|']

/** Markdown. */
export function reference(): string {
  const structure = pipelineStructure()
  const { spec = {}, status = {} } = structure.properties ?? {}
  const parts = Object.entries(spec.properties ?? {})
  const simple = parts.filter(([, part]) => part.type !== 'object')
  const sections = parts.filter(([, part]) => part.type === 'object')
  const need = (name: string) => spec.required?.includes(name) ?? false
  return [
    `# Reference: ${kind}, ${apiVersion}`,
    '',
    'This page lists all fields of the resource, their types, defaults and bounds.',
    '',
    '- A duration is a string such as `500ms`, `30s` or `1h30m`, without days and fractions.',
    '- A size is a number of bytes, or a Kubernetes quantity such as `256Ki`, without fractions.',
    '- The API server refuses unknown fields.',
    '- For emergency patches there is the annotation `streampipeline.dev/reconcile: disabled`. On a pipeline with it, the operator changes none of',
    "  that pipeline's objects.",
    '',
    '## Check a file',
    '',
    '`streampipeline validate FILE` validates offline exactly as the API server would, and suggests the fix. It also checks the JSON Schema of',
    'payloads, and time zones, which the API server does not check.',
    '',
    '**Memory of a consumer.** `validate` states the most memory that a consumer needs: 128 MiB, and eight times the bytes in flight. With the',
    'defaults that is 224 MiB. The bytes in flight are the smaller of these two:',
    '',
    '- `inFlightBatches` × the larger of `batchBytes` and 16 × `maxBytes`;',
    '- `inFlightBatches` × `batchSize` × `maxBytes`.',
    '',
    '`validate` warns if `consumer.resources.limits.memory` is smaller. The heap of the image has 96 MiB, enough for 24 MiB in flight. `validate`',
    'also warns if more than these 24 MiB may be in flight. Then raise the limit, and set `NODE_OPTIONS` in `consumer.env` as the warning states.',
    'Or make the batches smaller.',
    '',
    "**Memory of the queue's Redis.** With `deadLetter.requestCopy`, `validate` states the cost: up to `payload.maxBytes` for each job, from its",
    'forwarding until BullMQ removes it. `sink.bullmq.maxWaiting` bounds the waiting jobs, and `removeOnComplete.count` the completed ones. With the',
    'defaults these two kinds take up to 12,750 MiB. Active and failed jobs add to that. Smaller payloads take less in proportion.',
    '',
    '## spec',
    '',
    ...tableHead,
    ...simple.flatMap(([name, part]) => rows(part, name, need(name))),
    ...sections.flatMap(([name, part]) => [
      '',
      `### ${name}`,
      '',
      part.description ?? '',
      '',
      ...tableHead,
      ...rows({ ...part, description: '' }, name, need(name)).slice(1),
    ]),
    '',
    ...schemasSection(),
    '',
    '## References',
    '',
    'A reference names a value in the namespace: either `{secretKeyRef: {name, key}}` or `{configMapKeyRef: {name, key}}`. A *reference to a',
    'Secret* is the first form only.',
    '',
    ...payloadSections,
    '## What is refused',
    '',
    'The API server refuses wrong types, and values out of bounds. Its other messages are these:',
    '',
    '| Field | Message |',
    '|---|---|',
    ...refusalRows(structure),
    '',
    '## status',
    '',
    'The operator writes the status. It rounds most numbers. While Redis answers, its numbers are at most five seconds old when the',
    'operator writes them. If only numbers change, the operator writes at most every ten seconds. [Metrics](metrics.md) have exact values.',
    '',
    '| Field | Type | | |',
    '|---|---|---|---|',
    ...rows({ ...status, default: undefined }, '', false),
    '',
  ].join('\n')
}
