/**
 * A scenario: what arrives, how long it takes, what goes wrong. Written as YAML (examples/scaling/scenarios), read here into
 * seconds. Its `scaling` section is that of the resource, with the resource's defaults.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { compileScaling } from '../../api/compile.ts'
import type { CompiledScaling } from '../../api/compiled.ts'
import { parseDuration } from '../../api/duration.ts'
import { failure } from '../../api/errors.ts'
import { scalingSchema } from '../../api/schema/scaling.ts'

const seconds = z.string().transform((text, context) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms / 1000
  context.addIssue({ code: 'custom', message: 'write a duration such as 500ms, 30s or 1h30m' })
  return z.NEVER
})
const lasting = seconds.refine((value) => value > 0, 'it must be longer than 0s')
const rate = z.number().min(0).max(100_000)
const span = { from: seconds.optional(), until: seconds.optional() }

/** The arrivals are the sum of these. */
const arrivals = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('Constant'), perSecond: rate, ...span }),
  z.strictObject({ kind: z.literal('Ramp'), perSecond: z.tuple([rate, rate]), from: seconds, until: seconds }),
  /** A sine: mean, and how far from it. */
  z.strictObject({ kind: z.literal('Wave'), perSecond: rate, amplitude: rate, period: lasting }),
  z.strictObject({ kind: z.literal('Spikes'), perSecond: rate, every: lasting, lasting: seconds, from: seconds.optional() }),
  /** So many entries in one instant. */
  z.strictObject({ kind: z.literal('Batches'), entries: z.int().min(1), every: lasting, from: seconds.optional() }),
])

const service = z.strictObject({
  mean: lasting,
  /** Exponential varies as much as its mean; LogNormal by `sigma`; Pareto has a tail of `alpha`, cut at 100 means. */
  distribution: z.enum(['Constant', 'Exponential', 'LogNormal', 'Pareto']).default('Exponential'),
  sigma: z.number().min(0).max(3).default(1),
  alpha: z.number().min(1.1).max(10).default(1.5),
  /** Jobs get heavier or lighter: the factor on the mean from then on. */
  changes: z.array(z.strictObject({ at: seconds, factor: z.number().positive() })).default([]),
})

const schema = z.strictObject({
  name: z.string().min(1),
  about: z.string().min(1),
  /** True for scenarios that nothing was ever adjusted to. */
  heldOut: z.boolean().default(false),
  duration: lasting,
  scaling: scalingSchema,
  /** Entries that one replica works on at the same time. */
  slots: z.int().min(1).max(1000).default(5),
  initialReplicas: z.int().min(0).optional(),
  arrivals: z.array(arrivals).min(1),
  service,
  startUp: z.strictObject({ mean: seconds, jitter: z.number().min(0).max(1).default(0.2) }).default({ mean: 5, jitter: 0.2 }),
  /** Mean life of one replica. */
  crashes: z.strictObject({ every: seconds }).optional(),
  /** Entries that never succeed: each delivery holds a slot for `holds`, and is repeated after `minIdle` until `maxDeliveries`. */
  poison: z
    .strictObject({
      entries: z.int().min(1),
      from: seconds,
      until: seconds.optional(),
      holds: seconds.default(1),
      minIdle: seconds.default(60),
      maxDeliveries: z.int().min(1).default(5),
    })
    .optional(),
  /** Something all replicas share, that does no more than this per second: jobs wait for it and take longer. */
  downstream: z.strictObject({ perSecond: z.number().positive() }).optional(),
  /** The BullMQ queue and what empties it; above maxWaiting consumers stop reading. */
  queue: z.strictObject({ perSecond: z.number().positive(), maxWaiting: z.int().min(1) }).optional(),
  /** The scaler cannot ask Redis; consumers go on. */
  metricsOutages: z.array(z.strictObject({ from: seconds, lasting: seconds })).default([]),
  /** Random short outages of the metrics, this far apart on average, three quarters of them one tick long. */
  metricFaults: z.strictObject({ every: seconds }).optional(),
  /** Redis is away for all: nothing is added, read or settled, and producers add afterwards what they could not. */
  redisOutages: z.array(z.strictObject({ from: seconds, lasting: seconds })).default([]),
  /** The scaler is replaced: nothing is decided while it is away, and the next one goes on from the state that it finds. */
  operatorRestarts: z
    .array(
      z.strictObject({
        at: seconds,
        away: seconds.default(15),
        /** Foreign: of another pipeline, of which one replica clears a thousand times as much. */
        state: z.enum(['Stored', 'Lost', 'Foreign']).default('Stored'),
      }),
    )
    .default([]),
  /** Replicas that begin while this lasts start only once it is over: an image that cannot be pulled, nodes without room. */
  stuckStarts: z.array(z.strictObject({ from: seconds, lasting })).default([]),
  /** All replicas are replaced, a quarter at a time, each once its successor is ready. */
  rollouts: z.array(seconds).default([]),
})

export type Scenario = Readonly<Omit<z.infer<typeof schema>, 'scaling'>> & { readonly scaling: CompiledScaling }

/** @throws UnreadableFile, naming the first wrong fields */
export function parseScenario(text: string, file: string): Scenario {
  let document: unknown
  try {
    document = parse(text, { version: '1.2' })
  } catch (thrown) {
    throw failure('UnreadableFile', { file, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
  const parsed = schema.safeParse(document)
  if (!parsed.success) {
    const problems = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.') || basename(file)}: ${issue.message}`)
    throw failure('UnreadableFile', { file, detail: problems.join('; ') })
  }
  const { scaling, ...rest } = parsed.data
  return { ...rest, scaling: compileScaling(scaling) }
}

export async function readScenario(file: string): Promise<Scenario> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (thrown) {
    throw failure('UnreadableFile', { file, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
  return parseScenario(text, file)
}
