/**
 * ioredis a second time, as an application has it whose dependencies brought another copy: the same interface, other classes, so
 * that `instanceof` knows none of its objects.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { Cluster } from 'ioredis'
import type { Scope } from '../../support/scope.ts'
import type { RedisCluster } from './cluster.ts'

type Ioredis = typeof import('ioredis')

/** A client of the whole cluster, of the other copy; closed when the scope ends. */
export function otherCluster(scope: Scope, { nodes }: RedisCluster): Cluster {
  const { Cluster: OtherCluster } = otherIoredis()
  const cluster = new OtherCluster(nodes.map(({ host, port }) => ({ host, port })))
  // Failures show in the commands.
  cluster.on('error', () => undefined)
  scope.after(() => cluster.disconnect())
  return cluster
}

function otherIoredis(): Ioredis {
  const require = createRequire(import.meta.url)
  const isOurs = (file: string) => /[\\/]node_modules[\\/]ioredis[\\/]/.test(file)
  const ours = Object.entries(require.cache).filter(([file]) => isOurs(file))
  for (const [file] of ours) delete require.cache[file]
  try {
    const other: Ioredis = require('ioredis')
    assert.notEqual(other.Cluster, Cluster, 'a copy of its own')
    return other
  } finally {
    // A later caller gets the first one again.
    for (const file of Object.keys(require.cache).filter(isOurs)) delete require.cache[file]
    for (const [file, module] of ours) require.cache[file] = module
  }
}
