/**
 * BullMQ as this project uses it: a Queue opened on our own connection, and the Lua text of its scripts.
 *
 * A Redis script cannot call another one, so doing "deduplicate, add, mark, acknowledge" in one step means running BullMQ's own
 * add inside ours. Its text is taken from the *installed* package when it defines its commands on the connection; nothing of
 * it is copied into this repository. The arguments come from its public `job.addJob`, given a transaction that only records
 * its commands.
 */

import { createHash } from 'node:crypto'
import { Job, type JobsOptions, Queue } from 'bullmq'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { BullTexts } from '../scripts/bulltexts.ts'
import { type AddOptions, addScriptFor } from './addscript.ts'
import { clientOf } from './clients.ts'
import type { AddWay } from './specialisedadd.ts'

interface BullScript {
  readonly lua: string
  readonly keys: number
}

/** Script name without version (`addStandardJob`) → its text. */
export type BullScripts = ReadonlyMap<string, BullScript>

export interface BullQueue {
  readonly queue: Queue
  readonly scripts: BullScripts
  /**
   * BullMQ's texts for a script that includes them: the removal's and, if BullMQ's own text adds the jobs, the add's for these
   * options.
   */
  textsFor(options: AddOptions, way: AddWay): BullTexts
  close(): Promise<void>
}

/** BullMQ defines its commands once per connection, so the texts captured for its first queue serve later ones. */
const captured = new WeakMap<RedisConnection, Map<string, BullScript>>()

/** Opens a queue for adding. Throws catalogued errors. */
export async function openBullQueue(connection: RedisConnection, name: string, prefix: string): Promise<BullQueue> {
  const scripts = captured.get(connection) ?? new Map<string, BullScript>()
  captured.set(connection, scripts)
  const define = connection.defineCommand.bind(connection)
  connection.defineCommand = (command, definition) => {
    const plain = command.split(':')[0] ?? command
    scripts.set(plain, { lua: definition.lua, keys: definition.numberOfKeys ?? 0 })
    define(command, definition)
  }
  // skipMetasUpdate: a plain `new Queue` overwrites the event-stream length that the queue's owner chose.
  const queue = new Queue(name, { connection, prefix, skipMetasUpdate: true })
  // Its errors are the connection's, which every command reports by itself; without a listener they would end the process.
  queue.on('error', ignoreConnectionError)
  try {
    await clientOf(queue)
  } catch (thrown) {
    // A queue whose first contact failed stays failed: the next attempt opens another.
    await queue.close()
    throw failureOn(connection, thrown)
  } finally {
    connection.defineCommand = define
  }
  return {
    queue,
    scripts,
    textsFor: (options, way) => ({
      ...(way === 'BullMQ' ? { add: scripts.get(addScriptFor(options))?.lua ?? '' } : {}),
      ...removalOf(scripts),
    }),
    close: async () => await queue.close(),
  }
}

function ignoreConnectionError() {}

/** The text of BullMQ's removal, where it is known. */
export function removalOf(scripts: BullScripts | undefined): Pick<BullTexts, 'remove'> {
  const remove = scripts?.get('removeJob')?.lua
  return remove === undefined ? {} : { remove }
}

/** One call of a BullMQ script: keys first, then arguments. */
export interface RecordedCall {
  readonly script: string
  readonly args: readonly (string | Buffer)[]
}

type Transaction = Parameters<Job['addJob']>[0]

/** The command by which BullMQ would add a job at `timestamp`, milliseconds; or, as text, the reason why it refuses. */
export async function recordAdd(
  queue: Queue,
  name: string,
  data: object,
  options: JobsOptions,
  timestamp: number,
): Promise<RecordedCall | string> {
  let call: RecordedCall | undefined
  const recorder = {
    runCommand(command: string, args: readonly (string | Buffer)[]) {
      call = { script: command.split(':')[0] ?? command, args }
      return recorder
    },
  }
  try {
    const job = new Job(queue, name, data, options, options.jobId)
    // Set here and not by the option `timestamp`, which BullMQ would keep among the job's options.
    job.timestamp = timestamp
    await job.addJob(recorder as unknown as Transaction)
  } catch (thrown) {
    // BullMQ checks a job's options when it is queued, and throws plain Errors.
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
  return call ?? 'BullMQ sent nothing'
}

/** Scripts that the composed ones are made of. */
const composedScripts = ['addStandardJob', 'addDelayedJob', 'addPrioritizedJob', 'removeJob'] as const

/** SHA-256 over the text of the scripts that would be composed, or undefined where one is missing. */
export function fingerprint(scripts: BullScripts): string | undefined {
  const hash = createHash('sha256')
  for (const name of composedScripts) {
    const script = scripts.get(name)
    if (script === undefined) return undefined
    hash.update(`${name}:${script.keys}:${script.lua}\0`)
  }
  return hash.digest('hex')
}
