/** Jobs that fail as their worker has it, and the sweep that makes them dead letters. */
import type { TestContext } from 'node:test'
import { type Job, Worker } from 'bullmq'
import { createSweeper } from '../../redis/deadletters/capture.ts'
import { createDeadLetters } from '../../redis/deadletters/replay.ts'
import { eventually } from '../support/wait.ts'
import type { OpenPath } from './fixture.ts'

export function sweeperOf({ connections, codec }: OpenPath) {
  return createSweeper({ ...connections, codec })
}

export function deadLettersOf({ connections }: OpenPath) {
  return createDeadLetters(connections)
}

/** Works until `count` jobs have failed; each does `first` before it fails. */
export async function failAfter(
  t: TestContext,
  path: OpenPath,
  count: number,
  first: (job: Job) => Promise<void>,
): Promise<void> {
  const work = async (job: Job) => {
    await first(job)
    throw new Error('not today')
  }
  const worker = new Worker(path.target.queue, work, {
    connection: path.queueServer.client({ maxRetriesPerRequest: null }),
    prefix: path.target.prefix,
  })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  await eventually(async () => (await path.queueClient.zcard(`${path.queueKey}failed`)) === count)
  await worker.close()
}
