/** Faults of an ordinary day, and of a bad one, under traffic. At the end the ledger shows whether an entry was lost or doubled. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { get, kubectl } from '../commands.ts'
import { crash } from '../crash.ts'
import { crashNode } from '../nodecrash.ts'
import { patience, until } from '../patience.ts'
import {
  consumerPods,
  isReady,
  operatorNamespace,
  type Pod,
  patch,
  pipelinesNamespace,
  restartsOf,
  settled,
  untilStatus,
} from '../pipeline.ts'
import type { Report } from '../stage.ts'
import type { Traffic } from '../traffic.ts'

export const perSecond = 300
const now = ['--grace-period=0', '--force'] as const

export async function under(traffic: Traffic, work: () => Promise<void>): Promise<void> {
  const flow = traffic.flow(perSecond)
  try {
    await sleep(1_000)
    await work()
    await sleep(1_000)
  } finally {
    await flow.stop()
  }
}

/** Who leads: the name of a pod, and which life of it. */
export const holder = async (): Promise<string> =>
  (await get<{ spec: { holderIdentity?: string } }>('-n', operatorNamespace, 'lease', 'streampipeline-operator')).spec
    .holderIdentity ?? ''

const readyConsumers = async (): Promise<readonly Pod[]> => (await consumerPods()).filter(isReady)

const soonMs = 60_000

/** One crashes and comes back under its name, the other is taken away for good. */
export async function killConsumers(traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    const [first, second] = await until(async () => {
      const [one, other] = await readyConsumers()
      if (one === undefined || other === undefined) throw new Error('there are no two consumers to kill')
      return [one, other] as const
    }, soonMs)
    await crash(pipelinesNamespace, first.metadata.name)
    await until(
      async () => (await readyConsumers()).some((pod) => pod.metadata.uid === first.metadata.uid && restartsOf(pod) > 0),
      soonMs,
    )
    await kubectl('-n', pipelinesNamespace, 'delete', 'pod', second.metadata.name, ...now)
    await until(async () => (await readyConsumers()).length >= 2, soonMs)
  })
  await untilStatus('settled', settled)
}

/** Which life of the server answers. */
const lifeOf = async (redis: Redis): Promise<string> => /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1] ?? ''

/** Asks that life of the server to end. The tunnel may break before the request arrives. */
async function shutDown(redis: Redis, life: string): Promise<void> {
  // A broken connection answers SHUTDOWN. A client that reconnects would send the command again, and end the next server too.
  const once = redis.duplicate({ autoResendUnfulfilledCommands: false, retryStrategy: () => null })
  once.on('error', () => undefined)
  try {
    if ((await lifeOf(once)) === life) await once.call('SHUTDOWN', 'NOSAVE', 'NOW', 'FORCE')
  } catch {
    // Ended, or never reached: the next look shows which of the two.
  } finally {
    once.disconnect()
  }
}

export async function restartRedis(report: Report, traffic: Traffic, redis: Redis): Promise<void> {
  await under(traffic, async () => {
    const first = await lifeOf(redis)
    await until(async () => {
      if ((await lifeOf(redis)) !== first) return true
      await shutDown(redis, first)
      return false
    }, soonMs)
    await until(async () => {
      const pod = await get<Pod>('-n', pipelinesNamespace, 'pod', 'redis-0')
      return restartsOf(pod) >= 1 && isReady(pod)
    }, soonMs)
  })
  await untilStatus('settled', settled)
  await report.capture(
    'Redis was restarted',
    'Consumers wait for Redis, and continue. None of them restarts for that. If the output counts a restart of a consumer, it happened before Redis restarted.',
    ['kubectl', '-n', pipelinesNamespace, 'get', 'pods'],
  )
}

export async function killLeader(report: Report, traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    // A slow API server may have cost the leader its Lease. Then nobody leads for a moment, and this waits for a leader.
    const before = await until(holder, soonMs)
    const began = performance.now()
    await crash(operatorNamespace, before.split('_')[0] ?? '')
    await until(async () => ![before, ''].includes(await holder()), 40_000, 200)
    report.measure('leader crashed to the next one leading', (performance.now() - began) / 1000, 's', 17)
  })
  await kubectl('-n', operatorNamespace, 'rollout', 'status', 'deployment', `--timeout=${patience(60)}`)
}

export async function rollUnderLoad(traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    const before = new Set((await consumerPods()).map(({ metadata }) => metadata.uid))
    // The queue is the ledger and keeps growing: it must not be what stops them.
    await patch({ source: { batchSize: 20 }, sink: { bullmq: { maxWaiting: 1_000_000 } } })
    await until(async () => {
      const pods = await consumerPods()
      return pods.length >= 2 && pods.every((pod) => !before.has(pod.metadata.uid) && isReady(pod))
    }, 90_000)
  })
  await untilStatus('settled', settled)
}

/** Replicas that only faults and releases change. */
export async function justTwo(): Promise<void> {
  await patch({ scaling: { minReplicas: 2, maxReplicas: 2 } })
  await untilStatus('two, no more', ({ replicas, readyReplicas }) => replicas === 2 && readyReplicas === 2)
  await until(async () => {
    const pods = await consumerPods()
    return pods.length === 2 && pods.every(isReady)
  }, soonMs)
}

/** Operator, consumers and Redis, all of one node and at one time, while entries are added and forwarded. */
export async function killNode(report: Report, traffic: Traffic): Promise<void> {
  // No consumer comes or goes between the list of pods and their end.
  await justTwo()
  await under(traffic, async () => {
    const everywhere = await Promise.all(
      [pipelinesNamespace, operatorNamespace].map(async (each) => (await get<{ items: Pod[] }>('-n', each, 'pods')).items),
    )
    const node = everywhere.flat().find(({ metadata }) => metadata.name === 'redis-0')?.spec.nodeName
    const isThere = ({ metadata, spec, status }: Pod) =>
      spec.nodeName === node && status.phase === 'Running' && metadata.deletionTimestamp === undefined
    const pods = everywhere.flat().filter(isThere)
    const image = everywhere[1]?.[0]?.spec.containers[0]?.image
    if (node === undefined || image === undefined) throw new Error('Redis or the operator is on no node')
    const { killed, at } = await crashNode({ node, image, pods: pods.map(({ metadata }) => metadata.name) })
    report.note(`${killed} processes of ${pods.length} pods killed`)
    const jobs = await traffic.jobs()
    await until(async () => (await traffic.jobs()) > jobs, 90_000, 200)
    report.measure("a node's containers killed to the next job", (Date.now() - at) / 1000, 's')
    const before = new Map(pods.map((pod) => [pod.metadata.uid, restartsOf(pod)]))
    const back = async (namespace: string) => {
      const { items } = await get<{ items: Pod[] }>('-n', namespace, 'pods')
      return items.filter(isThere).every((pod) => isReady(pod) && restartsOf(pod) > (before.get(pod.metadata.uid) ?? -1))
    }
    await until(async () => (await back(pipelinesNamespace)) && (await back(operatorNamespace)), 120_000, 500)
    report.measure("a node's containers killed to all ready again", (Date.now() - at) / 1000, 's')
  })
  await untilStatus('settled', settled)
}
