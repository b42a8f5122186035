/** Options that producers may set for the job of one request, with their bounds. An option that is not named here is refused. */
import { z } from 'zod'
import { fieldNamesPattern } from '../fieldnames.ts'
import { guarded, quoted } from './rules.ts'
import { count, duration, text } from './scalars.ts'

/** BullMQ's lowest priority. */
export const lastPriority = 2_097_152

const names = guarded(z.array(text(256)).min(1).max(64).meta({ 'x-kubernetes-list-type': 'atomic' }), {
  rule: `self.all(name, name.matches(${quoted(fieldNamesPattern)}))`,
  message: 'write the name of a job, such as report, or a prefix with an asterisk at its end, such as report-*',
  reason: 'FieldValueInvalid',
})

const priority = guarded(
  z.strictObject({
    min: count(0, lastPriority)
      .default(1)
      .describe('Most urgent priority. Jobs with 0 run before all others, in order of arrival.'),
    max: count(0, lastPriority).default(lastPriority).describe('Least urgent priority.'),
  }),
  {
    rule: 'self.min <= self.max',
    message: 'min is the most urgent priority, the smaller number: write min and max the other way round',
    fieldPath: '.min',
    reason: 'FieldValueInvalid',
  },
)

export const allowSchema = z.strictObject({
  names: names
    .optional()
    .describe('Job names that a request may set: names, or prefixes such as `report-*`. `*` allows any name.'),
  maxDelay: duration('0s', '8760h').optional().describe('Longest `delay`, counted from dispatch.'),
  priority: priority.optional().describe('Range of `priority`. With `{}` it is 1 to 2097152.'),
  maxAttempts: count(1, 1000).optional().describe('Most `attempts`.'),
  maxBackoff: duration('0s', '24h').optional().describe('Longest first wait of `backoff`.'),
  lifo: z.boolean().default(false).describe('Whether a request may set `lifo`, and so run before the waiting jobs.'),
  removeOnComplete: z
    .boolean()
    .default(false)
    .describe(
      'Whether a request may set `removeOnComplete`. The values `true` and `false` concern only its own job. A number or an age also removes other jobs, so it must keep at least as many as `jobOptions.removeOnComplete`.',
    ),
  removeOnFail: z
    .boolean()
    .default(false)
    .describe('Whether a request may set `removeOnFail`, under the same rules. `deadLetter.failedJobs: Capture` refuses `true`.'),
  idempotencyKey: z
    .boolean()
    .default(false)
    .describe('Whether a request may set its own idempotency key, in place of the one made of its payload.'),
})
