/** A transport that is closed opens no connection any more, whatever asks it, and leaves no rejected promise behind. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { isFailure } from '../../../operator/kubernetes/errors.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'

/** Counts connections. Answers 401, after which credentials are asked for anew. */
async function startServer(t: TestContext) {
  const server = createServer((_request, response) => void response.writeHead(401).end('{}'))
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections }
}

/** Each time with other TLS material, so that connections are replaced. */
function rotating(server: string) {
  let times = 0
  const current = async () => ({ server, headers: {}, tls: { servername: `s${++times}` } })
  return { namespace: undefined, current, distrust: () => undefined }
}

const get = { method: 'GET', path: '/x' } as const
const closed = (thrown: unknown) => isFailure(thrown, 'KubernetesUnreachable')

test('after the end a request with other credentials fails by itself', async (t) => {
  const rejected: unknown[] = []
  const note = (thrown: unknown) => void rejected.push(thrown)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  const { url, connections } = await startServer(t)
  const transport = createTransport(rotating(url))
  await assert.rejects(transport.request(get), (thrown) => isFailure(thrown, 'KubernetesUnauthorized'))
  await transport.close()
  const before = connections()
  await assert.rejects(transport.request(get), closed)
  await assert.rejects(async () => {
    for await (const event of transport.watch('/x', {}, new AbortController().signal)) assert.fail(JSON.stringify(event))
  }, closed)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(rejected, [])
  assert.equal(connections(), before)
})

test('an end before the first request opens no connection either', async (t) => {
  const { url, connections } = await startServer(t)
  const transport = createTransport(rotating(url))
  const asked = transport.request(get)
  await transport.close()
  await assert.rejects(asked, closed)
  await assert.rejects(transport.request(get), closed)
  assert.equal(connections(), 0)
})
