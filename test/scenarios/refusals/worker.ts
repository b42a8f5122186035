/** The other processes of a scenario: the worker, which counts its executions, and a consumer of new or free entries. */
import type { Delivery } from '../../../redis/stream/pending.ts'
import { claimEntries } from '../../../redis/stream/pending.ts'
import type { World } from './rig.ts'
import { takeOut } from './scene.ts'

export type Executed = Map<string, number>

/** Executes and removes every job of a list, whatever its turn. */
export async function work({ path }: World, executed: Executed, spared: readonly string[] = []): Promise<void> {
  const { queueClient, queueKey } = path
  const sparedIds = new Set(spared.map(path.id))
  const ids = (await path.live()).filter((id) => !sparedIds.has(id))
  if (ids.length === 0) return
  const reading = queueClient.pipeline()
  for (const id of ids) reading.hget(queueKey + id, 'data')
  const found = (await reading.exec()) ?? []
  for (const [index, id] of ids.entries()) {
    const data = found[index]?.[1]
    const key = typeof data === 'string' ? keyOf(data) : `no job ${id}`
    executed.set(key, (executed.get(key) ?? 0) + 1)
  }
  await takeOut(path, ids)
  await queueClient.del(ids.map((id) => queueKey + id))
}

function keyOf(data: string): string {
  return String((JSON.parse(data) as { k?: unknown }).k)
}

/** Settles entries until none is left to be tried again; locks that a refusal has left run out meanwhile. */
export async function settleAll(world: World, entries: readonly Delivery[]): Promise<void> {
  const { path, consumer } = world
  let rest = entries
  for (let tries = 0; rest.length > 0 && tries < 4; tries++) {
    await expireLocks(world)
    const { outcomes, failure } = await consumer.path.settle(rest.map(path.judge))
    if (failure !== undefined) throw failure
    rest = rest.filter((_, index) => outcomes[index]?.kind === 'contended' || outcomes[index]?.kind === 'unsettled')
  }
}

export async function expireLocks({ path }: World): Promise<void> {
  const locks = await path.queueClient.keys(`${path.target.keys.prefix}lock:*`)
  if (locks.length > 0) await path.queueClient.del(locks)
}

/** Reads and settles new entries. */
export async function consumeNew(world: World): Promise<void> {
  await settleAll(world, await world.path.read('other'))
}

/** Takes over and settles all that is pending. */
export async function consumePending(world: World): Promise<void> {
  const { path, consumer } = world
  const ids = (await path.pending()).map(({ id }) => id)
  if (ids.length === 0) return
  const { claimed, refusal } = await claimEntries(consumer.stream, path.place, 'other', 0, ids, { counts: false })
  if (refusal !== undefined) throw refusal
  await settleAll(world, claimed)
}
