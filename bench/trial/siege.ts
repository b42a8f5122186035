/**
 * An operator under siege. One namespace has ten healthy pipelines. The other has servers that answer anything, specs as costly
 * as possible, and keys with any state, large entries and invented consumers.
 */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { resourcePath } from '../../operator/kubernetes/objects.ts'
import { createTransport, type Transport } from '../../operator/kubernetes/transport.ts'
import { pipelineType } from '../../operator/plan/kinds.ts'
import { keySpace } from '../../redis/keys.ts'
import type { Random } from '../../test/scenarios/hostile/kind.ts'
import { drawState } from '../../test/scenarios/hostile/kinds/looks.ts'
import { writeReply } from '../../test/scenarios/hostile/kinds/replies.ts'
import { drawSchema } from '../../test/scenarios/hostile/kinds/specs.ts'
import { createRandom } from '../../test/scenarios/hostile/payloads.ts'
import { startApiServer } from '../../test/support/apiserver.ts'
import { monitorOf } from '../../test/support/monitor.ts'
import { type RedisServer, startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { type OperatorProcess, operatorProgram, residentMiB } from '../operator/program.ts'

interface SiegeResult {
  readonly operatorExits: number
  readonly leaseLost: number
  readonly lateMs: readonly number[]
  readonly peakRssMiB: number
  readonly tried: Readonly<Record<string, number>>
}

interface SiegeOptions {
  /** Counted from when everything is set up. */
  readonly forMs: number
  readonly seed: number
  readonly progress: (line: string) => void
}

const victims = 10
const enemies = 12
/** The longest time between two looks, jitter included. */
const everyMs = 5_250
const long = { timeoutMs: 120_000, intervalMs: 100 }

export async function runSiege(scope: Scope, { forMs, seed, progress }: SiegeOptions): Promise<SiegeResult> {
  const random = createRandom(seed + 1)
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-siege-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const [server, healthy, own] = await Promise.all([
    startApiServer(scope, {
      users: { operator: ['system:masters'] },
      manifests: [join(projectRoot, 'crds', 'streampipelines.yaml')],
    }),
    startRedis(scope),
    startRedis(scope),
  ])
  const transport = createTransport(loadCredentials(server.kubeconfig))
  scope.after(() => transport.close())
  for (const name of ['victim', 'tenant']) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
    await transport.request({ method: 'POST', path: '/api/v1/namespaces', body })
  }
  const create = (namespace: string, name: string, url: string, spec: object = {}) =>
    transport.request({
      method: 'POST',
      path: resourcePath(pipelineType, namespace),
      body: {
        apiVersion: pipelineType.apiVersion,
        kind: pipelineType.kind,
        metadata: { name, namespace },
        spec: { redis: { url }, source: { stream: `${name}:jobs`, group: name }, sink: { bullmq: { queue: name } }, ...spec },
      },
    })
  const { kubeconfig } = await server.user('operator')
  const program = await operatorProgram(scope, folder, kubeconfig)
  let operator: OperatorProcess = await program.start('besieged')
  await eventually(() => operator.stdout().includes('"leading"'), long)
  const lateMs = await watchLooks(scope, healthy)
  for (let n = 0; n < victims; n++) await create('victim', `v${n}`, healthy.url)
  progress('the victims are served')
  await eventually(() => lateMs.length >= victims, long)
  lateMs.length = 0

  const tried = counts()
  for (let n = 0; n < enemies; n++)
    await create('tenant', `enemy-${n}`, `redis://127.0.0.1:${await enemy(scope, random, tried)}/0`)
  for (let n = 0; n < 5; n++) await create('tenant', `own-${n}`, own.url, { scaling: { minReplicas: 0 } })
  progress('the siege begins')

  const untilMs = performance.now() + forMs
  let [exits, lost, peakRssMiB] = [0, 0, 0]
  const attack = attacks(own.client(), create, transport, own.url, random, tried)
  for (let round = 0; performance.now() < untilMs; round++) {
    await attack(round).catch((thrown: unknown) => progress(`an attack failed: ${String(thrown)}`))
    peakRssMiB = Math.max(peakRssMiB, await residentMiB(operator.pid))
    if (operator.running()) continue
    exits += 1
    progress(`the operator ended: ${operator.stderr().slice(-300)}`)
    operator = await program.start('besieged')
  }
  lost = operator.stdout().split('no longer leading').length - 1
  await operator.stop()
  return { operatorExits: exits, leaseLost: lost, lateMs, peakRssMiB, tried: tried.all() }
}

