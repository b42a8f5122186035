/** A random history of one pipeline: what people, the cluster, the network, Redis and the operator's own machine do to it. */
import type { ApiServer } from './apiserver.ts'
import { type OperatorProcess, startOperator } from './operator.ts'
import { images } from './pods.ts'
import type { ServerState } from './redis.ts'
import { firstSpec, placeOf, type Spec, serverOf, specOf, streamOf, unsoundMark } from './specs.ts'
import { deploymentKey, key, name, namespace, type SentStatus, secretKey, type World } from './world.ts'

export interface History {
  /** One line for each thing that happened: `12.3 s  image consumer:2`. */
  readonly lines: readonly string[]
  /** The status at the end, as if it were sent then; undefined: the pipeline has none. */
  readonly standing: SentStatus | undefined
}

interface Observer {
  readonly onFailure: (thrown: unknown) => void
  /** An operator begins. */
  readonly onStart: (atMs: number) => void
  /** The network begins to fail, or stops failing. */
  readonly onFault: (atMs: number) => void
}

/** Time of the faults, and of the calm after them. Some parts look only every half minute for the end of faults. */
const failingMs = 150_000
const calmMs = 80_000

const states: readonly ServerState[] = ['Refused', 'Silent', 'WrongPassword', 'Loading', 'Replica', 'NoRights', 'WrongType']
const scalings: readonly Spec['scaling'][] = [
  { policy: 'Active', minReplicas: 1, maxReplicas: 4 },
  { policy: 'Active', minReplicas: 0, maxReplicas: 3 },
  { policy: 'Active', minReplicas: 2, maxReplicas: 5 },
  { policy: 'Manual', minReplicas: 1, maxReplicas: 4 },
]

