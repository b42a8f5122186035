/** Where entries go: a BullMQ queue, and the options of its jobs (a closed list, so that each is understood and tested). */
import { z } from 'zod'
import { allowSchema, lastPriority } from './allow.ts'
import { redisSchema } from './redis.ts'
import { guarded, tagOf } from './rules.ts'
import { count, duration, keyName, text } from './scalars.ts'

const most = 2 ** 31 - 1

const keepJobs = z.strictObject({
  count: count(0, most).optional().describe('Keep this many. Omitted: not bounded by number.'),
  age: duration('0s', '8760h').optional().describe('Keep for this long. Omitted: not bounded by age.'),
})

const jobOptions = z.strictObject({
  attempts: count(1, 1000).default(1).describe('How often a job is tried.'),
  backoff: z
    .strictObject({
      type: z.enum(['Fixed', 'Exponential']).describe('The same wait each time, or twice the last.'),
      delay: duration('0s', '24h').describe('First wait.'),
    })
    .optional()
    .describe('Wait between attempts. Omitted: none.'),
  priority: count(0, lastPriority).default(0).describe('1 goes first, 2097152 last; 0: before all of them, in order of arrival.'),
  delay: duration('0s', '8760h').default('0s').describe('Wait before the first attempt.'),
  lifo: z.boolean().default(false).describe('Last in, first out.'),
  removeOnComplete: keepJobs
    .default({ count: 1000, age: '24h' })
    .describe('Which finished jobs are kept; `{}` keeps all, `{count: 0}` none.'),
  removeOnFail: keepJobs.default({ age: '168h' }).describe('Which failed jobs are kept; `{}` keeps all.'),
})

const bullmq = guarded(
  z.strictObject({
    queue: guarded(keyName(256, '{ndvi}'), {
      rule: "!self.contains(':')",
      message: 'BullMQ refuses a colon in a queue name: write another character, such as - or a dot',
      reason: 'FieldValueInvalid',
    }).describe('Name of the queue.'),
    prefix: keyName(256, 'bull{ndvi}')
      .optional()
      .describe("Key prefix of the queue. Omitted: `bull`; with a Redis Cluster `bull{T}`, T being the stream's hash tag."),
    jobName: text(256).default('process').describe('Name of every job.'),
    jobOptions: jobOptions.prefault({ removeOnFail: { age: '168h' } }).describe('Options of every job.'),
    allow: allowSchema
      .optional()
      .describe(
        'Options that producers may set for the job of one request. Omitted: none. An entry that sets more becomes a dead letter.',
      ),
    maxWaiting: count(1, most)
      .default(50_000)
      .describe(
        'Backpressure: reading stops while the queue holds more jobs that wait, for a worker or for their time (waiting, prioritised, delayed, paused), and starts again below 80 % of it.',
      ),
    redis: redisSchema
      .optional()
      .describe(
        'Only where the queue lives in another Redis than the stream; as `redis` above. Enqueueing and settling are then two steps.',
      ),
  }),
  {
    rule: "!has(self.redis) || !has(self.redis.cluster) || !has(self.prefix) || self.prefix.contains('{') || self.queue.contains('{')",
    message: "Redis Cluster: all keys of a queue must share a slot: write a hash tag into prefix, such as '{bull}', or omit it",
    fieldPath: '.prefix',
    reason: 'FieldValueInvalid',
  },
)

export const sinkSchema = z.strictObject({ bullmq: bullmq.describe('A BullMQ queue.') })

/** CEL over `spec`: the queue's keys fall into the stream's slot. BullMQ's keys are `prefix:queue:…`. */
export const queueSharesSlot = `!has(self.sink.bullmq.prefix) || (self.sink.bullmq.prefix.contains('{') ? ${tagOf('self.sink.bullmq.prefix')} == ${tagOf('self.source.stream')} : (self.sink.bullmq.queue.contains('{') && ${tagOf('self.sink.bullmq.queue')} == ${tagOf('self.source.stream')}))`
