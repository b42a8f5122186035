/**
 * A Secret's value is in no log, status, Event, object, argument, metric or uncaught error, whatever Redis does. The operator and
 * a consumer run as processes against servers that refuse it, lie, and echo their input.
 */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import * as kinds from '../../../../operator/plan/kinds.ts'
import { borrowCluster, conditionOf, consumerImage, minimalPipeline } from '../../../operator/cluster.ts'
import { needsApiServer } from '../../../support/apiserver.ts'
import { freePort } from '../../../support/port.ts'
import { startRedis } from '../../../support/redis.ts'
import { projectRoot } from '../../../support/root.ts'
import { eventually } from '../../../support/wait.ts'

const canary = 'c4n4ry-v4lue'
const forms = [canary, Buffer.from(canary).toString('base64').replace(/=+$/, ''), Buffer.from(canary).toString('hex')]
const holdsCanary = (text: string) => forms.find((form) => text.includes(form))

/** Answers each command, one line per piece that it was sent. */
async function peer(t: TestContext, answer: (sent: string) => string): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      for (const command of data.toString().split(/(?=\*\d+\r\n\$)/)) socket.write(answer(command.replaceAll(/\r\n/g, ' ')))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
}

interface Running {
  readonly child: ChildProcess
  output(): string
}

function program(t: TestContext, args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [join(projectRoot, 'cli', 'main.ts'), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      output += data.toString()
    })
  }
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  t.after(async () => {
    child.kill('SIGKILL')
    await exit
  })
  return { child, output: () => output }
}

const from = (key: string) => ({ secretKeyRef: { name: 'canary', key } })

async function redisOf(t: TestContext): Promise<Readonly<Record<string, object>>> {
  const strict = await startRedis(t, { args: ['--requirepass', 'another'] })
  const open = await startRedis(t)
  const echo = await peer(t, (sent) => `-ERR unknown command, with args beginning with: ${sent}\r\n`)
  const wrong = await peer(t, (sent) => `-WRONGPASS you sent ${sent}\r\n`)
  const bare = await peer(t, (sent) => `${sent}\r\n`)
  const polite = await peer(t, (sent) => (sent.includes('PING') ? '+PONG\r\n' : `-NOPERM ${sent}\r\n`))
  const login = { usernameFrom: from('user'), passwordFrom: from('word') }
  const url = (host: string) => `redis://${host}/0`
  return {
    wrongpass: { url: url(`127.0.0.1:${strict.port}`), passwordFrom: from('word') },
    'no-such-user': { url: url(`127.0.0.1:${open.port}`), ...login },
    echo: { url: url(echo), ...login },
    'echo-password': { url: url(echo), passwordFrom: from('word') },
    wrong: { url: url(wrong), ...login },
    bare: { url: url(bare), ...login },
    polite: { url: url(polite), ...login },
    nobody: { url: url(`127.0.0.1:${await freePort()}`), ...login },
    sentinel: { sentinel: { master: 'm', nodes: [echo], ...login }, ...login },
    cluster: { cluster: { nodes: [echo] }, ...login },
    'odd-url': { urlFrom: from('word') },
    'odd-escape': { urlFrom: from('escape') },
    'odd-key': { url: `rediss://${echo}`, tls: { certFrom: from('word'), keyFrom: from('word') } },
    'odd-ca': { url: `rediss://${echo}`, tls: { caFrom: from('word') } },
  }
}

test('the value of a Secret comes out nowhere', needsApiServer, async (t) => {
  const data = { user: 'a-user', word: canary, escape: `redis://user:${canary}%E0@127.0.0.1:1` }
  const [cluster, redis] = await Promise.all([borrowCluster(t), redisOf(t)])
  await cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'canary', namespace: 'default' }, stringData: data })
  for (const [name, target] of Object.entries(redis)) await cluster.apply(minimalPipeline(name, 'default', { redis: target }))
  const metrics = await freePort()
  const { kubeconfig } = await cluster.server.user('operator')
  const listen = ['--metrics', `127.0.0.1:${metrics}`, '--health', '127.0.0.1:0']
  const operator = program(
    t,
    [
      'operator',
      '--consumer-image',
      consumerImage,
      '--kubeconfig',
      kubeconfig,
      '--namespaces',
      'default',
      '--log-level',
      'debug',
      ...listen,
    ],
    { POD_NAMESPACE: 'default' },
  )

  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-canary-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'secret', 'canary'), { recursive: true })
  for (const [key, value] of Object.entries(data)) await writeFile(join(folder, 'secret', 'canary', key), value)
  const consumers = await Promise.all(
    ['wrongpass', 'echo', 'echo-password', 'wrong', 'polite', 'odd-url'].map(async (name) => {
      const file = join(folder, `${name}.yaml`)
      await writeFile(
        file,
        JSON.stringify(minimalPipeline(name, 'default', { redis: redis[name], consumer: { logLevel: 'Debug' } })),
      )
      return program(t, ['consume', '--config', file, '--refs', folder, '--listen', '127.0.0.1:0'])
    }),
  )

  for (const name of Object.keys(redis)) {
    await eventually(
      async () => {
        const reported = conditionOf(await cluster.get(kinds.pipelineType, 'default', name), 'RedisReachable')
        assert.equal(reported?.status, 'False', `${name}: ${JSON.stringify(reported)}\n${operator.output().slice(-2_000)}`)
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    )
  }
  await eventually(() => assert.ok(consumers.every((consumer) => consumer.output() !== '')), { timeoutMs: 60_000 })

  const texts: Record<string, string> = { 'operator log': operator.output() }
  for (const [index, consumer] of consumers.entries()) texts[`consumer log ${index}`] = consumer.output()
  for (const type of [kinds.pipelineType, kinds.deploymentType, kinds.configMapType])
    texts[type.kind] = JSON.stringify(await cluster.list(type, 'default'))
  const events = { apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events' }
  texts['Events'] = JSON.stringify(await cluster.list(events, 'default'))
  texts['metrics'] = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()
  for (const { child } of [operator, ...consumers])
    texts[`arguments of ${child.pid}`] = await readFile(`/proc/${child.pid}/cmdline`, 'utf8').catch(() => '')
  for (const [place, text] of Object.entries(texts)) {
    assert.notEqual(place.startsWith('arguments') || text !== '', false, place)
    const form = holdsCanary(text)
    const at = form === undefined ? 0 : text.indexOf(form)
    assert.equal(form, undefined, `${place}: …${text.slice(Math.max(0, at - 300), at + 100)}…`)
  }
})
