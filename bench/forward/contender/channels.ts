/**
 * `@moleculer/channels`: its Redis adapter reads the stream, and the handler adds a job under the request's own id, which removes duplicates.
 * `maxInFlight: 1000` reads up to 1,000 entries at once, and that was 1.5 times as fast as 100. It acknowledges
 * entries one by one when all that it read are added, so a larger number would only delay that. Its dead letters are off, as they are by default: they cost further commands.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { jobOptions, names } from '../workload.ts'
import { input } from './input.ts'

/** The parts that are used; the packages are installed by the bench alone, so their types are not here. */
interface Moleculer {
  readonly ServiceBroker: new (options: object) => { createService(schema: object): unknown; start(): Promise<void> }
}
interface Channels {
  readonly Middleware: (options: object) => object
}

const maxInFlight = 1_000
const load = createRequire(join(input.peers, 'package.json'))
const { ServiceBroker } = load('moleculer') as Moleculer
const { Middleware } = load('@moleculer/channels') as Channels

const redis = new Redis(input.url, { maxRetriesPerRequest: null })
const queue = new Queue(names.queue, { connection: redis, prefix: names.prefix })
const adapter = { type: 'Redis', options: { redis: { url: input.url, consumerOptions: { startID: '0' } }, maxInFlight } }
const broker = new ServiceBroker({ logger: false, middlewares: [Middleware({ adapter })] })
broker.createService({
  name: names.group,
  channels: {
    [names.stream]: {
      group: names.group,
      maxInFlight,
      async handler(data: { readonly request_hash: string }) {
        await queue.add(names.jobName, data, { ...jobOptions, jobId: data.request_hash })
      },
    },
  },
})
await broker.start()
