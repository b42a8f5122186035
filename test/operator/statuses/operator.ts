/**
 * One process of the operator, of its real parts, over the simulated cluster: caches with their watches, queue, controller, reconciler,
 * and the watchers of Redis. Left out are the election, the claims of namespaces, and the processes behind the wall: observations pass
 * in the form in which the wall would send them, and as late.
 */
import { createCaches } from '../../../operator/caches.ts'
import { mattersTo } from '../../../operator/instance.ts'
import { createApplier } from '../../../operator/kubernetes/apply.ts'
import { createController, shares } from '../../../operator/kubernetes/controller.ts'
import { keyOf } from '../../../operator/kubernetes/objects.ts'
import { createQueue, type WorkQueue } from '../../../operator/kubernetes/queue.ts'
import { createRecorder } from '../../../operator/kubernetes/recorder.ts'
import { noLimits } from '../../../operator/limits.ts'
import { createReferenceReader } from '../../../operator/observe/referencereader.ts'
import type { Watched } from '../../../operator/observe/watcher.ts'
import { createWatchers, type PipelineWatchers } from '../../../operator/observe/watchers.ts'
import { mainManager, pipelineType, podType } from '../../../operator/plan/kinds.ts'
import type { Observation } from '../../../operator/plan/observed.ts'
import { createConfirmation } from '../../../operator/reaping/confirmation.ts'
import { createReconciler, type Reconciler } from '../../../operator/reconcile.ts'
import { createRewind } from '../../../operator/rewind.ts'
import { observationFrom, wireObservation } from '../../../operator/wall/wire.ts'
import { unsoundMark } from './specs.ts'
import type { World } from './world.ts'

export interface OperatorProcess {
  /** Resolves when all that it started has ended, at most ten seconds later. */
  stop(): Promise<void>
  /** Ends it at once: no reply and no timer reaches it any more. */
  kill(): void
  /** The processes behind the wall end, and others begin. */
  endLooks(): void
}

const graceMs = 10_000
const everyMs = 5_000
const quietMs = 120_000
export const defaultImage = 'consumer:1'

export function startOperator(world: World, onFailure: (thrown: unknown) => void): OperatorProcess {
  const { time, random, api } = world
  let living = true
  const alive = () => living
  const clock = time.clock(alive, random)
  const transport = api.transport(alive)
  const stop = new AbortController()
  const cut = new AbortController()
  const watching = new AbortController()
  const applier = createApplier(transport, mainManager, clock)
  const queue: WorkQueue = createQueue(clock, {}, shares)
  const recorder = createRecorder({ transport, clock, controller: 'trial', instance: 'trial' })
  let reconciler: Reconciler | undefined

  const heard = (key: string) => {
    reconciler?.touched(key)
    queue.add(key, caches.views.synced ? 'Changed' : 'Resynced')
  }
  const lookAgain = () => {
    for (const object of caches.pipelines.list()) queue.add(keyOf(object), 'Resynced')
  }
  const rewind = createRewind({
    clock,
    relist: () => caches.views.relist(),
    forget() {
      applier.forgetAll()
      reconciler?.forgetAll()
      lookAgain()
    },
  })
  const caches = createCaches({
    transport,
    clock,
    namespaces: [],
    podMonitor: false,
    onPipeline(key, change) {
      if (change.kind === 'Removed' || mattersTo(change.before, change.object)) heard(key)
    },
    onChild(key, type, change) {
      if (change.kind === 'Removed') applier.forget(type, change.key, change.before.metadata.uid)
      heard(key)
    },
    onPod: heard,
    onBackoff: () => {},
    onView: lookAgain,
    onRewound: () => rewind.notice(),
    onHandlerFailure: onFailure,
  })
  const ended = new AbortController()
  const reader = createReferenceReader(transport, clock, noLimits, ended.signal)
  const looks = createLooks(world, alive, {
    reader,
    confirmGone: createConfirmation({
      transport,
      clock,
      cached: caches.pods.get,
      isKnown: (within) => caches.views.isKnown(podType, within),
      signal: ended.signal,
    }),
    onChange: (key, urgent) => queue.add(key, urgent ? 'Changed' : 'Observed'),
    onFailure,
    isGone: ({ namespace, name, uid }) =>
      caches.views.isKnown(pipelineType, namespace) && caches.pipelines.get(`${namespace}/${name}`)?.metadata.uid !== uid,
  })

  async function lead(): Promise<void> {
    await caches.views.whenSettled()
    if (stop.signal.aborted) return
    reconciler = createReconciler({
      transport,
      clock,
      caches,
      applier,
      recorder,
      reader,
      watchers: looks.watchers,
      settings: {
        consumerImage: defaultImage,
        networkPolicy: false,
        podMonitor: false,
        limits: noLimits,
        manyTeams: false,
        referencesEveryMs: 30_000,
        observeEveryMs: everyMs,
        numbersEveryMs: 10_000,
        retryEveryMs: 5_000,
        quietMs,
        signingKey: Buffer.alloc(32, 7),
      },
      judge: async (_key, _version, value) =>
        JSON.stringify(value).includes(unsoundMark)
          ? [{ field: 'spec.payload.schema', message: 'strict mode: unknown keyword' }]
          : [],
    })
    lookAgain()
    const controller = createController(queue, reconciler.reconcile, { clock, workers: 4 })
    await controller.run(stop.signal, cut.signal)
    ended.abort()
    await looks.close()
  }

  const running = Promise.all([caches.run(watching.signal), lead()]).catch(onFailure)
  return {
    async stop() {
      stop.abort()
      queue.close()
      rewind.close()
      clock.after(graceMs, () => cut.abort())
      // The watches outlive the last reconcile, as in the product.
      clock.after(graceMs, () => watching.abort())
      await running
    },
    kill() {
      living = false
      ended.abort()
      stop.abort()
      cut.abort()
      watching.abort()
    },
    endLooks: looks.restart,
  }
}

