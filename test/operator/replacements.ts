/**
 * Consumers that are replaced in waves. Each is a pod of its own (made by hand: there is no kubelet), registered, at work on two
 * entries, and then deleted without a drain. The operator releases its entries and removes its name. A living peer, with entries
 * of its own, takes over. Other consumers share the group, and are left alone.
 */
import assert from 'node:assert/strict'
import type { Redis } from 'ioredis'
import { resourcePath } from '../../operator/kubernetes/objects.ts'
import { pipelineType, podType } from '../../operator/plan/kinds.ts'
import { nameLabel } from '../../operator/plan/names.ts'
import { keySpace } from '../../redis/keys.ts'
import { formatIdentity } from '../../redis/stream/identity.ts'
import { eventually } from '../support/wait.ts'
import { type Cluster, minimalPipeline } from './cluster.ts'

export interface ReplacementsOptions {
  readonly name: string
  readonly redisUrl: string
  readonly replacements: number
  readonly onWave?: (replaced: number) => void
}

export interface ReplacementsResult {
  readonly replaced: number
  /** Entries that the replaced had in their hands, and how many of those the peer settled; each must be settled once. */
  readonly entries: number
  readonly settled: number
  readonly settledTwice: number
  /** Longest time from the deletion of a wave's pods until the last of their names was gone. */
  readonly slowestWaveMs: number
}

const together = 50
const held = 2

/** The operator must be running. Rejects when names stay, entries are lost, or the living and the strangers are disturbed. */
export async function tryReplacements(
  cluster: Cluster,
  client: Redis,
  options: ReplacementsOptions,
): Promise<ReplacementsResult> {
  const { name, replacements, onWave = () => {} } = options
  const [stream, group] = [`${name}:jobs`, name]
  const keys = keySpace(stream, group)
  // So long that nothing becomes idle by itself: whatever can be claimed was released.
  const minIdleMs = 3_600_000
  await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  const spec = { redis: { url: options.redisUrl }, reclaim: { minIdle: '1h', interval: '1h' } }
  await cluster.apply(minimalPipeline(name, 'default', spec))
  const owner = (await cluster.get(pipelineType, 'default', name))?.metadata.uid ?? ''

  const path = (pod?: string) => resourcePath(podType, 'default', pod)
  const startPod = async (pod: string): Promise<string> => {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod, namespace: 'default', labels: { [nameLabel]: name } },
      // The pod is bound to a node, as a pod with a kubelet is. Otherwise its deletion would be immediate.
      spec: { nodeName: 'node-1', automountServiceAccountToken: false, containers: [{ name: 'consumer', image: 'consumer' }] },
    }
    const made = (await cluster.transport.request({ method: 'POST', path: path(), body })) as { metadata: { uid: string } }
    return formatIdentity({ owner, life: made.metadata.uid })
  }
  const endPod = (pod: string) =>
    cluster.transport.request({ method: 'DELETE', path: path(pod), body: { gracePeriodSeconds: 0 } })
  const take = async (consumer: string, count: number): Promise<string[]> => {
    for (let n = 0; n < count; n++) await client.xadd(stream, '*', 'n', `${consumer}-${n}`)
    const read = (await client.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')) as [
      string,
      [string, string[]][],
    ][]
    return (read[0]?.[1] ?? []).map(([id]) => id)
  }
  /** Every third is off the atomic path: its entries must wait until its heartbeat has expired. */
  const beat = async (consumer: string, uid: string, split: boolean) => {
    await client.hset(keys.consumers, consumer, uid)
    const counts = { inFlight: held, serviceMs: 1, forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
    const heartbeat = { uid, at: Date.now(), state: 'Running', path: split ? 'Split' : 'Atomic', ...counts }
    await client.set(keys.consumer(consumer), JSON.stringify(heartbeat), 'PX', split ? 300 : 3_600_000)
  }

  const peer = `${name}-peer`
  await beat(peer, await startPod(peer), false)
  const own = await take(peer, held)
  await client.hset(keys.consumers, 'neighbour', 'another-pipeline/a-pod', 'laptop', 'local-laptop-1-2/3')
  const foreign = new Map<string, readonly string[]>()
  for (const stranger of ['neighbour', 'laptop', 'cron']) foreign.set(stranger, await take(stranger, held))
  const begunMs = performance.now()

  const settledBy = new Map<string, number>()
  const given = new Set<string>()
  const settle = async () => {
    const [, claimed] = (await client.xautoclaim(stream, group, peer, minIdleMs, '0', 'COUNT', 1_000, 'JUSTID')) as [
      string,
      string[],
    ]
    for (const id of claimed) settledBy.set(id, (settledBy.get(id) ?? 0) + (await client.xack(stream, group, id)))
  }
  let slowestWaveMs = 0
  const survivors = [peer, 'cron', 'laptop', 'neighbour'].toSorted()
  const names = async () => ((await client.xinfo('CONSUMERS', stream, group)) as string[][]).map(([, each]) => String(each))
  for (let replaced = 0; replaced < replacements; ) {
    const wave = Array.from({ length: Math.min(together, replacements - replaced) }, (_, n) => `${name}-${replaced + n}`)
    await Promise.all(
      wave.map(async (pod, n) => {
        await beat(pod, await startPod(pod), n % 3 === 0)
      }),
    )
    for (const pod of wave) for (const id of await take(pod, held)) given.add(id)
    const deletedMs = performance.now()
    await Promise.all(wave.map(endPod))
    await eventually(
      async () => {
        await settle()
        assert.deepEqual((await names()).toSorted(), survivors)
        assert.deepEqual((await client.hkeys(keys.consumers)).toSorted(), [peer, 'laptop', 'neighbour'].toSorted())
      },
      { timeoutMs: 120_000 },
    )
    slowestWaveMs = Math.max(slowestWaveMs, performance.now() - deletedMs)
    replaced += wave.length
    onWave(replaced)
  }

  assert.deepEqual(await client.keys(`${keys.consumer('')}*`), [keys.consumer(peer)], 'no heartbeat is left')
  // Redis measures idle times by its own clock: hence the 20 ms.
  const elapsedMs = performance.now() - begunMs - 20
  for (const [consumer, ids] of [...foreign, [peer, own] as const]) {
    const rows = (await client.xpending(stream, group, '-', '+', 10, consumer)) as [string, string, number, number][]
    assert.deepEqual(
      rows.map(([id, , idleMs, deliveries]) => [id, idleMs >= elapsedMs && idleMs < minIdleMs, deliveries]),
      ids.map((id) => [id, true, 1]),
      `what ${consumer} holds was not touched`,
    )
  }
  const [pending] = (await client.xpending(stream, group)) as [number]
  assert.equal(pending, held * (foreign.size + 1), 'nothing else is left')
  const settled = [...settledBy].filter(([id, times]) => given.has(id) && times > 0).length
  const settledTwice = [...settledBy.values()].filter((times) => times > 1).length
  assert.deepEqual([settled, settledTwice, settledBy.size], [given.size, 0, given.size])
  return { replaced: replacements, entries: given.size, settled, settledTwice, slowestWaveMs: Math.round(slowestWaveMs) }
}
