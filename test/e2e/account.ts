/** The account of a pipeline's traffic once everything has been settled. */
import assert from 'node:assert/strict'
import { until } from './patience.ts'
import type { Report } from './stage.ts'
import { type Traffic, whereabouts } from './traffic.ts'

/** Waits until nothing is left in the stream, and fails if a request is lost, doubled, or was never made. */
export async function accounted(report: Report, name: string, traffic: Traffic): Promise<void> {
  await until(
    async () => {
      const { undelivered, pending } = await traffic.ledger()
      assert.equal(undelivered + pending, 0, `${name}: ${undelivered} undelivered, ${pending} pending`)
    },
    90_000,
    1_000,
  )
  const ledger = await traffic.ledger()
  report.note(`${name}: ${whereabouts(ledger)}`)
  const { lost, doubled, strangers } = ledger
  assert.deepEqual({ lost, doubled, strangers }, { lost: 0, doubled: 0, strangers: 0 })
  assert.ok(ledger.enqueued > 0)
}
