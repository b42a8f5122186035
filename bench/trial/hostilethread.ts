/** The thread that tries inputs of all kinds, and reports their numbers at the end. */
import { parentPort, workerData } from 'node:worker_threads'
import { tryKinds } from '../../test/scenarios/hostile/kind.ts'
import { allKinds } from '../../test/scenarios/hostile/kinds/all.ts'
import { createRandom } from '../../test/scenarios/hostile/payloads.ts'

const { seed, forMs, least } = workerData as { readonly seed: number; readonly forMs: number; readonly least: number }
const random = createRandom(seed)
const tried: Record<string, number> = {}
const harms: string[] = []
const step = 500
let inputs = 0
for (const beganMs = performance.now(); ; ) {
  const found = tryKinds(allKinds, random, step)
  for (const [name, count] of Object.entries(found.tried)) tried[name] = (tried[name] ?? 0) + count
  harms.push(...found.harms)
  inputs += step
  const tookMs = performance.now() - beganMs
  if ((tookMs >= forMs && inputs >= least) || tookMs >= 2 * forMs) break
}
parentPort?.postMessage({ tried, harms })
