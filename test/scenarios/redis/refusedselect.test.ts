/** A database that the server or the user's rights refuse: database 0 is never used instead. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { type ConnectionRole, close, connect, failureOn, isCluster, open } from '../../../redis/connect/connection.ts'
import { writeConfig } from '../../consumer/fixture.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { runCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const server = await startRedis({ after })
before(async () => {
  await server.client().call('ACL', 'SETUSER', 'narrow', 'on', '>p', '~*', '&*', '+@all', '-select')
})

const cases = [
  { what: 'a database that the server does not have', database: 99, user: {}, login: '' },
  {
    what: 'a user without the right to SELECT',
    database: 3,
    user: { username: 'narrow', password: 'p' },
    login: 'narrow:p@',
  },
] as const

for (const { what, database, user, login } of cases) {
  describe(`${what}:`, () => suite(database, user, `redis://${login}127.0.0.1:${server.port}/${database}`))
}

/** A pipeline that takes this URL from a Secret, since a resource may hold no password. */
async function pipelineAt(t: TestContext, url: string) {
  const refs = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  t.after(() => rm(refs, { recursive: true }))
  await mkdir(join(refs, 'secret', 'redis'), { recursive: true })
  await writeFile(join(refs, 'secret', 'redis', 'url'), url)
  // Also when database 0 was written to, the next test finds it empty.
  t.after(async () => void (await server.client().flushall()))
  return { refs, spec: { redis: { urlFrom: { secretKeyRef: { name: 'redis', key: 'url' } } } } }
}

function suite(database: number, user: object, url: string) {
  const named = (thrown: unknown) => {
    assert.ok(thrown instanceof StreamPipelineError, String(thrown))
    assert.match(thrown.advice, new RegExp(`database ${database}|select`, 'i'))
    return true
  }
  const untouched = async () => assert.deepEqual(await server.client().keys('*'), [], 'database 0 is written to')

  for (const role of ['Blocking', 'Writer', 'Observer', 'Producer'] satisfies ConnectionRole[]) {
    test(`no connection of the role ${role} opens`, async (t) => {
      const connection = connect(address(server.port, { database, ...user }), role)
      t.after(() => close(connection))
      await assert.rejects(open(connection, AbortSignal.timeout(5_000)), named)
    })
  }

  for (const mode of ['Stream', 'Direct'] as const) {
    test(`${mode} dispatch fails, and adds nothing to database 0`, async (t) => {
      const { refs, spec } = await pipelineAt(t, url)
      const dispatcher = createDispatcher({ pipeline: pipelineWith(spec), refs, mode, env: {}, onError: () => undefined })
      t.after(() => dispatcher.close())
      await assert.rejects(dispatcher.dispatch({ k: 1 }), named)
      await untouched()
    })
  }

  for (const words of [['dead', 'list'], ['up']])
    test(`\`${words.join(' ')}\` fails, and names the database`, async (t) => {
      const { refs, spec } = await pipelineAt(t, url)
      const { code, stdout, stderr } = await runCli(t, [...words, '-f', await writeConfig(t, spec), '--refs', refs])
      assert.notEqual(code, 0, `it answers ${stdout}`)
      assert.match(stderr, new RegExp(`database ${database}|select`, 'i'))
      await untouched()
    })
}

describe('a right to SELECT that is taken away and given back:', () => {
  const grant = async (rule: '+select' | '-select') => {
    const admin = server.client()
    await admin.call('ACL', 'SETUSER', 'wide', 'on', '>p', '~*', '&*', '+@all', rule)
    await admin.call('CLIENT', 'KILL', 'USER', 'wide')
  }
  const wide = address(server.port, { database: 3, username: 'wide', password: 'p' })
  const denied = (thrown: unknown) => {
    assert.ok(thrown instanceof StreamPipelineError, String(thrown))
    assert.equal(thrown.code, 'RedisPermissionDenied', thrown.message)
    return true
  }

  for (const role of ['Blocking', 'Writer', 'Observer', 'Producer', 'BullWorker'] satisfies ConnectionRole[]) {
    test(`${role}: after a reconnect commands fail, those in flight too, until it is granted again`, async (t) => {
      await grant('+select')
      t.after(async () => void (await server.client().flushall()))
      const connection = connect(wide, role)
      // As BullMQ makes its blocking connection.
      const made = role === 'BullWorker' && !isCluster(connection) ? connection.duplicate() : connection
      t.after(() => Promise.all([close(made), close(connection)]))
      const failing = (work: Promise<unknown>) =>
        work.then(
          (answer) => assert.fail(`answered with ${String(answer)}`),
          (thrown: unknown) => failureOn(connection, thrown),
        )
      await open(made)
      const inFlight = failing(made.blpop('nothing', 0))
      await eventually(async () => /cmd=blpop/.test(String(await server.client().client('LIST'))))
      await grant('-select')
      const ended = await inFlight
      // Those that do not wait for another attempt end with the connection.
      if (role !== 'Observer') denied(ended)
      await failing(made.set('k', 'v'))
      assert.deepEqual(await server.client().keys('*'), [], 'database 0 is written to')
      await grant('+select')
      await eventually(async () => (await made.set('k', 'v')) === 'OK', { timeoutMs: 10_000 })
      assert.equal(await server.client({ db: 3 }).get('k'), 'v')
      assert.deepEqual(await server.client().keys('*'), [])
    })
  }
})
