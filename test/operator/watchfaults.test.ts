/**
 * Reflector, store and queue behind a proxy that misbehaves, before a real API server. STREAMPIPELINE_WATCH_FAULTS sets how many
 * seeded runs (1,000 for the bar); a failure names its seed.
 */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createScope } from '../../bench/support/scope.ts'
import { systemClock } from '../../operator/kubernetes/clock.ts'
import { keyOf, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createQueue } from '../../operator/kubernetes/queue.ts'
import { createReflector } from '../../operator/kubernetes/reflector.ts'
import { createStore } from '../../operator/kubernetes/store.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import { configMapType as type } from '../../operator/plan/kinds.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { seed } from '../support/seed.ts'
import { eventually } from '../support/wait.ts'
import { type Cluster, type Loose, startCluster } from './cluster.ts'
import { seededRandom } from './election/simulation.ts'
import { startFaultProxy } from './faultproxy.ts'

const runs = Number(process.env['STREAMPIPELINE_WATCH_FAULTS'] ?? 24)
const atOnce = 8
const steps = 40

test(
  'whatever a proxy does to lists and watches, the cache equals the server within five seconds, and no key is lost',
  needsApiServer,
  async (t) => {
    const cluster = await startCluster(t)
    const misdeeds = new Map<string, number>()
    const rest = Array.from({ length: runs }, (_, n) => seed + n)
    const turn = async () => {
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
        for (const [what, times] of await run(cluster, next)) misdeeds.set(what, (misdeeds.get(what) ?? 0) + times)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, turn))
    t.diagnostic(`${runs} runs from seed ${seed}: ${[...misdeeds].map(([what, times]) => `${what} ${times}`).join(', ')}`)
  },
)

async function run(cluster: Cluster, runSeed: number): Promise<ReadonlyMap<string, number>> {
  const scope = createScope()
  const random = seededRandom(runSeed)
  try {
    const proxy = await startFaultProxy(scope, cluster.server, random)
    const transport = createTransport({
      namespace: undefined,
      current: async () => ({ server: proxy.url, headers: {}, tls: {} }),
    })
    scope.after(() => transport.close())
    const queue = createQueue(systemClock)
    const store = createStore<Loose>({ handlers: [({ key }) => queue.add(key)] })
    const stop = new AbortController()
    const labelSelector = `run=${runSeed}`
    const reflector = createReflector<Loose>({ transport, clock: systemClock, type, namespace: 'default', labelSelector }, store)
    const reflecting = reflector.run(stop.signal)
    /** Version of each object when its key was last worked on; undefined: it was gone. */
    const worked = new Map<string, string | undefined>()
    const working = (async () => {
      for (let taken = await queue.take(); taken !== undefined; taken = await queue.take()) {
        worked.set(taken.key, store.get(taken.key)?.metadata.resourceVersion)
        queue.done(taken.key)
      }
    })()
    scope.after(async () => {
      stop.abort()
      queue.close()
      await Promise.all([reflecting, working])
    })
    await churn(cluster, runSeed, random)
    proxy.calm()
    const path = resourcePath(type, 'default')
    const { items } = (await cluster.transport.request({ method: 'GET', path, query: { labelSelector } })) as { items: Loose[] }
    const truth = Object.fromEntries(items.map((item) => [keyOf(item), item.metadata.resourceVersion]).toSorted())
    await eventually(
      () => {
        const cached = Object.fromEntries(
          store
            .list()
            .map((item) => [keyOf(item), item.metadata.resourceVersion])
            .toSorted(),
        )
        assert.deepEqual(cached, truth, `seed ${runSeed}`)
        const last = Object.fromEntries([...worked].filter(([, version]) => version !== undefined).toSorted())
        assert.deepEqual(last, truth, `seed ${runSeed}: each key was worked on after its last change`)
      },
      { timeoutMs: 5_000 },
    )
    return proxy.done
  } finally {
    await scope.close()
  }
}

/** Creates, changes and deletes a few objects. */
async function churn({ transport }: Cluster, runSeed: number, random: () => number): Promise<void> {
  const living = new Set<string>()
  for (let step = 0; step < steps; step++) {
    // Slow enough for watches to be opened, and broken, in between.
    await sleep(80 * random())
    const name = `r${runSeed}-${Math.floor(random() * 8)}`
    const path = resourcePath(type, 'default', living.has(name) ? name : undefined)
    if (!living.has(name)) {
      const metadata = { name, namespace: 'default', labels: { run: String(runSeed) } }
      await transport.request({
        method: 'POST',
        path,
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { step: '0' } },
      })
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
