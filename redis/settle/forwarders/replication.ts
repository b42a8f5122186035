/**
 * Waiting for replicas, where the queue's server has any. The stream's acknowledgement, or the answer to a direct dispatch, must
 * not outlive a job and its mark that a failover of the queue's Redis rolled back. Where one script has job, mark and
 * acknowledgement there is no such window: they share one offset.
 *
 * WAIT waits for what its server had done by the last command of its own connection. So it covers also what somebody else wrote
 * (a duplicate's job), and in a cluster it goes to the node of the keys. While their slot is on its way to another node it asks
 * the old one: a failover in that very moment is not covered.
 */
import { failure } from '../../../api/errors.ts'
import { failureOn, labelOf, type RedisConnection } from '../../connect/connection.ts'
import { nodeOf } from '../../connect/node.ts'

/** How long a replica may take to confirm a batch before the batch counts as failed and is tried again. */
const replicationTimeoutMs = 1_000

/** @param key one of those written last on this connection. Throws RedisNotReady when no replica confirms in time. */
export async function confirmReplicas(connection: RedisConnection, key: string): Promise<void> {
  try {
    const node = await nodeOf(connection, key)
    const role: unknown = await node.call('ROLE')
    const replicas = Array.isArray(role) && Array.isArray(role[2]) ? role[2].length : 0
    if (replicas === 0) return
    const confirmed = Number(await node.call('WAIT', '1', String(replicationTimeoutMs)))
    if (confirmed > 0) return
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
  const detail = `no replica confirmed the batch within ${replicationTimeoutMs} ms`
  throw failure('RedisNotReady', { address: labelOf(connection), reply: 'WAIT 0', detail })
}
