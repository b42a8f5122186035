/** Bare host names mean what they mean to the consumers. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { asSeenFrom } from '../../operator/locality.ts'

const server = (host: string) => ({ kind: 'Server', host, port: 6379, database: 0, label: `${host}:6379` }) as const

test('a bare name is a Service of the pipeline’s namespace, any other host stays', () => {
  for (const [host, expected] of [
    ['redis', 'redis.farm.svc'],
    ['redis.data', 'redis.data'],
    ['redis.data.svc.cluster.local', 'redis.data.svc.cluster.local'],
    ['cache.example.com', 'cache.example.com'],
    ['10.0.0.7', '10.0.0.7'],
    ['fd00::7', 'fd00::7'],
    ['localhost', 'localhost'],
  ] as const) {
    assert.deepEqual(asSeenFrom('farm', server(host)), { ...server(host), host: expected })
  }
})

test('the certificate is still asked for the name that was written', () => {
  assert.deepEqual(asSeenFrom('farm', { ...server('redis'), tls: { ca: 'x' } }).tls, { ca: 'x', serverName: 'redis' })
  assert.deepEqual(asSeenFrom('farm', { ...server('redis'), tls: { serverName: 'other' } }).tls, { serverName: 'other' })
  assert.deepEqual(asSeenFrom('farm', { ...server('a.example'), tls: {} }).tls, {})
})

test('nodes of Sentinel and Cluster likewise', () => {
  const nodes = [
    { host: 'node-0', port: 1 },
    { host: 'node-1.nodes', port: 2 },
  ]
  const cluster = asSeenFrom('farm', { kind: 'Cluster', nodes, label: 'x' })
  assert.deepEqual(cluster.kind === 'Cluster' && cluster.nodes.map(({ host }) => host), ['node-0.farm.svc', 'node-1.nodes'])
})
