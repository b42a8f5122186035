/** How many consumers run, and when. */
import { z } from 'zod'
import { guarded } from './rules.ts'
import { count, duration, mostReplicas, text } from './scalars.ts'

const replicas = count(0, mostReplicas)

const schedule = guarded(
  z.strictObject({
    cron: guarded(text(128), {
      rule: "self.matches('^[0-9A-Za-z*?,/#-]+( [0-9A-Za-z*?,/#-]+){4}$')",
      message: 'write five cron fields, minute hour day month weekday, such as 0 8 * * 1-5',
      reason: 'FieldValueInvalid',
    }).describe('When the schedule begins: five cron fields.'),
    // No default: clients that merge three ways would see a default inside a list as a difference each time.
    timeZone: text(64).optional().describe('IANA time zone of the cron fields, such as `Europe/Lisbon`. Omitted: UTC.'),
    minReplicas: replicas.optional().describe('Replaces `minReplicas` during the schedule.'),
    maxReplicas: count(1, mostReplicas).optional().describe('Replaces `maxReplicas` during the schedule.'),
    for: duration('1m', '744h').describe('How long the schedule lasts.'),
  }),
  {
    rule: 'has(self.minReplicas) || has(self.maxReplicas)',
    message: 'this schedule changes nothing: set minReplicas, maxReplicas or both',
    reason: 'FieldValueInvalid',
  },
  {
    rule: '!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas',
    message: 'minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas',
    fieldPath: '.minReplicas',
    reason: 'FieldValueInvalid',
  },
)

export const scalingSchema = guarded(
  z.strictObject({
    policy: z
      .enum(['Active', 'Manual'])
      .default('Active')
      .describe(
        'Active: the operator scales on the age of the backlog. Manual: `replicas` sets the number. The status still has the recommended one.',
      ),
    minReplicas: replicas.default(1).describe('Fewest consumers. With 0 an idle pipeline runs none.'),
    maxReplicas: count(1, mostReplicas).default(10).describe('Most consumers.'),
    targetAge: duration('1s', '24h', 'a pod cannot start faster')
      .default('30s')
      .describe('The promise: no entry waits longer than this, once enough pods run.'),
    scaleDownDelay: duration('0s', '24h')
      .optional()
      .describe(
        'The operator removes no consumer that was needed within this time. Omitted: four times the observed time of a start and a drain, between 30s and 300s.',
      ),
    idleAfter: duration('1s', '24h')
      .default('120s')
      .describe('Time without entries after which the last consumer stops, if `minReplicas` is 0.'),
    onMetricsLoss: guarded(z.union([replicas, z.string().max(16)]).meta({ 'x-kubernetes-int-or-string': true }), {
      rule: `type(self) == int ? (self >= 0 && self <= ${mostReplicas}) : (self == 'Hold' || self == 'Max')`,
      message: `write Hold (keep what runs), Max (maxReplicas) or a number of replicas up to ${mostReplicas}`,
      reason: 'FieldValueInvalid',
    })
      .default('Hold')
      .describe(
        'Replicas while the operator cannot measure the backlog: `Hold` (no change), `Max`, or a number. The operator removes no consumer meanwhile: a number below the present one changes nothing.',
      ),
    schedules: z
      .array(schedule)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .default([])
      .describe('Times with other bounds. If two overlap, the larger bound applies.'),
  }),
  {
    rule: 'self.minReplicas <= self.maxReplicas',
    message: 'minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas',
    messageExpression:
      "'minReplicas (%d) is above maxReplicas (%d): lower minReplicas or raise maxReplicas'.format([self.minReplicas, self.maxReplicas])",
    fieldPath: '.minReplicas',
    reason: 'FieldValueInvalid',
  },
)