interface LooksParts {
  readonly reader: ReturnType<typeof createReferenceReader>
  readonly confirmGone: ReturnType<typeof createConfirmation>
  readonly isGone: (holder: { readonly namespace: string; readonly name: string; readonly uid: string }) => boolean
  readonly onChange: (key: string, urgent: boolean) => void
  readonly onFailure: (thrown: unknown) => void
}

/** The host's side of the wall (operator/wall/looks/host.ts): it holds the last observation, and introduces it to a new process. */
function createLooks({ time, random, redis }: World, isAlive: () => boolean, parts: LooksParts) {
  const observations = new Map<string, Observation>()
  const watched = new Map<string, Watched>()
  let generation = 0
  let inner = start()

  function start(): PipelineWatchers {
    const mine = ++generation
    const alive = () => isAlive() && generation === mine
    const clock = time.clock(alive, random)
    const cross = (call: () => void) => clock.after(1 + 5 * random(), call)
    return createWatchers({
      clock,
      everyMs,
      quietMs,
      referencesEveryMs: 30_000,
      reader: parts.reader,
      locate: (_namespace, address) => address,
      confirmGone: parts.confirmGone,
      claims: { cluster: 'trial', isGone: async (holder) => holder.cluster === 'trial' && parts.isGone(holder) },
      connections: redis.connections(alive),
      wakers: () => ({ sleeps: () => {}, awake: () => {}, refusal: () => undefined, close: async () => {} }),
      onReaped: () => {},
      onReapingFailure: () => {},
      onLook(key, observation) {
        const sent = JSON.stringify(wireObservation(observation, watched.get(key)?.livingPods ?? new Set()))
        cross(() => {
          if (watched.has(key)) observations.set(key, observationFrom(JSON.parse(sent)))
        })
      },
      // An observation crosses the wall within 6 ms. The news of its change comes after 7 ms, since messages keep their order.
      onChange: (key, urgent) => void clock.after(7, () => parts.onChange(key, urgent)),
      onFailure: (_key, thrown) => parts.onFailure(thrown),
    })
  }

  const watchers: PipelineWatchers = {
    watch(key, next) {
      watched.set(key, next)
      inner.watch(key, next)
    },
    unwatch(key) {
      watched.delete(key)
      observations.delete(key)
      inner.unwatch(key)
    },
    observation: (key) => observations.get(key) ?? { kind: 'None' },
    pipeline: (key) => watched.get(key)?.pipeline,
    close: async () => await inner.close(),
  }
  return {
    watchers,
    close: watchers.close,
    restart() {
      const old = inner
      inner = start()
      old.close().catch(parts.onFailure)
      for (const [key, each] of watched) inner.watch(key, each, observations.get(key))
    },
  }
}
