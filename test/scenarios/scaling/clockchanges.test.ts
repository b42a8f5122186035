/** Schedules in the days around a change of clocks, in any zone, over twenty years. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CompiledSchedule } from '../../../api/compiled.ts'
import { isActive } from '../../../scaling/schedules.ts'
import { createRandom } from '../../../scaling/simulate/random.ts'
import { firstInstant, zoneOf } from '../../../scaling/zonetime.ts'
import { problemAround, type Random, turnsOf, zones } from '../../scaling/clockchanges.ts'
import { seed } from '../../support/seed.ts'

const at = (text: string) => Date.parse(text)
const minutes = (count: number) => count * 60_000

/** Minutes of a day, from this instant on, at which the schedule is in force: the first, and how many. */
function inForce(schedule: Omit<CompiledSchedule, 'minReplicas'>, from: string): [string, number] {
  const active = Array.from({ length: 1440 }, (_, minute) => at(from) + minutes(minute)).filter((atMs) =>
    isActive(schedule, atMs),
  )
  return [new Date(active[0] ?? 0).toISOString().slice(11, 16), active.length]
}

describe('a schedule at a change of clocks', () => {
  const lisbon = { timeZone: 'Europe/Lisbon', forMs: minutes(90) }

  it('begins at the first instant after the skipped hour, and lasts as long as ever', () => {
    for (const cron of ['0 1 * * *', '30 1 * * *', '59 1 * * *', '15,45 1 * * *']) {
      assert.deepEqual(inForce({ ...lisbon, cron }, '2026-03-29T00:00:00Z'), ['01:00', 90], cron)
    }
    assert.deepEqual(inForce({ ...lisbon, cron: '0 2 * * *' }, '2026-03-29T00:00:00Z'), ['01:00', 90])
  })

  it('begins once in the repeated hour, the first time', () => {
    assert.deepEqual(inForce({ ...lisbon, cron: '30 1 * * *' }, '2026-10-25T00:00:00Z'), ['00:30', 90])
    assert.deepEqual(inForce({ ...lisbon, cron: '30 1 * * *', forMs: minutes(20) }, '2026-10-25T00:00:00Z'), ['00:30', 20])
  })

  it('begins at midnight where that is skipped, and after a day that is skipped', () => {
    const havana = { cron: '0 0 * * *', timeZone: 'America/Havana', forMs: minutes(60) }
    assert.deepEqual(inForce(havana, '2026-03-08T00:00:00Z'), ['05:00', 60])
    const apia = { cron: '0 8 30 12 *', timeZone: 'Pacific/Apia', forMs: minutes(60) }
    assert.deepEqual(inForce(apia, '2011-12-30T00:00:00Z'), ['10:00', 60])
  })

  it('takes no time to speak of, however seldom it comes true', () => {
    const seldom = ['0 0 30 2 *', '0 0 31 2 *', '0 0 29 2 *', '0 0 1 1 *', '0 0 * * *', '* * * * *']
    const times = ['2026-03-08T12:00:00Z', '2026-11-01T12:00:00Z', '2026-07-01T12:00:00Z']
    for (const cron of seldom) {
      for (const timeZone of ['America/Havana', 'Asia/Beirut', 'UTC']) {
        const schedule = { cron, timeZone, forMs: minutes(44_640), minReplicas: 1 }
        const before = process.cpuUsage()
        for (const time of times) for (let minute = 0; minute < 100; minute++) isActive(schedule, at(time) + minutes(minute))
        const { user, system } = process.cpuUsage(before)
        assert.ok(user + system < 300 * 1_000, `${cron} ${timeZone}: ${(user + system) / 300} us a look`)
      }
    }
  })

  it('does not begin where the zone is not known, or the expression cannot be read', () => {
    const always = { cron: '* * * * *', timeZone: 'UTC', forMs: minutes(1) }
    const active = (over: Partial<CompiledSchedule>) => isActive({ ...always, ...over }, at('2026-01-05T08:00:00Z'))
    assert.deepEqual([active({}), active({ timeZone: 'Moon/Tycho' }), active({ cron: '61 * * * *' })], [true, false, false])
  })

  it('is as the clock on the wall has it, minute by minute, in zones and years drawn at random', () => {
    const draw = createRandom(seed, 'clock changes')
    const random: Random = { below: (limit) => Math.floor(draw() * limit) }
    const drawn = Array.from({ length: 12 }, () => zones[random.below(zones.length)] ?? 'UTC')
    for (const zone of [
      'Pacific/Apia',
      'Australia/Lord_Howe',
      'Africa/Casablanca',
      'America/Havana',
      'Antarctica/Troll',
      ...drawn,
    ]) {
      const turns = turnsOf(zone, 2010, 20)
      const turnMs = turns[random.below(turns.length)] ?? at('2010-01-01T00:00:00Z') + minutes(random.below(20 * 525_600))
      assert.equal(problemAround(turnMs, zone, random), undefined, `seed ${seed}`)
    }
  })
})

describe('a local time', () => {
  it('begins at the first instant at which clocks show it or a later time, and never before an earlier local time begins', () => {
    for (const name of ['Europe/Lisbon', 'America/Havana', 'Pacific/Apia', 'Asia/Kolkata']) {
      const zone = zoneOf(name)
      assert.ok(zone !== undefined)
      let last = Number.NEGATIVE_INFINITY
      for (let local = at('2011-12-01T00:00:00Z'); local < at('2012-11-30T00:00:00Z'); local += minutes(7 * 13)) {
        const begun = firstInstant(zone, local)
        assert.ok(begun >= last && begun + zone.offsetMs(begun) >= local)
        assert.ok(begun - 1 + zone.offsetMs(begun - 1) < local)
        last = begun
      }
    }
  })
})
