/**
 * Reflectors, stores and a queue behind a proxy that misbehaves, before a real API server, by a seed. Once the faults end, the
 * caches equal the server within `limitMs`, each key was worked on after its last change, and there were never more than two
 * connections.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { createScope } from '../../bench/support/scope.ts'
import { keyOf, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createQueue } from '../../operator/kubernetes/queue.ts'
import { createReflector } from '../../operator/kubernetes/reflector.ts'
import { createStore, type MutableStore } from '../../operator/kubernetes/store.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import { configMapType as type } from '../../operator/plan/kinds.ts'
import { systemClock } from '../../process/clock.ts'
import { eventually } from '../support/wait.ts'
import type { Cluster, Loose } from './cluster.ts'
import { fixedSource } from './credentials.ts'
import { seededRandom } from './election/simulation.ts'
import { startFaultProxy } from './faultproxy.ts'

export interface WatchFaultsOptions {
  readonly runs: number
  /** Of the first run; the next has the next. */
  readonly seed: number
  /** From the end of the faults until a cache is right. */
  readonly limitMs: number
  readonly onRun?: (seed: number, failure: Error | undefined) => void
}

export interface WatchFaultsResult {
  readonly runs: number
  readonly failures: readonly { readonly seed: number; readonly error: Error }[]
  /** Counts by fault of the proxy. */
  readonly misdeeds: Readonly<Record<string, number>>
  /** Times from the end of the faults until a cache was right: the median of all runs, and the longest. */
  readonly medianMs: number
  readonly slowestMs: number
  /** At once, in any run. */
  readonly mostConnections: number
}

const atOnce = 8
const steps = 40
/** Watches of one run, all over the same connection. */
const shares = 3

/** Never rejects for a finding of a run. */
export async function tryWatchFaults(cluster: Cluster, options: WatchFaultsOptions): Promise<WatchFaultsResult> {
  const misdeeds: Record<string, number> = {}
  const failures: { seed: number; error: Error }[] = []
  const times: number[] = []
  let mostConnections = 0
  const rest = Array.from({ length: options.runs }, (_, n) => options.seed + n)
  const turn = async () => {
    for (let seed = rest.shift(); seed !== undefined; seed = rest.shift()) {
      const outcome = await tryOne(cluster, seed, options.limitMs)
      for (const [what, count] of outcome.misdeeds) misdeeds[what] = (misdeeds[what] ?? 0) + count
      times.push(Math.round(outcome.tookMs))
      mostConnections = Math.max(mostConnections, outcome.connections)
      if (outcome.error !== undefined) failures.push({ seed, error: outcome.error })
      options.onRun?.(seed, outcome.error)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, turn))
  times.sort((a, b) => a - b)
  const [medianMs = 0, slowestMs = 0] = [times[times.length >> 1], times.at(-1)]
  return { runs: options.runs, failures, misdeeds, medianMs, slowestMs, mostConnections }
}

async function tryOne(cluster: Cluster, seed: number, limitMs: number) {
  const scope = createScope()
  const random = seededRandom(seed)
  const proxy = await startFaultProxy(scope, cluster.server, random)
  let tookMs = 0
  let error: Error | undefined
  try {
    tookMs = await run(scope, cluster, proxy, { seed, random, limitMs })
    assert.ok(proxy.mostConnections <= 2, `${proxy.mostConnections} connections at once`)
  } catch (thrown) {
    error = thrown instanceof Error ? thrown : new Error(String(thrown))
  }
  try {
    await scope.close()
  } catch (thrown) {
    error ??= thrown instanceof Error ? thrown : new Error(String(thrown))
  }
  return { misdeeds: proxy.done, tookMs, connections: proxy.mostConnections, error }
}

type Proxy = Awaited<ReturnType<typeof startFaultProxy>>

async function run(
  scope: ReturnType<typeof createScope>,
  cluster: Cluster,
  proxy: Proxy,
  { seed, random, limitMs }: { readonly seed: number; readonly random: () => number; readonly limitMs: number },
): Promise<number> {
  const transport = createTransport(fixedSource({ server: proxy.url, headers: {}, tls: { ca: proxy.ca } }))
  scope.after(() => transport.close())
  const queue = createQueue(systemClock)
  const stop = new AbortController()
  const stores: MutableStore<Loose>[] = []
  const reflecting = Array.from({ length: shares }, (_, share) => {
    const store = createStore<Loose>({ handlers: [({ key }) => queue.add(key)] })
    stores.push(store)
    const labelSelector = `run=${seed},share=${share}`
    const part = { transport, clock: systemClock, type, namespace: 'default', labelSelector }
    return createReflector<Loose>(part, store).run(stop.signal)
  })
  const cached = () => stores.flatMap((store) => store.list())
  /** Version of each object when its key was last worked on; undefined: it was gone. */
  const worked = new Map<string, string | undefined>()
  const working = (async () => {
    for (let taken = await queue.take(); taken !== undefined; taken = await queue.take()) {
      const { key } = taken
      worked.set(
        key,
        stores.map((store) => store.get(key)?.metadata.resourceVersion).find((version) => version !== undefined),
      )
      queue.done(key)
    }
  })()
  scope.after(async () => {
    stop.abort()
    queue.close()
    await Promise.all([...reflecting, working])
  })
  await churn(cluster, seed, random)
  proxy.calm()
  const calmMs = performance.now()
  const query = { labelSelector: `run=${seed}` }
  const path = resourcePath(type, 'default')
  const { items } = (await cluster.transport.request({ method: 'GET', path, query })) as { items: Loose[] }
  const truth = versions(items)
  await eventually(
    () => {
      assert.deepEqual(versions(cached()), truth, 'the cache equals the server')
      const last = Object.fromEntries([...worked].filter(([, version]) => version !== undefined).toSorted())
      assert.deepEqual(last, truth, 'each key was worked on after its last change')
    },
    { timeoutMs: limitMs },
  )
  return performance.now() - calmMs
}

function versions(objects: readonly Loose[]): Record<string, string | undefined> {
  return Object.fromEntries(objects.map((item) => [keyOf(item), item.metadata.resourceVersion] as const).toSorted())
}

/** Creates, changes and deletes a few objects. */
async function churn({ transport }: Cluster, seed: number, random: () => number): Promise<void> {
  const living = new Set<string>()
  for (let step = 0; step < steps; step++) {
    // Slow enough for watches to be opened, and broken, in between.
    await sleep(80 * random())
    const number = Math.floor(random() * 9)
    const name = `r${seed}-${number}`
    const path = resourcePath(type, 'default', living.has(name) ? name : undefined)
    if (!living.has(name)) {
      const labels = { run: String(seed), share: String(number % shares) }
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', labels }, data: { step: '0' } }
      await transport.request({ method: 'POST', path, body })
      living.add(name)
    } else if (random() < 0.3) {
      await transport.request({ method: 'DELETE', path })
      living.delete(name)
    } else {
      const body = { data: { step: String(step) } }
      await transport.request({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' })
    }
  }
}
