/**
 * How long a sleeping pipeline takes to wake: from sending its first entry to the scaled Deployment, as a watch sees it. The
 * operator is the image's bundle in a process of its own. API server and Redis are real, and nothing else runs. Pipelines are
 * woken one by one, then many at once. Others sleep throughout.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { randomFrom } from '../../local/demo/load.ts'
import { type KubernetesObject, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createReflector } from '../../operator/kubernetes/reflector.ts'
import { createStore } from '../../operator/kubernetes/store.ts'
import type { DeploymentObject } from '../../operator/plan/deployment.ts'
import { deploymentType, pipelineType } from '../../operator/plan/kinds.ts'
import type { PipelineObject } from '../../operator/plan/observed.ts'
import { systemClock } from '../../process/clock.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { percentile } from '../support/statistics.ts'
import { startOperated } from './operated.ts'

interface WakeOptions {
  /** Pipelines that sleep throughout. */
  readonly asleep: number
  /** Pipelines woken one by one. */
  readonly wakes: number
  /** Pipelines woken at the same time, at the end. */
  readonly together: number
  readonly seed: number
  readonly progress: (line: string) => void
}

interface WakeResult {
  readonly ok: boolean
  readonly seed: number
  readonly asleep: number
  readonly wakes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly together: number
  readonly togetherP99Ms: number
  /** Connections of the operator to Redis while pipelines sleep, by purpose. */
  readonly connections: Readonly<Record<string, number>>
  /** Pipelines that were scaled without an entry. */
  readonly wokenForNothing: number
}

const wakeBarMs = 250
const namespace = 'default'
const atOnce = 24
const long = { timeoutMs: 300_000, intervalMs: 50 }
const rounded = (ms: number) => Math.round(ms * 10) / 10

export async function runWakes(scope: Scope, options: WakeOptions): Promise<WakeResult> {
  const { asleep, wakes, together, seed, progress } = options
  const random = randomFrom(seed)
  const { redis, client, transport, operator } = await startOperated(scope, 'wake', { controllers: false })
  await eventually(() => operator.stdout().includes('"leading"'), long)

  const waiting = new Map<string, (atMs: number) => void>()
  const scaled = new Set<string>()
  const pipelines = createStore<PipelineObject>()
  const deployments = createStore<DeploymentObject>({
    handlers: [
      (change) => {
        const name = change.key.replace(/^.*\//, '').replace(/-consumer$/, '')
        if (change.kind !== 'Set' || (change.object.spec?.replicas ?? 0) === 0) return
        scaled.add(name)
        waiting.get(name)?.(performance.now())
      },
    ],
  })
  const stop = new AbortController()
  const following = [
    createReflector({ transport, clock: systemClock, type: pipelineType }, pipelines).run(stop.signal),
    createReflector({ transport, clock: systemClock, type: deploymentType }, deployments).run(stop.signal),
  ]
  scope.after(async () => {
    stop.abort()
    await Promise.all(following)
  })

  const names = Array.from({ length: asleep + wakes + together }, (_, n) => `p${String(n).padStart(5, '0')}`)
  progress(`${names.length} pipelines fall asleep`)
  const rest = [...names]
  const create = async () => {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const path = resourcePath(pipelineType, namespace)
      await transport.request({ method: 'POST', path, body: pipeline(name, redis.url) })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, create))
  const looked = () => pipelines.list().filter(({ status }) => status?.backlog !== undefined).length
  await eventually(() => looked() === names.length && deployments.size === names.length, long)
  await sleep(2_000)
  const connections = await eventually(async () => {
    const found = await operatorConnections(client)
    return found['alarm'] === undefined ? null : found
  }, long)

  const wake = async (name: string) => {
    const woken = new Promise<number>((resolve) => waiting.set(name, resolve))
    const sentMs = performance.now()
    const id = await client.xadd(`${name}:jobs`, '*', 'n', '1')
    const tookMs = (await woken) - sentMs
    waiting.delete(name)
    // As if a consumer had settled it: the pipeline falls asleep again.
    await client.xdel(`${name}:jobs`, id ?? '')
    return tookMs
  }
  progress(`${wakes} are woken one by one`)
  const took: number[] = []
  for (const name of names.slice(0, wakes)) {
    await sleep(random() * 100)
    took.push(await wake(name))
  }
  progress(`${together} are woken together`)
  const jointly = await Promise.all(names.slice(wakes, wakes + together).map(wake))
  const wokenForNothing = [...scaled].filter((name) => names.indexOf(name) >= wakes + together).length
  const p99Ms = rounded(percentile(took, 0.99))
  return {
    ok: p99Ms <= wakeBarMs && wokenForNothing === 0 && operator.running(),
    seed,
    asleep,
    wakes,
    p50Ms: rounded(percentile(took, 0.5)),
    p99Ms,
    maxMs: rounded(Math.max(...took)),
    together,
    togetherP99Ms: rounded(percentile(jointly, 0.99)),
    connections,
    wokenForNothing,
  }
}

async function operatorConnections(client: Redis): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const [, role = ''] of String(await client.client('LIST')).matchAll(/name=streampipeline-(\w+)/g))
    counts[role] = (counts[role] ?? 0) + 1
  return counts
}

function pipeline(name: string, url: string): KubernetesObject {
  return {
    apiVersion: pipelineType.apiVersion,
    kind: pipelineType.kind,
    metadata: { name, namespace },
    spec: {
      redis: { url },
      source: { stream: `${name}:jobs`, group: name },
      sink: { bullmq: { queue: name } },
      scaling: { minReplicas: 0, idleAfter: '1s' },
    },
  } as KubernetesObject
}
