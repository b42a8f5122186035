/** Which names and addresses a reach lets through, in every form that people and resolvers write them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { close, connect, isCluster, open } from '../../../redis/connect/connection.ts'
import { addressRefusal, nameRefusal, type Reach } from '../../../redis/connect/reach.ts'
import { startRedis } from '../../support/redis.ts'

const routable: Reach = { local: false }

const locals = [
  ...[
    '127.0.0.1',
    '127.1.2.3',
    '127.255.255.255',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '169.254.0.1',
    '255.255.255.255',
    '224.0.0.1',
  ],
  ...[
    '100.100.100.200',
    '168.63.129.16',
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'ff02::1',
    'fd00:ec2::254',
  ],
  ...[
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:7f00:1',
    '::FFFF:169.254.169.254',
    '::ffff:0.0.0.0',
    '::127.0.0.1',
    '::7f00:1',
  ],
  ...[
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::7f00:1',
    '2002:7f00:1::',
    '2002:a9fe:a9fe::1',
    '::ffff:0:127.0.0.1',
  ],
]
const others = [
  '10.0.0.1',
  '128.0.0.1',
  '126.255.255.255',
  '169.253.1.1',
  '100.100.100.201',
  '192.168.1.1',
  '1.1.1.1',
  'fd00::1',
  'fec0::1',
  '2001:db8::1',
  '::ffff:10.0.0.1',
  '2002:0a00:1::',
  '64:ff9b::a00:1',
]

test('addresses of this host, its link and of metadata services are refused in every form', () => {
  for (const address of locals) {
    assert.equal(addressRefusal(routable, 'redis.example.com', address)?.code, 'RedisAddressRefused', address)
    assert.equal(nameRefusal(routable, address)?.code, 'RedisAddressRefused', address)
    assert.equal(addressRefusal({ local: true }, 'redis.example.com', address), undefined, address)
  }
  for (const address of others) {
    assert.equal(addressRefusal(routable, 'redis.example.com', address), undefined, address)
    assert.equal(nameRefusal(routable, address), undefined, address)
  }
  for (const name of ['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'A.LocalHost.'])
    assert.equal(nameRefusal(routable, name)?.code, 'RedisAddressRefused', name)
  for (const name of ['localhost.example.com', 'notlocalhost', 'redis'])
    assert.equal(nameRefusal(routable, name), undefined, name)
})

test('names are allowed whole, or by their end at a dot', () => {
  const reach: Reach = { local: false, hosts: ['redis.example.com', '*.farm.svc', '10.1.2.3'] }
  for (const name of ['redis.example.com', 'Redis.Example.com.', 'a.farm.svc', 'a.b.farm.svc', '10.1.2.3'])
    assert.equal(nameRefusal(reach, name), undefined, name)
  const refused = [
    'example.com',
    'evil-redis.example.com',
    'redis.example.com.evil',
    'farm.svc',
    '.farm.svc',
    'evilfarm.svc',
    'x.farm.svc.evil',
    '10.1.2.4',
    '010.1.2.3',
    '2130706433',
    '::1',
    '',
  ]
  for (const name of refused) assert.equal(nameRefusal(reach, name)?.code, 'RedisAddressRefused', name)
  // A name that is allowed may be anywhere but here.
  assert.equal(addressRefusal(reach, 'redis.example.com', '52.1.2.3'), undefined)
  assert.equal(addressRefusal(reach, 'redis.example.com', '127.0.0.1')?.code, 'RedisAddressRefused')
})

test('networks hold for what a name resolves to, and for addresses that servers announce', () => {
  const reach: Reach = { local: false, hosts: ['*.farm.svc'], networks: ['10.0.0.0/8', 'fd12::/16'] }
  for (const [host, address] of [
    ['a.farm.svc', '10.1.2.3'],
    ['10.9.9.9', '10.9.9.9'],
    ['fd12::1', 'fd12::1'],
    ['a.farm.svc', '::ffff:10.1.2.3'],
  ] as const)
    assert.equal(addressRefusal(reach, host, address), undefined, address)
  for (const [host, address] of [
    ['a.farm.svc', '11.0.0.1'],
    ['11.0.0.1', '11.0.0.1'],
    ['fd13::1', 'fd13::1'],
    ['a.farm.svc', '::ffff:11.0.0.1'],
  ] as const)
    assert.equal(addressRefusal(reach, host, address)?.code, 'RedisAddressRefused', address)
  assert.equal(nameRefusal({ local: false, networks: [] }, 'any.name'), undefined)
  assert.equal(addressRefusal({ local: false, networks: [] }, 'any.name', '10.0.0.1')?.code, 'RedisAddressRefused')
})

test('no byte reaches a server that may not be reached, however its address is written', async (t) => {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  t.after(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  for (const host of [
    '127.0.0.1',
    'localhost',
    'LocalHost',
    '2130706433',
    '0x7f.1',
    '127.1',
    '::ffff:127.0.0.1',
    '::1',
    '0.0.0.0',
    '0',
  ]) {
    for (const tls of [undefined, {}]) {
      const connection = connect(
        {
          kind: 'Server',
          host,
          port,
          database: 0,
          label: host,
          password: 'secret',
          reach: routable,
          ...(tls === undefined ? {} : { tls }),
        },
        'Observer',
      )
      await assert.rejects(open(connection), (thrown) => {
        assert.equal(Reflect.get(Object(thrown), 'code'), 'RedisAddressRefused', `${host}: ${String(thrown)}`)
        return true
      })
      await close(connection)
    }
  }
  assert.equal(connections, 0)
})

test('a server that may be reached is, by name and by address, and again after its connection was lost', async (t) => {
  const redis = await startRedis(t)
  for (const [host, reach] of [
    ['localhost', { local: true }],
    ['127.0.0.1', { local: true, networks: ['127.0.0.0/8'] }],
    ['localhost', { local: true, hosts: ['localhost'], networks: ['127.0.0.0/8', '::1/128'] }],
  ] as const) {
    const connection = connect({ kind: 'Server', host, port: redis.port, database: 0, label: host, reach }, 'Writer')
    await open(connection)
    await redis.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    assert.equal(await connection.ping(), 'PONG')
    assert.ok(!isCluster(connection))
    const copy = connection.duplicate()
    assert.equal(await copy.ping(), 'PONG')
    copy.disconnect()
    await close(connection)
  }
})
