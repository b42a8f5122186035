/** Where entries go: a BullMQ queue, and the options of its jobs (a closed list, so that each is understood and tested). */
import { z } from 'zod'
import { allowSchema, lastPriority } from './allow.ts'
import { redisSchema } from './redis.ts'
import { guarded, tagOf } from './rules.ts'
import { count, duration, keyName, text } from './scalars.ts'

const most = 2 ** 31 - 1

const keepJobs = z.strictObject({
  count: count(0, most).optional().describe('Most jobs that are kept. Omitted: no bound by number.'),
  age: duration('0s', '8760h').optional().describe('How long a job is kept. Omitted: no bound by age.'),
})

const jobOptions = z.strictObject({
  attempts: count(1, 1000).default(1).describe('Most attempts of a job.'),
  backoff: z
    .strictObject({
      type: z.enum(['Fixed', 'Exponential']).describe('Fixed: the same wait each time. Exponential: twice the last wait.'),
      delay: duration('0s', '24h').describe('First wait.'),
    })
    .optional()
    .describe('Wait between attempts. Omitted: none.'),
  priority: count(0, lastPriority)
    .default(0)
    .describe('Priority. Jobs with 0 run first, in order of arrival. Then 1 is the most urgent, 2097152 the least.'),
  delay: duration('0s', '8760h').default('0s').describe('Wait before the first attempt.'),
  lifo: z.boolean().default(false).describe('True: the newest job runs first.'),
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
      .describe("Key prefix of the queue. Omitted: `bull`. With a Redis Cluster: `bull{T}`, where T is the stream's hash tag."),
    jobName: text(256).default('process').describe('Name of the jobs.'),
    jobOptions: jobOptions.prefault({ removeOnFail: { age: '168h' } }).describe('Options of the jobs.'),
    allow: allowSchema
      .optional()
      .describe(
        'Options that a producer may set for a single request. Omitted: none. An entry that sets another option becomes a dead letter.',
      ),
    maxWaiting: count(1, most)
      .default(50_000)
      .describe(
        'Backpressure: consumers stop reading while more jobs than this wait in the queue (waiting, prioritised, delayed or paused). They read again below 80 % of it.',
      ),
    redis: redisSchema
      .optional()
      .describe(
        'The Redis of the queue, if it is another one than the stream’s. Fields as in `redis`. A consumer then adds the job in one step, and acknowledges the entry in a second one.',
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
