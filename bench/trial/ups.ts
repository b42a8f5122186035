/**
 * `up` ended at random, many times: by SIGKILL, by SIGTERM, by Ctrl-C twice, and by killing its Redis. Each run goes on with the
 * entries of the one before. No entry may be lost or become two jobs, no process may live on, and no account may be wrong.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomFrom } from '../../local/demo/load.ts'
import { jobId, scopeOf } from '../../redis/keys.ts'
import { keyHash } from '../../redis/payload/idempotency.ts'
import { startCli } from '../../test/support/process.ts'
import { startRedis } from '../../test/support/redis.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { type Ending, endings, type Lane, truthOf, tryUp, type UpPlan, type UpTried } from './upruns.ts'

interface UpsOptions {
  readonly runs: number
  readonly seed: number
  /** Runs at the same time, each with a Redis of its own. */
  readonly lanes: number
  readonly progress: (line: string) => void
}

interface UpsResult {
  readonly ok: boolean
  readonly runs: number
  /** Keys that neither became a job nor a dead letter. */
  readonly lost: number
  /** Jobs beyond the first of a key. */
  readonly duplicates: number
  readonly leftProcesses: number
  readonly falseAccounts: number
  /** Runs that gave one. */
  readonly accounts: number
  readonly keys: number
  readonly endings: Readonly<Record<Ending, number>>
  readonly private: number
  readonly seed: number
  readonly seconds: number
  readonly failures: readonly string[]
}

export async function tryUps(scope: Scope, { runs, seed, lanes, progress }: UpsOptions): Promise<UpsResult> {
  const begun = performance.now()
  const random = randomFrom(seed)
  const plans = Array.from({ length: runs }, (_, at) => planOf(at, random))
  const counts: Record<Ending, number> = { Kill: 0, Terminate: 0, InterruptTwice: 0, KillRedis: 0 }
  for (const { ending } of plans) counts[ending] += 1
  const failures: string[] = []
  let [done, leftProcesses, falseAccounts, accounts, lost, duplicates, keys] = [0, 0, 0, 0, 0, 0, 0]
  const waiting = plans.entries()

  const work = async (number: number) => {
    const lane = await startLane(scope, randomFrom(seed + 1 + number))
    for (const [at, plan] of waiting) {
      const { accounted, falsehoods, left } = await attempted(scope, lane, plan)
      done++
      leftProcesses += left.length
      if (accounted) accounts++
      if (falsehoods.length > 0) falseAccounts++
      const how = `${at} ${plan.ending}${plan.private ? ' private' : ''}${plan.early ? ' early' : ''}`
      const wrong = [...falsehoods, ...left.map((each) => `still runs: ${each}`)]
      if (wrong.length > 0) failures.push(`${how}: ${wrong.join('; ')}`)
      progress(`${how}: ${wrong.length === 0 ? 'ok' : `FAILED ${wrong.join('; ')}`} (${done} of ${runs})`)
    }
    const end = await drained(scope, lane)
    lost += end.lost
    duplicates += end.duplicates
    keys += lane.keys.size
  }
  await Promise.all(Array.from({ length: Math.min(lanes, runs) }, (_, number) => work(number)))
  return {
    ok: done === runs && lost + duplicates + leftProcesses + falseAccounts === 0 && keys > 0,
    ...{ runs: done, lost, duplicates, leftProcesses, falseAccounts, accounts, keys },
    endings: counts,
    private: plans.filter((plan) => plan.private).length,
    seed,
    seconds: Math.round((performance.now() - begun) / 1_000),
    failures,
  }
}

/** A run that cannot be judged counts as a run with a wrong account. */
async function attempted(scope: Scope, lane: Lane, plan: UpPlan): Promise<UpTried> {
  try {
    return await tryUp(scope, lane, plan)
  } catch (thrown) {
    return { plan, accounted: false, falsehoods: [thrown instanceof Error ? thrown.message : String(thrown)], left: [] }
  }
}

/** All endings in turn; a quarter with a Redis of its own, a fifth while it still starts. */
function planOf(at: number, random: () => number): UpPlan {
  const ending = endings[at % endings.length] ?? 'Kill'
  return { ending, private: random() < 0.25, early: random() < 0.2 }
}

async function startLane(scope: Scope, random: () => number): Promise<Lane> {
  const server = await startRedis(scope, { appendonly: true })
  // Short: the socket of a private Redis lies in it.
  const folder = await mkdtemp(join(tmpdir(), 'sp-up-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.json')
  const [stream, group, queue] = ['trial:jobs', 'trial', 'trial']
  await writeFile(file, JSON.stringify(document(server.url, stream, group, queue)))
  return {
    ...{ server, folder, file, stream, group, queue, random },
    client: server.client({ maxRetriesPerRequest: 0, retryStrategy: () => 50 }),
    deadLetters: `{${stream}}:dead`,
    keys: new Set(),
  }
}

/** Short times, a queue that has no worker and never counts as full, and a `maxDeliveries` that repeated kills do not reach. */
function document(url: string, stream: string, group: string, queue: string) {
  return {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'trial' },
    spec: {
      redis: { url },
      source: { stream, group, block: '1s' },
      payload: { idempotencyKey: ['job_id'] },
      sink: { bullmq: { queue, maxWaiting: 10_000_000 } },
      reclaim: { minIdle: '1s', interval: '500ms' },
      idempotency: { window: '24h', lockTTL: '1s' },
      delivery: { maxDeliveries: 1_000 },
      scaling: { minReplicas: 1, maxReplicas: 2, targetAge: '2s' },
    },
  }
}

/** Lets a last run finish everything. */
async function drained(scope: Scope, lane: Lane): Promise<{ readonly lost: number; readonly duplicates: number }> {
  const { client, queue, keys, stream, group } = lane
  const up = await startCli(scope, ['up', '-f', lane.file, '-o', 'json'], { env: { TMPDIR: lane.folder } })
  await eventually(async () => (await truthOf(client, lane)).waiting === 0, { timeoutMs: 180_000, intervalMs: 200 })
  await up.stop('SIGTERM', 60_000)
  const jobs = await client.lrange(`bull:${queue}:wait`, 0, -1)
  const distinct = new Set(jobs)
  const scope_ = scopeOf(stream, group)
  const missing = [...keys].filter((key) => !distinct.has(jobId(scope_, keyHash([key]))))
  return { lost: missing.length, duplicates: jobs.length - distinct.size }
}
