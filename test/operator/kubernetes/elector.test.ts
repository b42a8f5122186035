/**
 * Leader election in seeded schedules. STREAMPIPELINE_ELECTIONS sets how many (10,000 for the bar); a failure names its seed, which
 * STREAMPIPELINE_SEED with one schedule repeats.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as eventLoop } from 'node:timers/promises'
import { failure } from '../../../api/errors.ts'
import { createElector } from '../../../operator/kubernetes/elector.ts'
import type { Lease } from '../../../operator/kubernetes/lease.ts'
import type { Transport, WatchEvent } from '../../../operator/kubernetes/transport.ts'
import { seed } from '../../support/seed.ts'
import { createTestClock } from '../../support/testclock.ts'
import { simulate } from '../election/simulation.ts'

const schedules = Number(process.env['STREAMPIPELINE_ELECTIONS'] ?? 100)

test('whatever clocks, processes and the network do, no two leaders act at once, and one leads when all is calm', async (t) => {
  let terms = 0
  for (let n = 0; n < schedules; n++) {
    const verdict = await simulate(seed + n)
    assert.deepEqual(verdict.violations, [], `seed ${seed + n}`)
    assert.equal(verdict.leadersAtEnd, 1, `seed ${seed + n}`)
    terms += verdict.terms
  }
  assert.ok(terms >= 2 * schedules, 'leaders change')
  t.diagnostic(`${schedules} schedules from seed ${seed}, ${terms} terms of office`)
})

test('a Lease that was let go is taken at once, also where the answer to an earlier look comes after that news', async () => {
  const lease = (resourceVersion: string, holderIdentity: string): Lease => ({
    metadata: { name: 'l', namespace: 'n', resourceVersion },
    spec: { holderIdentity, leaseDurationSeconds: 15 },
  })
  let held = lease('1', 'other')
  const answer = Promise.withResolvers<Lease>()
  const news = Promise.withResolvers<WatchEvent>()
  const transport: Transport = {
    async request({ method, path, body }) {
      if (method === 'GET' && path.endsWith('/leases'))
        return { items: [lease('1', 'other')], metadata: { resourceVersion: '1' } }
      if (method === 'GET') return await answer.promise
      const { metadata, spec } = body as Lease
      if (metadata.resourceVersion !== held.metadata.resourceVersion)
        throw failure('KubernetesConflict', { subject: path, detail: 'changed' })
      held = { metadata: { ...metadata, resourceVersion: String(Number(metadata.resourceVersion) + 1) }, spec: spec ?? {} }
      return held
    },
    async *watch(_path, _query, signal) {
      yield await news.promise
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    },
    close: async () => {},
  }
  const stop = new AbortController()
  const elector = createElector({ transport, clock: createTestClock(), namespace: 'n', name: 'l', identity: 'we' })
  let leads = false
  const done = elector.run(stop.signal, async (term) => {
    leads = true
    await new Promise<void>((resolve) => term.addEventListener('abort', () => resolve(), { once: true }))
    leads = false
  })
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await eventLoop()
  }
  await turns()
  held = lease('2', '')
  news.resolve({ type: 'MODIFIED', object: held })
  await turns()
  answer.resolve(lease('1', 'other'))
  await turns()
  assert.deepEqual([leads, held.spec?.holderIdentity], [true, 'we'])
  stop.abort()
  await done
  assert.equal(held.spec?.holderIdentity, '')
})

const interruptions = [
  { what: 'does not reach the server', reaches: false, stale: false },
  { what: 'reaches the server, and its answer is lost', reaches: true, stale: false },
  { what: 'follows a renewal whose answer was lost', reaches: false, stale: true },
] as const
for (const { what, reaches, stale } of interruptions) {
  test(`a release that ${what} is tried again`, async () => {
    const unreachable = failure('KubernetesUnreachable', { detail: 'the connection was closed' })
    let held: Lease = { metadata: { name: 'l', namespace: 'n', resourceVersion: '1' }, spec: { holderIdentity: '' } }
    let cuts = 0
    let requests = 0
    const transport: Transport = {
      async request({ method, path, body }) {
        if (method === 'GET' && path.endsWith('/leases')) return { items: [held], metadata: { resourceVersion: '1' } }
        if (method === 'GET') return held
        requests += 1
        const { metadata, spec } = body as Lease
        const isCut = cuts > 0 && cuts-- > 0
        if (isCut && !reaches) throw unreachable
        if (metadata.resourceVersion !== held.metadata.resourceVersion)
          throw failure('KubernetesConflict', { subject: path, detail: 'changed' })
        held = { metadata: { ...metadata, resourceVersion: String(Number(metadata.resourceVersion) + 1) }, spec: spec ?? {} }
        if (isCut) throw unreachable
        return held
      },
      async *watch(_path, _query, signal) {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        yield* []
      },
      close: async () => {},
    }
    const clock = createTestClock()
    const stop = new AbortController()
    const elector = createElector({ transport, clock, namespace: 'n', name: 'l', identity: 'we' })
    const done = elector.run(stop.signal, async (term) => {
      await new Promise<void>((resolve) => term.addEventListener('abort', () => resolve(), { once: true }))
    })
    const turns = async () => {
      for (let turn = 0; turn < 20; turn++) await eventLoop()
    }
    await turns()
    assert.equal(held.spec?.holderIdentity, 'we')
    if (stale) held = { ...held, metadata: { ...held.metadata, resourceVersion: '9' } }
    else cuts = 1
    stop.abort()
    for (let tick = 0; tick < 30; tick++) {
      await turns()
      clock.advance(100)
    }
    await done
    assert.equal(held.spec?.holderIdentity, '')
    assert.ok(requests <= 4, `${requests} writes`)
  })
}
