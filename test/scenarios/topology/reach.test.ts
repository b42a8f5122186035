/** Redirections of Sentinels and of a cluster stay within the reach: announced addresses are judged like named ones. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { type TestContext, test } from 'node:test'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import type { Reach } from '../../../redis/connect/reach.ts'
import type { RedisAddress } from '../../../redis/connect/references.ts'
import { startCluster } from '../../topology/support/cluster.ts'
import { masterName, startSentinels } from '../../topology/support/sentinel.ts'

const hostPorts = (addresses: readonly string[], host = '127.0.0.1') =>
  addresses.map((address) => ({ host, port: Number(address.split(':')[1]) }))

async function outcome(address: RedisAddress): Promise<string> {
  const connection = connect(address, 'Observer')
  try {
    await open(connection)
    return String(await connection.get('a'))
  } catch (thrown) {
    return String(Reflect.get(Object(thrown), 'code'))
  } finally {
    await close(connection)
  }
}

test('a master that Sentinels name is connected to only where it may be', async (t) => {
  const { addresses, primary } = await startSentinels(t)
  await primary.client().set('a', 'b')
  const through = (reach: Reach, host = '127.0.0.1') =>
    outcome({ kind: 'Sentinel', master: masterName, nodes: hostPorts(addresses, host), database: 0, label: 's', reach })
  assert.equal(await through({ local: true }), 'b')
  assert.equal(await through({ local: true, networks: ['127.0.0.0/8'] }), 'b')
  assert.equal(await through({ local: false }), 'RedisUnreachable', 'no Sentinel may be asked')
  // The Sentinels are allowed by their name; they announce the master by an address.
  assert.equal(await through({ local: true, hosts: ['localhost'] }, 'localhost'), 'RedisAddressRefused')
  assert.equal(await through({ local: true, hosts: ['localhost', '127.0.0.1'] }, 'localhost'), 'b')
})

test('nodes that a cluster announces are connected to only where they may be', async (t) => {
  const cluster = await startCluster(t)
  await cluster.client().set('a', 'b')
  const through = (reach: Reach, host = '127.0.0.1') =>
    outcome({ kind: 'Cluster', nodes: hostPorts(cluster.addresses, host), label: 'c', reach })
  assert.equal(await through({ local: true }), 'b')
  assert.equal(await through({ local: true }, 'localhost'), 'b')
  assert.equal(await through({ local: false }), 'RedisAddressRefused')
  assert.equal(await through({ local: true, hosts: ['localhost'] }, 'localhost'), 'RedisAddressRefused')
  assert.equal(await through({ local: true, hosts: ['localhost'], networks: ['127.0.0.0/8', '::1/128'] }, 'localhost'), 'b')
})

/** Speaks as much RESP as a client asks of a Sentinel or a node, and names a victim. */
async function liar(t: TestContext, answer: (command: string) => string): Promise<number> {
  return await listening(
    t,
    createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        const commands = data.toString().split(/(?=\*\d+\r\n\$)/)
        for (const command of commands) socket.write(answer(command.toLowerCase()))
      })
    }),
  )
}

async function listening(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

for (const kind of ['Sentinel', 'Cluster', 'Moved'] as const) {
  test(`a lying ${kind} cannot have another server connected to`, async (t) => {
    let touched = 0
    const victim = await listening(
      t,
      createServer((socket) => {
        touched += 1
        socket.destroy()
      }),
    )
    const port = await liar(t, (command) => {
      if (command.includes('get-master-addr')) return `*2\r\n$9\r\n127.0.0.2\r\n$${String(victim).length}\r\n${victim}\r\n`
      if (command.includes('slots')) {
        const host = kind === 'Moved' ? '127.0.0.1' : '127.0.0.2'
        const named = kind === 'Moved' ? own() : victim
        return `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n${host}\r\n:${named}\r\n$1\r\nx\r\n`
      }
      if (command.includes('\nget\r')) return `-MOVED 0 127.0.0.2:${victim}\r\n`
      if (command.includes('\ninfo\r')) return '$19\r\ncluster_state:ok\r\nx\r\n'
      if (command.includes('hello')) return '-ERR unknown command\r\n'
      return '+PONG\r\n'
    })
    function own() {
      return port
    }
    const reach: Reach = { local: true, networks: ['127.0.0.1/32'] }
    const nodes = [{ host: '127.0.0.1', port }]
    const secret = { password: 's3cret', reach, label: 'liar' }
    const connection = connect(
      kind === 'Sentinel' ? { kind, master: 'm', nodes, database: 0, ...secret } : { kind: 'Cluster', nodes, ...secret },
      'Observer',
    )
    const asked = open(connection)
      .then(() => connection.get('a'))
      .catch(() => undefined)
    await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 1_500))])
    connection.disconnect()
    assert.equal(touched, 0)
  })
}
