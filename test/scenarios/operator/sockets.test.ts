/** The sockets that the operator opens for one namespace are bounded, and shared in turn. No neighbour waits for them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { noLimits } from '../../../operator/limits.ts'
import { createConnections, placesOfNamespace } from '../../../operator/observe/connections.ts'
import { createWakers } from '../../../operator/observe/wakers.ts'
import { createLookHost } from '../../../operator/wall/looks/host.ts'
import { systemClock } from '../../../process/clock.ts'
import { open } from '../../../redis/connect/connection.ts'
import type { RedisAddress } from '../../../redis/connect/references.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** A server at all loopback addresses that takes connections and answers nothing. */
async function startSilence(t: TestContext) {
  const sockets = new Set<Socket>()
  const addresses = new Set<string | undefined>()
  let most = 0
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).resume())
    addresses.add(socket.localAddress)
    most = Math.max(most, sockets.size)
    socket.once('close', () => sockets.delete(socket))
  }).listen(0, '0.0.0.0')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, addresses, most: () => most, open: () => sockets.size }
}

const everyMs = 1_000
const crowd = 200

/** Elapsed time for each second of processor time: other programs of the machine slow everything down. */
function slowness(): number {
  const [cpu, begunMs] = [process.cpuUsage(), performance.now()]
  let usedMs = 0
  while (usedMs < 100) {
    const { user, system } = process.cpuUsage(cpu)
    usedMs = (user + system) / 1_000
  }
  return Math.max(1, (performance.now() - begunMs) / usedMs)
}

test('200 pipelines at silent servers share the places of their namespace; a neighbour is looked at in time', async (t) => {
  const [silence, redis] = await Promise.all([startSilence(t), startRedis(t)])
  const looks = new Map<string, number[]>()
  const host = createLookHost({
    clock: systemClock,
    settings: {
      everyMs,
      quietMs: 1_000,
      referencesEveryMs: 1_000,
      inCluster: false,
      limits: noLimits,
      decisionLog: 'none',
      cluster: 'c',
    },
    reader: { read: () => Promise.reject(new Error('none')) },
    confirmGone: async () => false,
    pipelineGone: () => false,
    onReaped: () => undefined,
    onReapingFailure: () => undefined,
    onChange: () => undefined,
    onDecision: () => undefined,
    onLook: (key) => void looks.set(key, [...(looks.get(key) ?? []), performance.now()]),
    onFailure: () => undefined,
  })
  t.after(() => host.close())
  const pipelineAt = (url: string, n: number) => pipelineWith({ redis: { url }, source: { stream: `p${n}:jobs`, group: 'g' } })
  const watch = (key: string, pipeline: CompiledPipeline) =>
    host.watch(key, { pipeline, currentReplicas: 1, mode: undefined, livingPods: new Set() })
  // Compiled beforehand: compiling keeps this process busy for a second, and it notes the times of looks.
  const silent = Array.from({ length: crowd }, (_, n) => pipelineAt(`redis://127.0.1.${n + 1}:${silence.port}`, n))
  watch('farm/neighbour', pipelineAt(redis.url, crowd))
  const longestGap = (fromMs: number) => {
    const times = (looks.get('farm/neighbour') ?? []).filter((at) => at >= fromMs)
    assert.ok(times.length > 2, `${times.length} looks`)
    return Math.round(Math.max(...times.slice(1).map((at, n) => at - (times[n] ?? at))))
  }
  // The pauses after the first looks are of any length. Later ones show the pace of the machine.
  await eventually(() => assert.equal((looks.get('farm/neighbour')?.length ?? 0) >= 3, true), { timeoutMs: 20_000 })
  const aloneMs = performance.now()
  await new Promise((resolve) => setTimeout(resolve, 9_000))
  const usualMs = longestGap(aloneMs)
  const begunMs = performance.now()
  const before = slowness()
  for (const [n, pipeline] of silent.entries()) watch(`crowd/p${n}`, pipeline)
  await eventually(
    () => {
      const failed = Array.from({ length: crowd }, (_, n) => host.observation(`crowd/p${n}`).kind === 'Failed')
      assert.equal(failed.filter(Boolean).length, crowd)
    },
    { timeoutMs: 60_000 },
  )
  const allFailedMs = performance.now() - begunMs
  const factor = Math.max(before, slowness())
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const longestMs = longestGap(begunMs)
  t.diagnostic(`${silence.most()} sockets at most; the neighbour's longest gap ${longestMs} ms, alone ${usualMs} ms`)
  t.diagnostic(`all were reported after ${Math.round(allFailedMs)} ms; the machine was ${factor.toFixed(1)} times slower`)
  assert.equal(silence.addresses.size, crowd)
  // The diagnosis of a server that answers nothing takes a second connection for a moment.
  assert.ok(silence.most() <= placesOfNamespace + 20, `${silence.most()} sockets`)
  // A second is the promise. Other test files share the machine, and a silent server holds a look for seven.
  assert.ok(longestMs < usualMs + 3_000 * factor, `a gap of ${longestMs} ms, alone ${usualMs} ms, machine ${factor}`)
  assert.equal(host.observation('farm/neighbour').kind, 'Seen')
  for (let n = 0; n < crowd; n++) host.unwatch(`crowd/p${n}`)
  await eventually(() => assert.equal(silence.open(), 0), { timeoutMs: 20_000 })
})

const at = (port: number, n = 0): RedisAddress => ({
  kind: 'Server',
  host: '127.0.0.1',
  port,
  database: n,
  label: `127.0.0.1:${port}`,
})

test('a connection that gave its place up works again at its next use', async (t) => {
  const redis = await startRedis(t, { args: ['--databases', '400'] })
  const admin = redis.client()
  const connections = createConnections(systemClock)
  t.after(() => connections.close())
  const leases = Array.from({ length: placesOfNamespace + 60 }, (_, n) => connections.lease(at(redis.port, n), 'ns'))
  const signal = new AbortController().signal
  const clients = async () => ((await admin.call('CLIENT', 'LIST')) as string).match(/name=streampipeline-observer/g)?.length ?? 0
  for (let round = 0; round < 2; round++)
    for (const lease of leases) {
      const leave = await lease.enter(signal)
      await open(lease.connection)
      assert.equal(await lease.connection.ping(), 'PONG')
      leave?.()
    }
  assert.equal(await clients(), placesOfNamespace)
  await Promise.all(leases.map((lease) => lease.release()))
  await eventually(async () => assert.equal(await clients(), 0))
})

test('the operator waits for entries at a limited number of servers of one namespace; for further ones it reports the reason', async (t) => {
  const redis = await startRedis(t)
  const connections = createConnections(systemClock)
  const wakers = createWakers({ clock: systemClock, onWake: () => undefined, most: 2 })
  t.after(async () => {
    await wakers.close()
    await connections.close()
  })
  const sleep = (key: string, database: number) =>
    wakers.sleeps(key, connections.lease(at(redis.port, database), 'crowd'), { stream: `${key}:s`, afterId: '0-0' })
  for (const n of [0, 1, 2]) sleep(`crowd/p${n}`, n)
  assert.equal(wakers.refusal('crowd/p0'), undefined)
  assert.equal(wakers.refusal('crowd/p2')?.code, 'ConnectionLimit')
  sleep('crowd/p3', 1)
  assert.equal(wakers.refusal('crowd/p3'), undefined, 'it shares a server')
  sleep('farm/p0', 4)
  assert.equal(wakers.refusal('farm/p0'), undefined)
  wakers.awake('crowd/p0')
  sleep('crowd/p2', 2)
  assert.equal(wakers.refusal('crowd/p2'), undefined)
})
