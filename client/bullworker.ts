/**
 * BullMQ's worker on a connection of its own: opened, and left. Leaving never waits for a Redis that is away, only for functions of the
 * application that still run.
 */
import { once } from 'node:events'
import { Worker as BullWorker } from 'bullmq'
import { asFailure, failure } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import { blockingClientOf } from '../redis/bullmq/clients.ts'
import { close as closeConnection, failureOn, open, type RedisConnection } from '../redis/connect/connection.ts'
import type { Processor, Skipped } from './execution.ts'
import { checkPrimary } from './lent.ts'
import { workerConnection } from './redis.ts'
import type { CompiledWorker } from './workeroptions.ts'

export interface OpenWorker {
  readonly bull: BullWorker
  readonly connection: RedisConnection
}

interface WorkerParts<Payload extends object, Result> {
  readonly options: CompiledWorker<Payload, Result>
  /** The function that runs a job, on the worker's connection. */
  readonly processorOn: (connection: RedisConnection) => Processor<Payload, Result>
  readonly hear: (bull: BullWorker<Payload, Result | Skipped>) => void
  /** Aborted when the worker closes. */
  readonly closing: AbortSignal
}

/** Connects and begins to take jobs. Throws catalogued errors. */
export async function openWorker<Payload extends object, Result>(parts: WorkerParts<Payload, Result>): Promise<OpenWorker> {
  const { options, closing } = parts
  const connection = await workerConnection(options.source)
  // One that was lent may be a plain ioredis one: without a listener it prints what its commands report.
  connection.on('error', ignoreConnectionError)
  const report = (thrown: unknown) => options.onError(failureOn(connection, thrown))
  let bull: BullWorker | undefined
  try {
    await open(connection, closing)
    await checkPrimary(connection, 'redis')
    bull = makeBull(parts, connection, report)
    // BullMQ waits for its blocking connection, however long that takes; closing does not.
    if (!closing.aborted) await Promise.race([bull.waitUntilReady(), once(closing, 'abort')])
  } catch (thrown) {
    const farewell = bull?.close(true)
    await Promise.allSettled([farewell, cutOff(bull, connection)])
    throw failureOn(connection, thrown)
  }
  if (!closing.aborted) bull.run().catch(report)
  return { bull, connection }
}

function makeBull<Payload extends object, Result>(
  { options, processorOn, hear }: WorkerParts<Payload, Result>,
  connection: RedisConnection,
  report: (thrown: unknown) => void,
): BullWorker {
  const { queue, prefix, concurrency, bullmq } = options
  const process = processorOn(connection)
  try {
    const bull = new BullWorker<Payload, Result | Skipped>(
      queue,
      // BullMQ hands the signal of a cancelled job only to a function that declares three parameters.
      async (job, token, cancelled) => await process(job, token, cancelled),
      { ...bullmq, connection, prefix, concurrency, autorun: false },
    )
    bull.on('error', report)
    hear(bull)
    return bull
  } catch (thrown) {
    const detail = `BullMQ refuses it: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw failure('InvalidOption', { option: 'bullmq', detail }, thrown)
  }
}

/** How long BullMQ may take to leave Redis after the last job has ended. */
const farewellMs = 3_000

/** @param running functions of the application. Redis commands around them may take as long as Redis is away. */
export async function leaveWorker({ bull, connection }: OpenWorker, running: ReadonlySet<Promise<unknown>>): Promise<void> {
  const inTime = new AbortController()
  const farewell = bull.close().finally(() => inTime.abort())
  const overdue = (async () => {
    do {
      await Promise.allSettled(running)
      await pause(farewellMs, inTime.signal)
      // One more handler may have begun, whose lock was requested before the close.
    } while (running.size > 0 && !inTime.signal.aborted)
  })()
  try {
    await Promise.race([farewell, overdue])
    // BullMQ still waits for an answer of Redis, on either connection.
    if (!inTime.signal.aborted) await Promise.all([cutOff(bull, connection), farewell])
  } catch (thrown) {
    throw asFailure(thrown)
  } finally {
    await closeConnection(connection)
  }
}

async function cutOff(bull: BullWorker | undefined, connection: RedisConnection): Promise<void> {
  const ended = closeConnection(connection)
  const blocking = bull && (await blockingClientOf(bull))
  // BullMQ has a type of its own for its duplicate of our connection.
  if (blocking !== undefined) await closeConnection(blocking as unknown as RedisConnection)
  await ended
}

/** Each command reports it by itself. */
function ignoreConnectionError() {}
