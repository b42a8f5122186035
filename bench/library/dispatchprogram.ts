/**
 * Times `dispatch` beside a bare XADD of the same fields, one after the other, and `dispatchMany` beside a pipeline of XADDs of the same
 * size. Both use connections of the same client, to the same server, in one process: `node dispatchprogram.ts JSON`.
 *
 * The library is the built package, imported by its name as an application imports it.
 */
import { Redis } from 'ioredis'
import type * as Library from '../../client/index.ts'
import { entryFields, names, payload, pipelineDocument } from '../forward/workload.ts'
import { median } from '../support/statistics.ts'

export interface DispatchInput {
  readonly url: string
  readonly rounds: number
  /** Calls of each kind in a round. */
  readonly singles: number
  /** Batches of each kind in a round; 0 leaves them out. */
  readonly batches: number
  /** Payloads of a batch. */
  readonly batch: number
}

/** One round: median times of one call, milliseconds. */
export interface DispatchRound {
  readonly dispatchMs: number
  readonly xaddMs: number
  /** Of a whole batch; NaN without batches. */
  readonly manyMs: number
  readonly pipelinedMs: number
}

const warmUp = 300
const kind = '1KiB'
const { url, rounds, singles, batches, batch } = JSON.parse(process.argv[2] ?? '{}') as DispatchInput

// A specifier that the compiler does not resolve: the package may not be built while types are checked.
const packageName: string = 'streampipeline'
const { createDispatcher } = (await import(packageName)) as typeof Library
const dispatcher = createDispatcher({ pipeline: pipelineDocument(url) as never })
const redis = new Redis(url)

let next = 0
const made = (count: number) =>
  Array.from({ length: count }, () => ({ data: payload(kind, next), fields: entryFields(kind, next++) }))

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Calls of both kinds take turns, and take turns at going first. */
async function pairs(count: number, one: (at: number) => Promise<unknown>, other: (at: number) => Promise<unknown>) {
  const times: { readonly one: number[]; readonly other: number[] } = { one: [], other: [] }
  for (let at = 0; at < count; at++) {
    if (at % 2 === 0) times.one.push(await timed(() => one(at)))
    times.other.push(await timed(() => other(at)))
    if (at % 2 === 1) times.one.push(await timed(() => one(at)))
  }
  return { one: median(times.one), other: median(times.other) }
}

async function round(): Promise<DispatchRound> {
  const single = made(singles)
  const alone = await pairs(
    singles,
    async (at) => await dispatcher.dispatch(single[at]?.data ?? {}),
    async (at) => await redis.xadd(names.stream, '*', ...(single[at]?.fields ?? [])),
  )
  const lists = Array.from({ length: batches }, () => made(batch))
  const together = await pairs(
    batches,
    async (at) => await dispatcher.dispatchMany((lists[at] ?? []).map(({ data }) => data)),
    async (at) => {
      const pipeline = redis.pipeline()
      for (const { fields } of lists[at] ?? []) pipeline.xadd(names.stream, '*', ...fields)
      await pipeline.exec()
    },
  )
  return { dispatchMs: alone.one, xaddMs: alone.other, manyMs: together.one, pipelinedMs: together.other }
}

for (const { data, fields } of made(warmUp)) {
  await dispatcher.dispatch(data)
  await redis.xadd(names.stream, '*', ...fields)
}
const measured: DispatchRound[] = []
for (let at = 0; at < rounds; at++) {
  measured.push(await round())
  await redis.del(names.stream)
}
console.log(JSON.stringify(measured))
await dispatcher.close()
redis.disconnect()
