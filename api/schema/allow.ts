/** Options that producers may set for the job of one request, with their bounds. An option that is not named here is refused. */
import { z } from 'zod'
import { fieldNamesPattern } from '../fieldnames.ts'
import { guarded, quoted } from './rules.ts'
import { count, duration, text } from './scalars.ts'

/** BullMQ's lowest priority. */
export const lastPriority = 2_097_152

const names = guarded(z.array(text(256)).min(1).max(64).meta({ 'x-kubernetes-list-type': 'atomic' }), {
  rule: `self.all(name, name.matches(${quoted(fieldNamesPattern)}))`,
  message: 'write the name of a job, such as report, or how names begin with an asterisk behind it, such as report-*',
  reason: 'FieldValueInvalid',
})

const priority = guarded(
  z.strictObject({
    min: count(0, lastPriority).default(1).describe('Most urgent. 0 is before all others, in order of arrival.'),
    max: count(0, lastPriority).default(lastPriority).describe('Least urgent.'),
  }),
  {
    rule: 'self.min <= self.max',
    message: 'min is the most urgent priority, the smaller number: write min and max the other way round',
    fieldPath: '.min',
    reason: 'FieldValueInvalid',
  },
)

export const allowSchema = z.strictObject({
  names: names.optional().describe('Job names that a request may have: names, or prefixes such as `report-*`; `*` is any.'),
  maxDelay: duration('0s', '8760h').optional().describe('Longest `delay`, counted from dispatch.'),
  priority: priority.optional().describe('Range of `priority`. `{}` allows 1 to 2097152.'),
  maxAttempts: count(1, 1000).optional().describe('Most `attempts`.'),
  maxBackoff: duration('0s', '24h').optional().describe('Longest first wait of `backoff`.'),
  lifo: z.boolean().default(false).describe('Whether a request may go before those that wait.'),
  removeOnComplete: z
    .boolean()
    .default(false)
    .describe(
      'Whether a request may say if its finished job is kept. `true` and `false` concern that job alone. A number or age must keep no less than `jobOptions.removeOnComplete`, since BullMQ then removes other jobs.',
    ),
  removeOnFail: z
    .boolean()
    .default(false)
    .describe('The same of its failed job. With `deadLetter.failedJobs: Capture`, `true` is refused.'),
  idempotencyKey: z
    .boolean()
    .default(false)
    .describe('Whether a request may bring a key of its own instead of the one made of its payload.'),
})
