import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CompiledSchedule } from '../../api/compiled.ts'
import { decide } from '../../scaling/decide.ts'
import { isActive, scheduledBounds } from '../../scaling/schedules.ts'
import { policyWith, sampleWith, stateWith } from './builders.ts'

const hourMs = 3_600_000
const workdays: CompiledSchedule = { cron: '0 8 * * 1-5', timeZone: 'Europe/Lisbon', minReplicas: 4, forMs: 10 * hourMs }
const at = (text: string) => Date.parse(text)

describe('schedules', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['begin at their time', '2026-01-05T08:00:00Z', true],
    ['not a second before', '2026-01-05T07:59:59Z', false],
    ['last for as long as they say', '2026-01-05T17:59:59Z', true],
    ['and then end', '2026-01-05T18:00:00Z', false],
    ['keep to their days', '2026-01-04T09:00:00Z', false],
    ['follow summer time in their zone', '2026-07-06T07:00:00Z', true],
  ]
  for (const [name, time, expected] of rows) {
    it(name, () => assert.equal(isActive(workdays, at(time)), expected))
  }

  it('last over midnight', () => {
    const night = { cron: '0 22 * * *', timeZone: 'UTC', maxReplicas: 2, forMs: 8 * hourMs }
    assert.deepEqual([isActive(night, at('2026-01-06T05:00:00Z')), isActive(night, at('2026-01-06T06:00:00Z'))], [true, false])
  })

  it('never begin where the day does not exist', () => {
    assert.equal(isActive({ ...workdays, cron: '0 0 31 2 *' }, at('2026-01-05T08:00:00Z')), false)
  })

  it('give the larger bound where two overlap, and a minimum above the maximum raises it', () => {
    const noon = at('2026-01-05T12:00:00Z')
    const always = (over: Partial<CompiledSchedule>): CompiledSchedule => ({
      cron: '0 * * * *',
      timeZone: 'UTC',
      forMs: hourMs,
      ...over,
    })
    const bounds = (...schedules: CompiledSchedule[]) => {
      const { min, max } = scheduledBounds(schedules, { min: 1, max: 10 }, noon)
      return [min, max]
    }
    assert.deepEqual(bounds(always({ minReplicas: 3 }), always({ minReplicas: 5 })), [5, 10])
    assert.deepEqual(bounds(always({ maxReplicas: 4 }), always({ maxReplicas: 6 })), [1, 6])
    assert.deepEqual(bounds(always({ minReplicas: 20 })), [20, 20])
  })

  const monday = at('2026-01-05T09:00:00Z')

  it('raise a calm pipeline, from zero too, and the reason names them', () => {
    const policy = policyWith({ minReplicas: 0, schedules: [workdays] })
    const decision = decide(stateWith({ atMs: monday - 5_000, replicas: 0 }), sampleWith({ atMs: monday }), policy)
    assert.deepEqual([decision.replicas, decision.limitedBy], [4, 'MinReplicas'])
    assert.match(decision.reason, /4, the minimum of schedule 0 8 \* \* 1-5 Europe\/Lisbon$/)
  })

  it('lower what runs where they lower the maximum', () => {
    const policy = policyWith({ schedules: [{ ...workdays, minReplicas: 1, maxReplicas: 3 }] })
    assert.equal(
      decide(
        stateWith({ atMs: monday - 5_000, replicas: 8, wanted: [{ atMs: monday - 5_000, replicas: 8 }] }),
        sampleWith({ atMs: monday }),
        policy,
      ).replicas,
      3,
    )
  })

  it('without a sample the bounds of the last one hold', () => {
    const policy = policyWith({ schedules: [workdays] })
    assert.equal(decide(stateWith({ atMs: monday, replicas: 4 }), undefined, policy).replicas, 4)
  })
})
