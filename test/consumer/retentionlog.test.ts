/** The log lines about retention: each problem once, with its remedy, and again when it comes again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createRetentionLog } from '../../consumer/retentionlog.ts'
import type { RetentionReport } from '../../redis/stream/retention.ts'

const quiet: RetentionReport = { settled: 0, cut: 0, nodeEntries: 100, unaccounted: 0, undecided: 0, missingFrom: '' }

function openLog() {
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) })
  const report = createRetentionLog(log, 'ndvi:jobs', 'ndvi')
  return (changes: Partial<RetentionReport> = {}) => {
    report({ ...quiet, ...changes })
    return lines.splice(0)
  }
}

test('an entry that holds back others is logged once it has done so for a minute, with its group', () => {
  const logged = openLog()
  const pin = { group: 'audit', kind: 'unread', id: '5-0' } as const
  assert.deepEqual(logged({ pin: { ...pin, forMs: 59_999 } }), [])
  const [line, ...others] = logged({ pin: { ...pin, forMs: 60_000 } })
  assert.deepEqual([line?.['group'], line?.['kind'], line?.['id'], others], ['audit', 'unread', '5-0', []])
  assert.deepEqual(logged({ pin: { ...pin, forMs: 70_000 } }), [], 'not at each round')
  assert.equal(logged({ pin: { ...pin, id: '6-0', forMs: 60_000 } }).length, 1, 'another entry')
  logged()
  assert.equal(logged({ pin: { ...pin, id: '6-0', forMs: 60_000 } }).length, 1, 'and the same again later')
})

test('nodes of more than 5,000 entries on average are logged once, with the remedy', () => {
  const logged = openLog()
  assert.deepEqual(logged({ nodeEntries: 5_000 }), [])
  const [line] = logged({ nodeEntries: 5_001 })
  assert.match(String(line?.['remedy']), /stream-node-max-entries/)
  assert.deepEqual(logged({ nodeEntries: 9_000 }), [])
})

test('entries that others took are logged when they become more, with the command that delivers them again', () => {
  const logged = openLog()
  const [line] = logged({ unaccounted: 2, undecided: 1, missingFrom: '5-0' })
  assert.deepEqual([line?.['unaccounted'], line?.['undecided']], [2, 1])
  assert.match(String(line?.['command']), /XGROUP SETID .*ndvi:jobs.* ndvi.* 5-0/)
  assert.deepEqual(logged({ unaccounted: 2, undecided: 1, missingFrom: '5-0' }), [])
  const [more] = logged({ unaccounted: 3, undecided: 1, missingFrom: '5-0' })
  assert.match(String(more?.['msg']), /^others took entries from the group;/)
})

test('entries that may have been trimmed are not said to be taken', () => {
  const [line] = openLog()({ undecided: 4, missingFrom: '5-0' })
  assert.match(String(line?.['msg']), /^entries were trimmed unread, or others took them;/)
})