function counts() {
  const all: Record<string, number> = {}
  return {
    all: () => all,
    count(name: string): void {
      all[`live ${name}`] = (all[`live ${name}`] ?? 0) + 1
    },
  }
}

/** The delay of each look at a victim. A look asks the type of its stream. */
async function watchLooks(scope: Scope, server: RedisServer): Promise<number[]> {
  const monitor = await monitorOf(scope, server)
  const lateMs: number[] = []
  const last = new Map<string, number>()
  monitor.on('monitor', (_: string, [command = '', key = '']: string[]) => {
    if (command.toLowerCase() !== 'xlen' || !/^\{v\d+:jobs\}:dead$/.test(key)) return
    const nowMs = performance.now()
    const before = last.get(key)
    last.set(key, nowMs)
    if (before !== undefined) lateMs.push(Math.max(0, nowMs - before - everyMs))
  })
  return lateMs
}

/** A server that answers anything to anything. */
async function enemy(scope: Scope, random: Random, tried: ReturnType<typeof counts>): Promise<number> {
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => void sockets.delete(socket))
    socket.on('data', (asked: Buffer) => {
      tried.count('replies')
      const commands = asked.toString('latin1').match(/\*\d+\r\n/g)?.length ?? 1
      const honest = random.below(3) > 0
      const one = () =>
        honest ? random.pick(['+OK\r\n', '$2\r\nOK\r\n', '*0\r\n', ':1\r\n', '_\r\n']) : writeReply(random, 4, true)
      socket.write(Buffer.from(Array.from({ length: commands }, one).join(''), 'latin1'))
      if (random.below(20) === 0) socket.write(`$500000000\r\n${'x'.repeat(100_000)}`)
    })
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  scope.after(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return (listener.address() as AddressInfo).port
}

type Create = (namespace: string, name: string, url: string, spec?: object) => Promise<unknown>

/** One round after the other, each of another kind. */
function attacks(
  client: Redis,
  create: Create,
  transport: Transport,
  url: string,
  random: Random,
  tried: ReturnType<typeof counts>,
): (round: number) => Promise<void> {
  const remove = async (name: string) =>
    void (await transport.request({ method: 'DELETE', path: resourcePath(pipelineType, 'tenant', name) }).catch(() => undefined))
  const made: string[] = []
  const make = async (name: string, spec: object) => {
    await create('tenant', name, url, spec).catch(() => undefined)
    made.push(name)
    // More than a few at once would only test the API server.
    if (made.length > 20) await remove(made.shift() ?? '')
  }
  return async (round) => {
    const target = `own-${random.below(5)}`
    const keys = keySpace(`${target}:jobs`, target)
    switch (round % 6) {
      case 0:
        tried.count('stored state')
        await client.hset(
          keys.stats,
          'scaling',
          drawState(random),
          random.pick(['base', 'pin', 'lost']),
          random.pick(['x', '-1', '1e99']),
        )
        break
      case 1:
        tried.count('heartbeats')
        await client.hset(keys.consumers, `ghost-${round}`, `owner/life-${round}`)
        await client.set(keys.consumer(`ghost-${round}`), `{"uid":"owner/life-${round}","at":1e999,"state":"Running"}`, 'EX', 60)
        break
      case 2:
        tried.count('schemas')
        await make(`schema-${round}`, { payload: { schema: JSON.parse(JSON.stringify(drawSchema(random))) as object } })
        break
      case 3:
        tried.count('crons')
        await make(`cron-${round}`, {
          scaling: {
            schedules: [
              { cron: `0 0 ${random.pick(['29', '30', '31'])} 2 *`, timeZone: 'Asia/Beirut', for: '1h', minReplicas: 1 },
            ],
          },
        })
        break
      case 4:
        if (round % 60 === 4) {
          tried.count('large entries')
          await client.xadd(`${target}:jobs`, '*', 'x', Buffer.alloc(64 * 2 ** 20))
          await client.xtrim(`${target}:jobs`, 'MAXLEN', 1)
        }
        break
      default:
        if (round % 300 === 5) {
          tried.count('invented consumers')
          const invented = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`ghost-${n}`, `owner/life-${n}`]))
          await client.hset(keys.consumers, invented)
        }
    }
    await sleep(200)
  }
}
