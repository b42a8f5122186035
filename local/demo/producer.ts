/**
 * The demo's producer, a thread of its own: dispatches valid requests through the library, as an application does, and adds
 * broken ones by hand. When Redis is away it tries the same requests again; their keys make that safe.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { asFailure, failure } from '../../api/errors.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import { close, connect, failureOn } from '../../redis/connect/connection.ts'
import { directoryReader, resolveTarget } from '../../redis/connect/references.ts'
import { loadResource } from '../resource.ts'
import { createLoad, type NdviRequest, type Offer } from './load.ts'
import type { ProducerMessage, ThreadCommand, ThreadInput } from './messages.ts'
import { dueBy } from './pace.ts'

const tickMs = 20
const retryMs = 250
/** Requests handed over in one call. */
const chunk = 250

const input = workerData as ThreadInput
const send = (message: ProducerMessage) => parentPort?.postMessage(message)
const finish = new AbortController()
parentPort?.on('message', (command: ThreadCommand) => {
  if (command.kind === 'Finish') finish.abort()
})

async function produce(): Promise<void> {
  const { pipeline } = await loadResource(input.file)
  const dispatcher = createDispatcher<NdviRequest>({
    pipeline,
    ...(input.refs === undefined ? {} : { refs: input.refs }),
  })
  const raw = connect(await resolveTarget(pipeline.redis, directoryReader(input.refs)), 'Producer')
  const load = createLoad(input.seed)
  const keys = new Set<string>()
  send({ kind: 'Started' })
  const startedAt = performance.now()
  let offered = 0

  async function handOver(offers: readonly Offer[]): Promise<void> {
    const requests = offers.flatMap((offer) => (offer.kind === 'Request' ? [offer.request] : []))
    for (const { key } of await persistently(() => dispatcher.dispatchMany(requests))) keys.add(key)
    for (const offer of offers) {
      if (offer.kind !== 'Broken') continue
      await persistently(async () => {
        try {
          return await raw.xadd(pipeline.source.stream, '*', ...Object.entries(offer.fields).flat())
        } catch (thrown) {
          throw failureOn(raw, thrown)
        }
      })
    }
  }

  while (!finish.signal.aborted) {
    const due = Math.min(chunk, dueBy(performance.now() - startedAt) - offered)
    if (due > 0) {
      await handOver(Array.from({ length: due }, () => load.next(Date.now())))
      offered += due
      send({ kind: 'Produced', entries: offered })
    } else await sleep(tickMs)
  }
  await dispatcher.close()
  await close(raw)
  send({ kind: 'Finished', keys: [...keys] })
}

/** Repeats while Redis is away, so that no request is forgotten. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (thrown) {
      const error = asFailure(thrown)
      if (error.code === 'PayloadRejected') throw unsuitable(error.message)
      if (!error.retryable || error.code === 'Internal') throw error
      await sleep(retryMs)
    }
  }
}

const unsuitable = (detail: string) =>
  failure('InvalidOption', {
    option: '--demo',
    detail: `it makes vegetation-index requests, which this pipeline refuses (${detail})`,
  })

try {
  await produce()
} catch (thrown) {
  send({ kind: 'Failed', detail: asFailure(thrown).message })
}
// The port would keep the thread alive.
parentPort?.close()
