/** Accepted schedules can be evaluated and come true. Refused ones are reported with a valid form. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CronExpressionParser } from 'cron-parser'
import fc from 'fast-check'
import { compilePipeline } from '../../../api/compile.ts'
import { parsePipeline, validate } from '../../../api/validate.ts'
import { cronProblem } from '../../../api/validation/schedules.ts'
import { isActive } from '../../../scaling/schedules.ts'
import { seed } from '../../support/seed.ts'

const pipelineWith = (schedule: object) => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'ndvi' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 's', group: 'g' },
    sink: { bullmq: { queue: 'q' } },
    scaling: { schedules: [{ minReplicas: 2, for: '1h', ...schedule }] },
  },
})

const good = [
  '0 8 * * 1-5',
  '*/15 * * * *',
  '0 0 1 jan *',
  '30 6 ? * MON-FRI',
  '0 9-17/2 * * SAT,SUN',
  '0 0 L * *',
  '0 0 29 2 *',
  '0 0 31 */2 *',
  '5/20 * 1,15 * ?',
  '0 0 30 2 1',
  '0 0 * * 7',
  '0 0 * * 5#3',
  '0 0 * mar thu',
  '? 8 * * *',
]
for (const cron of good) {
  test(`${cron} is taken, and comes true`, () => {
    assert.deepEqual(validate(pipelineWith({ cron })), [])
    const next = CronExpressionParser.parse(cron, { tz: 'UTC', currentDate: new Date('2026-11-22T16:00:00Z') })
      .next()
      .getTime()
    const { scaling } = compilePipeline(parsePipeline(pipelineWith({ cron })))
    assert.ok(isActive(scaling.schedules[0] as never, next + 60_000))
  })
}

const bad: readonly (readonly [cron: string, reported: RegExp])[] = [
  ['0 0 31 2 *', /never comes true/],
  ['0 0 30 feb ?', /never comes true/],
  ['0 0 31 4,6,9,11 *', /never comes true/],
  ['60 * * * *', /minute "60" cannot be read: write \*, values from 0 to 59/],
  ['0 24 * * *', /hour "24"/],
  ['0 0 0 * *', /day of the month "0" .* values from 1 to 31/],
  ['0 0 * 13 *', /month "13" .* 1 to 12 or jan to dec/],
  ['0 0 * * 8', /weekday "8"/],
  ['0 0 * * someday', /weekday "someday"/],
  ['0 17-9 * * *', /hour "17-9"/],
  ['*/0 * * * *', /minute "\*\/0"/],
  ['1,,2 * * * *', /minute "1,,2"/],
  ['0/2,0 * * * *', /minute "0\/2,0" .* none is twice/],
  ['h * * * *', /minute "h"/],
  ['0 H/2 * * *', /hour "H\/2"/],
]
for (const [cron, reported] of bad) {
  test(`${cron} is refused, and what to write is said`, () => {
    const problems = validate(pipelineWith({ cron }))
    assert.deepEqual(
      problems.map(({ field, beyondServer }) => [field, beyondServer]),
      [['spec.scaling.schedules[0].cron', true]],
    )
    assert.match(problems[0]?.message ?? '', reported)
  })
}

const value = fc.constantFrom(...'0 1 2 5 7 9 11 12 23 28 30 31 45 59 60 jan feb apr dec sun MON fri l x 01 007'.split(' '))
const item = fc.oneof(
  fc.constantFrom('*', '?', 'L', '*/2', '*/31', '*/60', '#', '/', '-'),
  value,
  fc.tuple(value, value).map(([from, to]) => `${from}-${to}`),
  fc.tuple(value, value).map(([from, step]) => `${from}/${step}`),
  fc.tuple(value, value, value).map(([from, to, step]) => `${from}-${to}/${step}`),
)
const field = fc.oneof(
  { weight: 2, arbitrary: fc.constant('*') },
  item,
  fc.array(item, { minLength: 2, maxLength: 3 }).map((items) => items.join(',')),
)

test('whatever is taken can be evaluated and comes true', () => {
  let taken = 0
  fc.assert(
    fc.property(fc.tuple(field, field, field, field, field), (drawn) => {
      const cron = drawn.join(' ')
      if (cronProblem(cron) !== undefined) return
      taken += 1
      const currentDate = new Date('2026-11-22T16:00:00Z')
      assert.ok(CronExpressionParser.parse(cron, { tz: 'UTC', currentDate }).next().getTime() > currentDate.getTime(), cron)
      assert.ok(CronExpressionParser.parse(cron, { tz: 'UTC', currentDate }).prev().getTime() < currentDate.getTime(), cron)
    }),
    { seed, numRuns: 10_000 },
  )
  assert.ok(taken > 200, `${taken} of 10,000 were taken`)
})