export async function live(world: World, { onFailure, onStart, onFault }: Observer): Promise<History> {
  const { time, random, api, redis, pods, deployments } = world
  const lines: string[] = []
  const between = (low: number, high: number) => low + (high - low) * random()
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const note = (line: string) => void lines.push(`${(time.nowMs / 1000).toFixed(1)} s  ${line}`)
  let operator: OperatorProcess | undefined
  let calm = false
  const undo: (() => void)[] = []

  /** Undone after `ms`, or at the end of the history at the latest. */
  function passing(line: string, ms: number, back: () => void): void {
    note(`${line}, for ${(ms / 1000).toFixed(1)} s`)
    let isBack = false
    const once = () => {
      if (isBack) return
      isBack = true
      note(`(${line.split(' ').slice(0, 3).join(' ')} is over)`)
      back()
    }
    undo.push(once)
    time.at(ms, once)
  }

  function start(): void {
    if (operator !== undefined) return
    note('an operator starts')
    onStart(time.nowMs)
    operator = startOperator(world, onFailure)
  }

  const spec = (): Spec => {
    const pipeline = api.get('streampipelines', key)
    return pipeline === undefined ? firstSpec : specOf(pipeline)
  }
  const create = () =>
    void api.create('streampipelines', {
      apiVersion: 'streampipeline.dev/v1alpha1',
      kind: 'StreamPipeline',
      metadata: { name, namespace },
      spec: firstSpec,
    })
  const change = (line: string, patch: object) => {
    note(`spec: ${line}`)
    api.change('streampipelines', key, { spec: patch })
  }
  const inSpec = () => ({ server: serverOf(spec()), stream: streamOf(spec()) })

  const bySpec: readonly (() => void)[] = [
    () => {
      const image = random() < 0.5 ? pick(images.slice(0, 3)) : pick(images)
      change(`image ${image}`, { consumer: { image } })
    },
    () => {
      const server = pick(['redis-a', 'redis-b'])
      change(`redis ${server}`, { redis: { url: `redis://${server}:6379/0` } })
    },
    () => {
      const stream = pick(['s1', 's2'])
      change(`stream ${stream}`, { source: { stream } })
    },
    () => {
      const scaling = pick(scalings)
      const replicas = scaling.policy === 'Manual' ? Math.floor(between(0, 5)) : 1
      change(`${scaling.policy} ${scaling.policy === 'Manual' ? replicas : `${scaling.minReplicas} to ${scaling.maxReplicas}`}`, {
        scaling,
        replicas,
      })
    },
    () => change(spec().suspend ? 'goes on' : 'suspended', { suspend: !spec().suspend }),
    () => change(spec().mode === 'Stream' ? 'Direct' : 'Stream', { mode: spec().mode === 'Stream' ? 'Direct' : 'Stream' }),
    () =>
      change('unsound', { payload: spec().payload === undefined ? { encoding: 'JSON', schema: { [unsoundMark]: true } } : null }),
    () => change('misspelt', { consumer: { affinity: spec().consumer.affinity === undefined ? { nodeAfinity: {} } : null } }),
    () =>
      change('password', {
        redis: {
          passwordFrom: spec().redis.passwordFrom === undefined ? { secretKeyRef: { name: 'creds', key: 'password' } } : null,
        },
      }),
    () => {
      const isPaused = api.get('streampipelines', key)?.metadata.annotations?.['streampipeline.dev/reconcile'] === 'disabled'
      note(isPaused ? 'reconciling enabled' : 'reconciling disabled')
      api.change('streampipelines', key, {
        metadata: { annotations: { 'streampipeline.dev/reconcile': isPaused ? null : 'disabled' } },
      })
    },
  ]
  const byPods: readonly (() => void)[] = [
    () => {
      const pod = pick(pods.list().filter(({ ready }) => ready))
      if (pod === undefined) return
      const [ill, ms] = [pick(['Probe', 'Crash', 'Evicted', 'Node'] as const), between(2_000, 60_000)]
      note(`pod ${pod.key}: ${ill} for ${(ms / 1000).toFixed(0)} s`)
      pods.strike(pod.key, ill, ms)
    },
    () => {
      pods.full = true
      passing('nodes full', between(5_000, 50_000), () => {
        pods.full = false
      })
    },
    () => {
      deployments.quota = Math.floor(between(0, 4))
      passing(`quota of ${deployments.quota} pods`, between(5_000, 60_000), () => {
        deployments.quota = undefined
        deployments.touch(deploymentKey)
      })
    },
    () => {
      deployments.slowMs = between(500, 4_000)
      passing('slow Deployment controller', between(5_000, 30_000), () => {
        deployments.slowMs = 0
      })
    },
  ]
  const byServer: readonly (() => void)[] = [
    () => {
      api.network.down = true
      onFault(time.nowMs)
      api.breakWatches()
      passing('API server away', random() < 0.6 ? between(500, 6_000) : between(6_000, 45_000), () => {
        api.network.down = false
        onFault(time.nowMs)
      })
    },
    () => {
      api.network.unwatched = pick(['*', 'pods', 'deployments', 'streampipelines', 'configmaps'])
      onFault(time.nowMs)
      api.breakWatches(api.network.unwatched === '*' ? undefined : api.network.unwatched)
      passing(`watches of ${api.network.unwatched} refused`, between(2_000, 90_000), () => {
        api.network.unwatched = undefined
        onFault(time.nowMs)
      })
    },
    () => {
      api.network.hangs = true
      onFault(time.nowMs)
      passing('API server hangs', between(2_000, 40_000), () => {
        api.network.hangs = false
        onFault(time.nowMs)
      })
    },
    () => {
      api.network.slowMs = between(2_000, 25_000)
      onFault(time.nowMs)
      passing(`writes slow, up to ${(api.network.slowMs / 1000).toFixed(0)} s`, between(5_000, 40_000), () => {
        api.network.slowMs = 0
      })
    },
    () => {
      Object.assign(api.network, { errors: 0.4 * random(), lost: 0.4 * random() })
      onFault(time.nowMs)
      passing('errors and lost replies', between(5_000, 40_000), () => {
        Object.assign(api.network, { errors: 0, lost: 0 })
        onFault(time.nowMs)
      })
    },
    () => {
      if (random() < 0.4) api.compact()
      note('watches break')
      api.breakWatches(random() < 0.5 ? undefined : pick(['pods', 'deployments', 'streampipelines']))
    },
    () => {
      world.refusal = { kind: pick(['Quota', 'Rights'] as const), plural: pick(['deployments', 'configmaps']) }
      passing(`writes of ${world.refusal.plural} refused by ${world.refusal.kind}`, between(5_000, 60_000), () => {
        world.refusal = undefined
      })
    },
    () => {
      if (api.get('secrets', secretKey) === undefined) return
      api.remove('secrets', secretKey)
      passing('Secret gone', between(5_000, 60_000), () => void makeSecret(api))
    },
  ]
  const byRedis: readonly (() => void)[] = [
    () => {
      const [{ server }, state] = [inSpec(), pick(states)]
      redis.setState(server, state)
      passing(`${server} is ${state}`, between(1_000, 70_000), () => redis.setState(server, 'Up'))
    },
    () => {
      const { server, stream } = inSpec()
      const { undelivered, lost } = redis.stream(server, stream)
      note(`${undelivered} entries of ${stream} trimmed`)
      redis.setStream(server, stream, { undelivered: 0, lost: lost + undelivered })
    },
    () => {
      world.load = pick([0, 0, 1, 20, 100])
      note(`load ${world.load}/s`)
    },
    () => {
      const { server, stream } = inSpec()
      const { undelivered, added, oldestMs, dead } = redis.stream(server, stream)
      const more = Math.floor(between(1, 5_000))
      note(`${more} entries into ${stream}`)
      redis.setStream(server, stream, {
        undelivered: undelivered + more,
        added: added + more,
        lastAddedMs: time.nowMs,
        oldestMs: undelivered > 0 ? oldestMs : time.nowMs,
        dead: dead + Math.floor(random() * 3),
      })
    },
    () => {
      const { server, stream } = inSpec()
      const more = random() < 0.5 ? { queuePaused: true } : { queueWaiting: 2_000 }
      redis.setStream(server, stream, more)
      passing(`queue ${JSON.stringify(more)}`, between(3_000, 40_000), () =>
        redis.setStream(server, stream, { queuePaused: false, queueWaiting: 0 }),
      )
    },
    () => {
      const { server, stream } = inSpec()
      redis.setStream(server, stream, { claimed: true })
      passing(`${stream} claimed by another`, between(5_000, 60_000), () => redis.setStream(server, stream, { claimed: false }))
    },
  ]
  const byOthers: readonly (() => void)[] = [
    () =>
      edit('deployments', 'image', { spec: { template: { spec: { containers: [{ name: 'consumer', image: pick(images) }] } } } }),
    () => edit('deployments', 'replicas', { spec: { replicas: Math.floor(between(0, 5)) } }),
    () => edit('deployments', 'paused', { spec: { paused: true } }),
    () => edit('configmaps', 'data', { data: { 'pipeline.yaml': 'spoilt' } }),
    () => drop('deployments'),
    () => drop('configmaps'),
    () => drop('serviceaccounts'),
    () => {
      note('pipeline deleted')
      api.remove('streampipelines', key)
      passing('no pipeline', between(3_000, 8_000), create)
    },
  ]
  const byOperator: readonly (() => void)[] = [
    () => {
      if (operator === undefined) return
      note('the operator is killed')
      operator.kill()
      operator = undefined
      time.at(between(500, 20_000), start)
    },
    () => {
      if (operator === undefined) return
      note('the operator stops')
      const old = operator
      operator = undefined
      // The next one begins when this one has ended.
      old.stop().then(() => time.at(200, start), onFailure)
    },
    () => {
      note('the processes that look at Redis end')
      operator?.endLooks()
    },
  ]

  function edit(plural: string, what: string, patch: object): void {
    note(`somebody changes ${what} of ${plural}/${deploymentKey}`)
    api.change(plural, deploymentKey, patch, random() < 0.5 ? 'kubectl-edit' : 'policy')
    if (what === 'paused') undo.push(() => void api.change('deployments', deploymentKey, { spec: { paused: null } }))
  }

  function drop(plural: string): void {
    note(`somebody deletes ${plural}/${deploymentKey}`)
    api.remove(plural, deploymentKey)
  }

  const all = [bySpec, bySpec, byPods, byServer, byRedis, byOthers, byOperator]
  const chosen = all.filter(() => random() < 0.6)
  const kinds = chosen.length === 0 ? all : chosen
  const everyMs = between(2_000, 15_000)
  function fault(): void {
    if (calm) return
    time.at(between(0.1, 2) * everyMs, fault)
    pick(pick(kinds))()
  }

  makeSecret(api)
  create()
  start()
  tick(world)
  time.at(between(2_000, 20_000), fault)
  await time.runUntil(failingMs)
  calm = true
  for (const back of undo) back()
  note('calm')
  await time.runUntil(failingMs + calmMs)
  operator?.kill()
  const { uid } = api.get('streampipelines', key)?.metadata ?? {}
  const status = api.get('streampipelines', key)?.status as SentStatus['status'] | undefined
  return { lines, standing: status && { atMs: time.nowMs, status, before: status, uid } }
}

