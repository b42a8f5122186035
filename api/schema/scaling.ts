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
    }).describe('When it begins: five cron fields.'),
    // No default: one inside a list is a difference for ever to clients that merge three ways.
    timeZone: text(64).optional().describe('IANA time zone of the cron fields, such as `Europe/Lisbon`. Omitted: UTC.'),
    minReplicas: replicas.optional().describe('Replaces `minReplicas` while it lasts.'),
    maxReplicas: count(1, mostReplicas).optional().describe('Replaces `maxReplicas` while it lasts.'),
    for: duration('1m', '744h').describe('How long it lasts.'),
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
        'Active: scaled on the age of the backlog. Manual: `replicas` is obeyed; the recommendation stays visible in status.',
      ),
    minReplicas: replicas.default(1).describe('Fewest consumers; 0 lets an idle pipeline run none.'),
    maxReplicas: count(1, mostReplicas).default(10).describe('Most consumers.'),
    targetAge: duration('1s', '24h', 'a pod cannot start faster')
      .default('30s')
      .describe('The promise: no entry waits longer than this, once pods are up.'),
    scaleDownDelay: duration('0s', '24h')
      .optional()
      .describe(
        'Window whose maximum a shrink may not undercut. Unset: four times what a start and a drain take, as observed; 30s to 300s.',
      ),
    idleAfter: duration('1s', '24h').default('120s').describe('Quiet time before zero, where `minReplicas` is 0.'),
    onMetricsLoss: guarded(z.union([replicas, z.string().max(16)]).meta({ 'x-kubernetes-int-or-string': true }), {
      rule: `type(self) == int ? (self >= 0 && self <= ${mostReplicas}) : (self == 'Hold' || self == 'Max')`,
      message: `write Hold (keep what runs), Max (maxReplicas) or a number of replicas up to ${mostReplicas}`,
      reason: 'FieldValueInvalid',
    })
      .default('Hold')
      .describe('What to do while the backlog cannot be measured: `Hold`, `Max`, or a number of replicas.'),
    schedules: z
      .array(schedule)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .default([])
      .describe('Times with other bounds; where two overlap, the larger bound holds.'),
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
