/** Round trips of a batch, as docs/guarantees.md states them: over a distance they are the cost of a batch. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { kindsOf, openPath } from '../../paths/fixture.ts'
import { holdReplies } from '../../support/heldreplies.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const promised = { Atomic: 1, Split: 3, Portable: 5 } as const
/** Where one script does it all nothing is waited for. */
const withReplicas = { Atomic: 1, Split: 4, Portable: 6 } as const

for (const kind of ['Atomic', 'Split', 'Portable'] as const) {
  test(`${kind}: a batch takes no more than ${promised[kind]} round trips`, async (t) => {
    await assertRounds(t, kind, false, promised[kind])
  })
  test(`${kind}: with a replica, no more than ${withReplicas[kind]}`, async (t) => {
    await assertRounds(t, kind, true, withReplicas[kind])
  })
}

async function assertRounds(t: TestContext, kind: keyof typeof promised, replicated: boolean, most: number): Promise<void> {
  const replies = holdReplies(t)
  const [stream, queue] = await Promise.all([startRedis(t), startRedis(t)])
  if (replicated) {
    for (const primary of [stream, queue]) {
      await primary.client().config('SET', 'repl-diskless-sync-delay', '0')
      await startRedis(t, { args: ['--replicaof', primary.host, String(primary.port)] })
      await eventually(async () => /state=online/.test(await primary.client().info('replication')))
    }
  }
  const path = await openPath(t, kind, { stream: await replies.way(stream), queue: await replies.way(queue) })
  const rounds: number[] = []
  // The first ones send scripts whole and find out about the queue; a busy machine may split a round.
  for (let batch = 0; batch < 4; batch++) {
    await path.putKeys(...Array.from({ length: 20 }, (_, i) => `${batch}-${i}`))
    const entries = await path.read()
    rounds.push(
      await replies.rounds(async () => assert.deepEqual([...new Set(kindsOf(await path.settle(entries)))], ['forwarded'])),
    )
  }
  const fewest = Math.min(...rounds)
  assert.ok(fewest <= most, `round trips of each batch: ${rounds.join(', ')}`)
}
