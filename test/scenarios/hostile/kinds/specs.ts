/**
 * Hostile specs: schemas that grow when they are compiled, patterns, schedules. Each verdict comes within its time, and an
 * accepted spec can be used.
 */

import { compilePipeline } from '../../../../api/compile.ts'
import { StreamPipelineError } from '../../../../api/errors.ts'
import { parsePipeline } from '../../../../api/validate.ts'
import { isActive } from '../../../../scaling/schedules.ts'
import { type HostileKind, hostileKind, type Random } from '../kind.ts'
import { names } from '../payloads.ts'
import { anyJson } from './looks.ts'

const keywords = [
  ...['type', 'properties', 'items', '$ref', '$defs', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'pattern', 'enum', 'const'],
  ...[
    'required',
    'additionalProperties',
    'patternProperties',
    'minimum',
    'format',
    '$async',
    '$dynamicRef',
    '$id',
    'uniqueItems',
  ],
  ...['dependentSchemas', 'unevaluatedProperties', 'prefixItems', 'contains', 'propertyNames', '$anchor', '$schema'],
]

/** Of the order of the expected time of a judge, on a busy machine. */
const longestMs = 2_000

const document = (spec: object) => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'hostile' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 's', group: 'g' },
    sink: { bullmq: { queue: 'q' } },
    ...spec,
  },
})

function judged(spec: object): string | undefined {
  const begun = process.cpuUsage()
  try {
    compilePipeline(parsePipeline(document(spec)))
  } catch (thrown) {
    if (!(thrown instanceof StreamPipelineError) || thrown.code === 'Internal') throw thrown
  }
  const tookMs = process.cpuUsage(begun).user / 1_000
  return tookMs > longestMs ? `it takes ${Math.round(tookMs)} ms` : undefined
}

export function drawSchema(random: Random): object {
  const leaf = () => ({ type: random.pick(['string', 'number', 'object', 'array']) })
  switch (random.below(5)) {
    case 0: {
      const count = 20 + random.below(80)
      const many = (entry: (n: number) => object) =>
        Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, entry(n)]))
      return {
        $defs: { a: { type: 'object', properties: many(leaf) } },
        type: 'object',
        properties: many(() => ({ $ref: '#/$defs/a' })),
      }
    }
    case 1: {
      let schema: object = leaf()
      for (let depth = random.below(60); depth > 0; depth--)
        schema = { [random.pick(['not', 'items', 'additionalProperties'])]: schema }
      return { type: 'object', properties: { a: schema } }
    }
    case 2: {
      const pattern = random.pick([
        '(a+)+$',
        '(a?){50}a{50}',
        '(?=a)',
        '(.*)*x',
        '[',
        '\\p{L}+',
        '^(a|a)*$',
        '(((a{10}){10}){10})',
      ])
      return { type: 'object', properties: { a: { type: 'string', pattern } } }
    }
    case 3:
      return { type: 'object', ...(anyJson(random, keywords, 4) as object), $async: random.below(4) === 0 ? true : undefined }
    default:
      return { type: 'object', properties: Object.fromEntries(names.map((name) => [name, leaf()])) }
  }
}

const schemas: HostileKind = hostileKind({
  name: 'schemas',
  weight: 0.15,
  draw: drawSchema,
  judge: (schema) => judged({ payload: { schema: JSON.parse(JSON.stringify(schema)) } }),
})

const fields = ['*', '0', '31', '*/2', '1-5', '0,30', 'L', '29', 'feb', 'sun', '5L', '60', '?', '#', '1#3', 'H']
const zones = ['UTC', 'Europe/Lisbon', 'Africa/Cairo', 'America/Santiago', 'Asia/Beirut', 'Antarctica/Troll', 'Mars/Olympus', '']

const crons: HostileKind = hostileKind({
  name: 'crons',
  weight: 0.15,
  draw: (random) => ({
    cron: Array.from({ length: 5 }, () => random.pick(fields)).join(' '),
    timeZone: random.pick(zones),
    atMs: 1_700_000_000_000 + random.below(100_000) * 1_000_000,
  }),
  judge({ cron, timeZone, atMs }) {
    const problem = judged({ scaling: { schedules: [{ cron, timeZone, for: '1h', minReplicas: 1 }] } })
    if (problem !== undefined) return problem
    const begun = process.cpuUsage()
    // As each look does.
    for (let looks = 0; looks < 12; looks++) isActive({ cron, timeZone, forMs: 3_600_000 }, atMs + looks * 5_000)
    const tookMs = process.cpuUsage(begun).user / 1_000
    return tookMs > longestMs ? `twelve looks take ${Math.round(tookMs)} ms` : undefined
  },
})

const documents: HostileKind = hostileKind({
  name: 'documents',
  weight: 0.5,
  draw: (random) =>
    anyJson(random, ['redis', 'source', 'sink', 'payload', 'scaling', 'bullmq', 'url', 'schedules', 'cron', 'schema'], 4),
  judge: (spec) => judged(typeof spec === 'object' && spec !== null ? spec : { source: spec }),
})

export const specKinds: readonly HostileKind[] = [schemas, crons, documents]
