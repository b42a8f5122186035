/** Consumers in simulated pods: the real one, in this process, or in a process of its own, as a pod has it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompiledPipeline } from '../../api/compiled.ts'
import { asFailure } from '../../api/errors.ts'
import { type Consumer, createConsumer } from '../../consumer/consumer.ts'
import { consumerUid } from '../../consumer/identity.ts'
import type { PodObject } from '../../operator/plan/observed.ts'
import { systemClock } from '../../process/clock.ts'
import { connect } from '../../redis/connect/connection.ts'
import { resolveTarget } from '../../redis/connect/references.ts'
import { streamPlace } from '../../redis/placement.ts'
import { chooseSettlePath } from '../../redis/settle/choose.ts'
import { startProcess } from '../../test/support/process.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import type { Program } from './kubelet.ts'

/** Counts of the consumers. For processes only failures are known. */
export interface Tally {
  /** Entries that were forwarded before: the cost of an interruption. */
  duplicates: number
  handedBack: number
  /** Pods that ended without removing their name from the group. */
  unretired: number
  readonly failures: string[]
}

const graceMs = 20_000
const startTries = 40

export async function runInThisProcess(pipeline: CompiledPipeline, { metadata }: PodObject, tally: Tally): Promise<Program> {
  const address = await resolveTarget(pipeline.redis, () => Promise.reject(new Error('nothing is referred to')))
  const writer = connect(address, 'Writer')
  const connections = { blocking: connect(address, 'Blocking'), writer, queue: writer }
  const { name = '', uid = '' } = metadata
  const consumer = createConsumer({
    pipeline,
    place: streamPlace(pipeline),
    name,
    uid: consumerUid({
      pipelineUid: pipeline.uid,
      env: { POD_UID: uid },
      process: { host: 'trial', pid: process.pid, startedAt: performance.timeOrigin },
    }),
    connections,
    choosePath: () => chooseSettlePath(pipeline, writer, writer),
    observers: [
      {
        batchSettled({ outcomes }) {
          tally.duplicates += outcomes.duplicate
        },
        handedBack(entries, retired) {
          tally.handedBack += entries
          if (!retired) tally.unretired += 1
        },
      },
    ],
    crash: (thrown) => void tally.failures.push(String(thrown)),
    clock: systemClock,
  })
  await started(consumer)
  return { stop: () => consumer.stop(performance.now() + graceMs) }
}

/** As its process does: a failure that may pass is tried again. */
async function started(consumer: Consumer): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await consumer.start()
    } catch (thrown) {
      if (!asFailure(thrown).retryable || attempt === startTries) throw thrown
      await sleep(500)
    }
  }
}

/** @param folder for its configuration */
export async function runAsProcess(
  scope: Scope,
  folder: string,
  document: object,
  { metadata }: PodObject,
  tally: Tally,
): Promise<Program> {
  const { name = '', uid = '' } = metadata
  const file = join(folder, `${name}.yaml`)
  await writeFile(file, JSON.stringify(document))
  const program = join(projectRoot, 'cli', 'main.ts')
  const args = [program, 'consume', '--config', file, '--listen', '127.0.0.1:0']
  const child = await startProcess(scope, args, { env: { POD_NAME: name, POD_UID: uid } })
  await child.output(/forward path chosen/, { timeoutMs: 60_000 })
  return {
    async stop() {
      const { code, signal } = await child.stop('SIGTERM', graceMs)
      if (code !== 0) tally.failures.push(`${name} ended with ${code ?? signal}: ${child.stderr().slice(-500)}`)
    },
  }
}
