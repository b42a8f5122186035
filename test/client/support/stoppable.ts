/**
 * A worker as a process of its own, which a test stops and lets go on.
 *
 *   stoppable.ts URL QUEUE guarded|heedless
 *
 * Its handler takes half a second, and then writes its result for good. A guarded worker writes through `upstream`. A heedless one
 * writes directly.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createWorker } from '../../../client/worker.ts'
import { lockTtlMs, recordsKey, stallsSoon } from './stoppableplan.ts'

const [url = '', queue = '', kind = ''] = process.argv.slice(2)
const records = new Redis(url)
const worker = createWorker<{ readonly request: string }>({
  queue,
  redis: url,
  lockTtlMs,
  bullmq: stallsSoon,
  onError: (error) => console.log(`error ${error.code} ${error.message}`),
  async execute({ request }, { upstream }) {
    console.log('begun')
    await delay(500)
    const write = async () => await records.rpush(recordsKey(queue), `stopped ${request}`)
    await (kind === 'guarded' ? upstream('records', write) : write())
    return 'of the stopped worker'
  },
})
worker.on('failed', (_, error) => console.log(`failed ${error.message}`))
process.once('SIGTERM', async () => {
  await worker.close()
  console.log(await worker.registry.getSingleMetricAsString('job_executions_total'))
  records.disconnect()
})
await worker.start()
console.log('ready')
