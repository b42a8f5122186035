/** What breaks on an ordinary day, under traffic. Whether anything is lost or doubled, the ledger tells at the end. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { eventually } from '../../support/wait.ts'
import { get, helm, kubectl } from '../commands.ts'
import { crash } from '../crash.ts'
import {
  chart,
  consumerPods,
  operatorNamespace,
  type Pod,
  patch,
  pipelinesNamespace,
  release,
  settled,
  untilStatus,
} from '../pipeline.ts'
import type { Report } from '../stage.ts'
import type { Traffic } from '../traffic.ts'

const perSecond = 300
const now = ['--grace-period=0', '--force'] as const
const restarts = (pods: readonly Pod[]) =>
  pods.map(({ metadata, status }) => `${metadata.uid} ${status.containerStatuses?.[0]?.restartCount}`).sort()

async function under(traffic: Traffic, work: () => Promise<void>): Promise<void> {
  const flow = traffic.flow(perSecond)
  try {
    await sleep(1_000)
    await work()
    await sleep(1_000)
  } finally {
    await flow.stop()
  }
}

const holder = async (): Promise<string> =>
  (await get<{ spec: { holderIdentity?: string } }>('-n', operatorNamespace, 'lease', 'streampipeline-operator')).spec
    .holderIdentity ?? ''

const readyConsumers = async (): Promise<readonly Pod[]> =>
  (await consumerPods()).filter(({ status }) => status.containerStatuses?.[0]?.ready === true)

const soon = { timeoutMs: 60_000, intervalMs: 300 }

/** One crashes and comes back under its name, the other is taken away for good. */
export async function killConsumers(traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    const [first, second] = await consumerPods()
    if (first === undefined || second === undefined) throw new Error('there are no two consumers to kill')
    await crash(pipelinesNamespace, first.metadata.name)
    await eventually(async () => {
      const again = (await readyConsumers()).find(({ metadata }) => metadata.uid === first.metadata.uid)
      return (again?.status.containerStatuses?.[0]?.restartCount ?? 0) > 0
    }, soon)
    await kubectl('-n', pipelinesNamespace, 'delete', 'pod', second.metadata.name, ...now)
    await eventually(async () => (await readyConsumers()).length >= 2, soon)
  })
  await untilStatus('settled', settled)
}

export async function restartRedis(report: Report, traffic: Traffic, redis: Redis): Promise<void> {
  await under(traffic, async () => {
    // The answer is the broken connection; sent again by a client that finds back, it would end the next server too.
    const once = redis.duplicate({ autoResendUnfulfilledCommands: false, retryStrategy: () => null })
    once.on('error', () => undefined)
    await once.call('SHUTDOWN', 'NOSAVE', 'NOW', 'FORCE').catch(() => undefined)
    once.disconnect()
    await eventually(
      async () => {
        const pod = await get<Pod>('-n', pipelinesNamespace, 'pod', 'redis-0')
        const [container] = pod.status.containerStatuses ?? []
        return (container?.restartCount ?? 0) >= 1 && container?.ready === true
      },
      { timeoutMs: 60_000, intervalMs: 300 },
    )
  })
  await untilStatus('settled', settled)
  await report.capture('Redis was restarted', 'Consumers wait and go on; nobody restarts them.', [
    'kubectl',
    '-n',
    pipelinesNamespace,
    'get',
    'pods',
  ])
}

export async function killLeader(report: Report, traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    const before = await holder()
    const began = performance.now()
    await crash(operatorNamespace, before.split('_')[0] ?? '')
    await eventually(async () => ![before, ''].includes(await holder()), { timeoutMs: 40_000, intervalMs: 200 })
    report.measure('leader crashed to the next one leading', (performance.now() - began) / 1000, 's', 17)
  })
  await kubectl('-n', operatorNamespace, 'rollout', 'status', 'deployment', '--timeout=60s')
}

export async function rollUnderLoad(traffic: Traffic): Promise<void> {
  await under(traffic, async () => {
    const before = new Set((await consumerPods()).map(({ metadata }) => metadata.uid))
    // The queue is the ledger and keeps growing: it must not be what stops them.
    await patch({ source: { batchSize: 20 }, sink: { bullmq: { maxWaiting: 1_000_000 } } })
    await eventually(
      async () => {
        const pods = await consumerPods()
        return (
          pods.length >= 2 &&
          pods.every(({ metadata, status }) => !before.has(metadata.uid) && status.containerStatuses?.[0]?.ready)
        )
      },
      { timeoutMs: 90_000, intervalMs: 300 },
    )
  })
  await untilStatus('settled', settled)
}

/** Pods that did not have to start anew must not: same uid, same number of restarts. */
async function withoutRestarts(work: () => Promise<unknown>): Promise<void> {
  const before = restarts(await consumerPods())
  await work()
  const after = restarts(await consumerPods())
  const touched = before.filter((each) => !after.includes(each))
  if (touched.length > 0) throw new Error(`consumers were restarted for nothing: ${touched.join(', ')}`)
}

export async function upgrade(traffic: Traffic): Promise<void> {
  await patch({ scaling: { maxReplicas: 2 } })
  await untilStatus('two, no more', ({ replicas, readyReplicas }) => replicas === 2 && readyReplicas === 2)
  await under(
    traffic,
    async () =>
      await withoutRestarts(async () => {
        await helm('upgrade', release, chart, '-n', operatorNamespace, '--set', 'logLevel=debug', '--wait', '--timeout', '90s')
        await sleep(3_000)
      }),
  )
}

export async function reinstall(traffic: Traffic): Promise<void> {
  await under(
    traffic,
    async () =>
      await withoutRestarts(async () => {
        await helm('uninstall', release, '-n', operatorNamespace, '--wait')
        const before = await traffic.jobs()
        await eventually(async () => (await traffic.jobs()) > before + perSecond, { timeoutMs: 20_000, intervalMs: 200 })
        await kubectl('get', 'crd', 'streampipelines.streampipeline.dev')
        await helm('install', release, chart, '-n', operatorNamespace, '--wait', '--timeout', '90s')
        await sleep(3_000)
      }),
  )
  await untilStatus('settled', settled)
}
