/**
 * The demo's BullMQ worker, a thread of its own. It runs each job once and remembers the keys, in place of an application's
 * database. The outcomes are made from its counts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { asFailure } from '../../api/errors.ts'
import { createWorker } from '../../client/worker.ts'
import { pause } from '../../process/pause.ts'
import { close, connect } from '../../redis/connect/connection.ts'
import { directoryReader, resolveTarget } from '../../redis/connect/references.ts'
import { loadResource } from '../resource.ts'
import type { NdviRequest } from './load.ts'
import type { ThreadCommand, ThreadInput, WorkerMessage } from './messages.ts'
import { meanNdvi } from './ndvi.ts'

const concurrency = 50
const retryMs = 250
const reportMs = 200

const input = workerData as ThreadInput
const send = (message: WorkerMessage) => parentPort?.postMessage(message)
const finish = new AbortController()
parentPort?.on('message', (command: ThreadCommand) => {
  if (command.kind === 'Finish') finish.abort()
})

async function work(): Promise<void> {
  const { pipeline } = await loadResource(input.file)
  const target = pipeline.sink.redis ?? pipeline.redis
  const redis = connect(await resolveTarget(target, directoryReader(input.refs)), 'Producer')
  const executions = new Map<string, number>()
  let total = 0
  let skipped = 0
  const worker = createWorker<NdviRequest>({
    queue: pipeline.sink.queue,
    prefix: pipeline.sink.prefix,
    redis,
    concurrency,
    isTerminal(_, { key }) {
      const terminal = executions.has(key)
      if (terminal) skipped++
      return terminal
    },
    execute({ farm_id }, { key }) {
      const ndvi = meanNdvi(farm_id)
      executions.set(key, (executions.get(key) ?? 0) + 1)
      total++
      return { ndvi }
    },
    // Redis may be away in a demo of recovery. The outcomes show it.
    onError: () => {},
    bullmq: { stalledInterval: 5_000, lockDuration: 10_000 },
  })
  while (!finish.signal.aborted) {
    try {
      await worker.start()
      break
    } catch (thrown) {
      if (!asFailure(thrown).retryable) throw thrown
      await sleep(retryMs)
    }
  }
  while (!finish.signal.aborted) {
    send({ kind: 'Executed', executions: total })
    // Ends early when asked to finish.
    await pause(reportMs, finish.signal)
  }
  await worker.close()
  await close(redis)
  send({ kind: 'Finished', executions: [...executions], skipped })
}

try {
  await work()
} catch (thrown) {
  send({ kind: 'Failed', detail: asFailure(thrown).message })
}
// The port would keep the thread alive.
parentPort?.close()
