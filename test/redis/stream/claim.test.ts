/** Who of several pipelines holds a stream and group. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { close, connect, open, type RedisConnection } from '../../../redis/connect/connection.ts'
import { keySpace } from '../../../redis/keys.ts'
import { type Claimant, claim } from '../../../redis/stream/claim.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { address } from '../resource.ts'
import { fileScope } from '../scope.ts'

let server: RedisServer
let connection: RedisConnection
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
  connection = connect(address(server.port), 'Observer')
  scope.after(() => close(connection))
  await open(connection)
})

const claimant = (name: string): Claimant => ({ cluster: 'c', namespace: 'ns', name, uid: `uid-${name}` })
const noneGone = async () => false

async function codeOf(group: string, name: string, isGone: (holder: Claimant) => Promise<boolean> = noneGone) {
  const keys = keySpace('jobs', group)
  return (await claim(connection, keys, { stream: 'jobs', group, claimant: claimant(name) }, isGone))?.message
}

test('the first one holds it, renews it, and the second learns its owner', async () => {
  assert.equal(await codeOf('g1', 'a'), undefined)
  assert.match((await codeOf('g1', 'b')) ?? '', /group g1 of stream jobs belongs to the pipeline ns\/a/)
  assert.equal(await codeOf('g1', 'a'), undefined)
  assert.equal(await codeOf('other', 'b'), undefined, 'another group is free')
})

test('it passes on when its holder is gone, at once', async () => {
  assert.equal(await codeOf('g2', 'a'), undefined)
  assert.equal(await codeOf('g2', 'b', async ({ uid }) => uid === 'uid-a'), undefined)
  assert.notEqual(await codeOf('g2', 'a'), undefined)
})

test('it passes on when it was not renewed for ten minutes, and not before', async () => {
  const { stats } = keySpace('jobs', 'g3')
  const at = async (agoMs: number) =>
    await server.client().hset(stats, 'owner', `${Date.now() - agoMs} uid-a ${JSON.stringify(claimant('a'))}`)
  await at(590_000)
  assert.notEqual(await codeOf('g3', 'b'), undefined)
  await at(601_000)
  assert.equal(await codeOf('g3', 'b'), undefined)
})

test('a text that another program wrote in place of a claim keeps no pipeline out for ever, and is never shown', async () => {
  const { stats } = keySpace('jobs', 'g4')
  for (const text of ['x', '1 2', '99999999999999999999 u {}', `${Date.now() + 86_400_000} u {}`, '']) {
    await server.client().hset(stats, 'owner', text)
    assert.equal(await codeOf('g4', 'b'), undefined, text)
  }
  await server.client().hset(stats, 'owner', `${Date.now()} u {"name":"\u001b[31m","namespace":"n","cluster":"c","uid":"u"}`)
  assert.match((await codeOf('g4', 'c')) ?? '', /belongs to the pipeline \(of an unreadable name\)/)
})
