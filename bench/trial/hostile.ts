/**
 * Hostile tenants. A thread of this process tries as many inputs of each kind as the time allows (test/scenarios/hostile/kinds). Beside it
 * an operator on a real API server serves ten healthy pipelines, and a tenant that attacks it.
 */
import { Worker } from 'node:worker_threads'
import { mostMessage, printable } from '../../api/printable.ts'
import type { TriedKinds } from '../../test/scenarios/hostile/kind.ts'
import type { Scope } from '../../test/support/scope.ts'
import { percentile } from '../support/statistics.ts'
import { runSiege } from './siege.ts'

interface HostileOptions {
  readonly seconds: number
  readonly seed: number
  readonly progress: (line: string) => void
}

interface HostileResult {
  readonly ok: boolean
  readonly seed: number
  readonly operatorExits: number
  readonly leaseLost: number
  /** Delay of a healthy pipeline's looks, p99. */
  readonly neighbourLateMs: number
  readonly neighbourLooks: number
  /** The operator with all its processes. */
  readonly peakRssMiB: number
  /** Inputs by kind: in process, and live. */
  readonly tried: Readonly<Record<string, number>>
  readonly inputs: number
  readonly harms: readonly string[]
}

/** charts/streampipeline-operator/values.yaml */
const limitMiB = 384
const leastInputs = 1_000_000

export async function tryHostile(scope: Scope, { seconds, seed, progress }: HostileOptions): Promise<HostileResult> {
  const forMs = seconds * 1_000
  const inThread = tryInThread(scope, seed, forMs)
  const siege = await runSiege(scope, { forMs, seed, progress })
  const { tried, harms } = await inThread
  const inputs = Object.values(tried).reduce((sum, count) => sum + count, 0)
  // The inputs within are hostile to a terminal, too.
  const shown = harms.slice(0, 20).map((harm) => printable(harm, mostMessage))
  for (const harm of shown.slice(0, 5)) progress(harm)
  const neighbourLateMs = Math.round(percentile(siege.lateMs, 0.99))
  const enough = seconds < 600 || inputs >= leastInputs
  const calm = siege.operatorExits + siege.leaseLost + harms.length === 0 && neighbourLateMs <= 1_000
  return {
    ok: enough && calm && siege.peakRssMiB < limitMiB,
    seed,
    operatorExits: siege.operatorExits,
    leaseLost: siege.leaseLost,
    neighbourLateMs,
    neighbourLooks: siege.lateMs.length,
    peakRssMiB: Math.round(siege.peakRssMiB * 10) / 10,
    tried: { ...tried, ...siege.tried },
    inputs,
    harms: shown,
  }
}

/** Tries inputs for `forMs`, or until there were enough of them, whichever is later; for twice `forMs` at most. */
async function tryInThread(scope: Scope, seed: number, forMs: number): Promise<TriedKinds> {
  const worker = new Worker(new URL('./hostilethread.ts', import.meta.url), {
    workerData: { seed, forMs, least: forMs >= 600_000 ? leastInputs : 0 },
  })
  scope.after(async () => void (await worker.terminate()))
  return await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}
