/**
 * The control of the latency: a group's reader that does nothing with an entry but look at the clock. The time of an entry is in its id;
 * server and reader run on one machine, by one clock. Prints the delays as a list, in milliseconds, when `count` entries have come.
 */
import { Redis } from 'ioredis'
import { names } from '../workload.ts'
import { input } from './input.ts'

const redis = new Redis(input.url)
await redis.xgroup('CREATE', names.stream, names.group, '0', 'MKSTREAM')
console.log('"running"')
const delays: number[] = []
while (delays.length < input.count) {
  const reply = await redis.xreadgroup(
    ...(['GROUP', names.group, 'control', 'COUNT', 100, 'BLOCK', 5_000, 'STREAMS', names.stream, '>'] as const),
  )
  const now = Date.now()
  const entries = (Array.isArray(reply) && Array.isArray(reply[0]) ? reply[0][1] : []) as [string, string[]][]
  for (const [id] of entries) delays.push(now - Number(id.split('-')[0]))
}
console.log(`delays ${JSON.stringify(delays)}`)
redis.disconnect()