function makeSecret(api: ApiServer): void {
  if (api.get('secrets', secretKey) === undefined)
    api.create('secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: 'creds' },
      data: { password: 'cDRzcw==' },
    })
}

/** Producers and consumers, once a second. */
function tick(world: World): void {
  const { time, api, redis, pods, load } = world
  time.at(1_000, () => tick(world))
  const pipeline = api.get('streampipelines', key)
  if (pipeline !== undefined && load > 0) add(world, specOf(pipeline), load)
  const byPlace = new Map<string, { server: string; stream: string; ready: number; names: Map<string, string> }>()
  for (const pod of pods.list()) {
    const place = pod.running ? placeOf(pod.config) : undefined
    if (place === undefined || redis.server(place.server).state !== 'Up') continue
    const id = `${place.server} ${place.stream}`
    const held = byPlace.get(id) ?? { ...place, ready: 0, names: new Map<string, string>() }
    byPlace.set(id, held)
    held.names.set(pod.key.slice(namespace.length + 1), `${place.owner}/${pod.uid}`)
    if (pod.ready && !pod.leaving) held.ready += 1
  }
  for (const { server, stream, ready, names } of byPlace.values()) {
    const truth = redis.stream(server, stream)
    const consumers = new Map(truth.consumers)
    for (const [consumer, uid] of names) consumers.set(consumer, { uid, beatMs: time.nowMs })
    const taken = Math.min(truth.undelivered, 20 * ready)
    redis.setStream(server, stream, { consumers, undelivered: truth.undelivered - taken, pending: Math.min(taken, 3 * ready) })
  }
}

function add({ redis, time }: World, spec: Spec, count: number): void {
  const [server, stream] = [serverOf(spec), streamOf(spec)]
  if (redis.server(server).state !== 'Up' || spec.mode === 'Direct') return
  const { undelivered, added, oldestMs } = redis.stream(server, stream)
  redis.setStream(server, stream, {
    undelivered: undelivered + count,
    added: added + count,
    lastAddedMs: time.nowMs,
    oldestMs: undelivered > 0 ? oldestMs : time.nowMs,
  })
}
