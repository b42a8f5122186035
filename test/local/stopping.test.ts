import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { listenForSignals } from '../../local/stopping.ts'

test('the first signal drains, the second forces; what npm passes on of one is no second', async (t) => {
  const counts: number[] = []
  const stopping = listenForSignals((count) => counts.push(count))
  t.after(() => stopping.release())
  process.emit('SIGINT')
  process.emit('SIGINT')
  assert.deepEqual([counts, stopping.drain.aborted, stopping.force.aborted], [[1], true, false])
  await sleep(30)
  process.emit('SIGTERM')
  assert.deepEqual([counts, stopping.force.aborted], [[1, 2], true])
  stopping.release()
  assert.equal(process.listenerCount('SIGINT'), 0)
})
