/**
 * The keyspace of a queue, without the differences of any two runs: times, counters, ids of events, and the order of jobs, which
 * is not promised after a retry. Events are a set: BullMQ announces a job again that is added again.
 */
import type { Redis } from 'ioredis'

export async function snapshotOf(redis: Redis, queueKey: string): Promise<ReadonlyMap<string, string>> {
  const keys = (await redis.keys(`${queueKey.replaceAll(/[[\]*?\\]/g, '\\$&')}*`)).sort()
  const types = await Promise.all(keys.map((key) => redis.type(key)))
  const values = await Promise.all(keys.map((key, index) => read(redis, key, types[index] ?? '')))
  return new Map(keys.map((key, index) => [key.slice(queueKey.length), values[index] ?? '']))
}

/** Fields of a job with times. */
const times = ['timestamp', 'finishedOn', 'processedOn', 'spCaptured', 'spRecorded']

async function read(redis: Redis, key: string, type: string): Promise<string> {
  switch (type) {
    case 'hash': {
      const fields = Object.entries(await redis.hgetall(key))
      return JSON.stringify(
        fields
          // Without this note a job that waits is searched for again. A note on a job that is in no list shows as a lost one.
          .filter(([name]) => name !== 'spAdded')
          .map(([name, value]) => [name, times.includes(name) ? 'a time' : name === 'opts' ? optionsOf(value) : value])
          .toSorted(),
      )
    }
    case 'list':
      return JSON.stringify((await redis.lrange(key, 0, -1)).toSorted())
    case 'zset':
      return JSON.stringify((await redis.zrange(key, '0', '-1')).toSorted())
    case 'set':
      return JSON.stringify((await redis.smembers(key)).sort())
    case 'stream': {
      const events = (await redis.xrange(key, '-', '+')).map(([, fields]) => fields.slice(0, 4).join(' '))
      return JSON.stringify([...new Set(events)].sort())
    }
    default:
      return type
  }
}

function optionsOf(text: string): string {
  const { timestamp: _, sp: __, ...options } = JSON.parse(text) as Record<string, unknown>
  return JSON.stringify(
    Object.entries(options)
      .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
      .toSorted(),
  )
}

export interface Difference {
  readonly key: string
  readonly text: string
}

export function differing(is: ReadonlyMap<string, string>, should: ReadonlyMap<string, string>): readonly Difference[] {
  return [...new Set([...is.keys(), ...should.keys()])]
    .filter((key) => is.get(key) !== should.get(key))
    .map((key) => {
      const [has, wants] = [partsOf(is.get(key)), partsOf(should.get(key))]
      const more = has.filter((part) => !wants.includes(part)).map((part) => `+${part}`)
      const less = wants.filter((part) => !has.includes(part)).map((part) => `-${part}`)
      const reported = [...more, ...less].join(' ') || `it holds ${has.join(' ')}`
      return { key, text: `${key} differs: ${is.has(key) ? reported : 'it is missing'}` }
    })
}

function partsOf(value: string | undefined): readonly string[] {
  if (value === undefined || !value.startsWith('[')) return value === undefined ? [] : [value]
  const parts: unknown = JSON.parse(value)
  return Array.isArray(parts) ? parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))) : []
}
