/** An API server that hangs holds up no look at Redis: reads of Secrets and questions about pods wait a moment, and go on by themselves. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFailure, statusFailure } from '../../../operator/kubernetes/errors.ts'
import type { Transport } from '../../../operator/kubernetes/transport.ts'
import { createReferenceReader } from '../../../operator/observe/referencereader.ts'
import { createConfirmation } from '../../../operator/reaping/confirmation.ts'
import { createTestClock } from '../../support/testclock.ts'

interface Held {
  readonly path: string
  readonly answer: (value: unknown) => void
  readonly refuse: (error: Error) => void
}

/** A transport whose requests end when the test ends them. */
function heldTransport() {
  const held: Held[] = []
  const transport = {
    request: ({ path }: { path: string }) =>
      new Promise((answer, refuse) => {
        held.push({ path, answer, refuse })
      }),
  } as unknown as Transport
  return { transport, held }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const reference = { kind: 'Secret', name: 's', key: 'k', field: 'f' } as const
const secret = (text: string) => ({ data: { k: Buffer.from(text).toString('base64') } })
const unreachable = (thrown: unknown) => isFailure(thrown, 'KubernetesUnreachable')

function reading() {
  const clock = createTestClock()
  const { transport, held } = heldTransport()
  const reader = createReferenceReader(transport, clock)
  return { clock, held, reader, read: (maxAgeMs: number) => reader.read('ns', reference, maxAgeMs) }
}

test('a Secret that was read before holds after a second without an answer, and is in doubt', async () => {
  const { clock, held, reader, read } = reading()
  const first = read(1_000)
  await turn()
  held[0]?.answer(secret('old'))
  assert.equal(await first, 'old')
  clock.advance(30_000)
  const second = read(1_000)
  await turn()
  assert.equal(reader.doubt('ns', reference), undefined)
  clock.advance(1_000)
  assert.equal(await second, 'old')
  // Those that come later do not wait for the same request.
  assert.equal(await read(30_000), 'old')
  assert.equal(held.length, 2)
  clock.advance(2_000)
  assert.equal(reader.doubt('ns', reference)?.forMs, 3_000)
  held[1]?.answer(secret('new'))
  await turn()
  assert.equal(await read(30_000), 'new')
  assert.equal(reader.doubt('ns', reference), undefined)
})

test('a younger read of another caller does not make an unanswered Secret a missing one', async () => {
  const { clock, read } = reading()
  const first = read(30_000)
  await turn()
  clock.advance(4_500)
  // A look after a failure wants a younger answer, and begins a read of its own.
  const second = read(2_000)
  await turn()
  clock.advance(500)
  await assert.rejects(first, unreachable)
  clock.advance(4_500)
  await assert.rejects(second, unreachable)
})

test('a Secret that was never read counts as not read after five seconds', async () => {
  const { clock, held, read } = reading()
  const first = read(1_000)
  await turn()
  clock.advance(4_999)
  await turn()
  clock.advance(1)
  await assert.rejects(first, unreachable)
  held[0]?.answer(secret('late'))
  await turn()
  assert.equal(await read(30_000), 'late')
})

for (const [title, answer] of [
  ['did not exist', undefined],
  ['lacked the key', { data: {} }],
] as const)
  test(`a Secret that ${title} is not reported as missing while it cannot be read`, async () => {
    const { clock, held, read } = reading()
    const missing = (thrown: unknown) => isFailure(thrown, 'ReferenceMissing')
    const first = read(1_000)
    await turn()
    if (answer === undefined) held[0]?.refuse(statusFailure(404, { code: 404, reason: 'NotFound', message: 'no' }, 'GET'))
    else held[0]?.answer(answer)
    await assert.rejects(first, missing)
    clock.advance(30_000)
    const second = read(1_000)
    await turn()
    clock.advance(1_000)
    await assert.rejects(second, unreachable)
    held[1]?.refuse(statusFailure(403, { code: 403, reason: 'Forbidden', message: 'no' }, 'GET'))
    await turn()
    await assert.rejects(read(30_000), (thrown) => isFailure(thrown, 'KubernetesForbidden'))
  })

test('a question about a pod waits a second, and its answer serves a later look', async () => {
  const clock = createTestClock()
  const { transport, held } = heldTransport()
  const { signal } = new AbortController()
  const confirm = createConfirmation({ transport, clock, cached: () => undefined, isKnown: () => true, signal })
  const ask = () => confirm('ns', 'p', 'uid', 0)
  const first = ask()
  await turn()
  clock.advance(1_000)
  await assert.rejects(first, unreachable)
  // The same question is asked once, and is waited for no more.
  clock.advance(5_000)
  const second = ask()
  await assert.rejects(second, unreachable)
  assert.equal(held.length, 1)
  held[0]?.answer({ metadata: { uid: 'another' } })
  await turn()
  assert.equal(await ask(), true)
  assert.equal(held.length, 1)
  assert.equal(clock.waiting, 0)
})

test('a question that fails late is asked again', async () => {
  const clock = createTestClock()
  const { transport, held } = heldTransport()
  const { signal } = new AbortController()
  const confirm = createConfirmation({ transport, clock, cached: () => undefined, isKnown: () => true, signal })
  const first = confirm('ns', 'p', 'uid', 0)
  await turn()
  clock.advance(1_000)
  await assert.rejects(first, unreachable)
  held[0]?.refuse(new Error('closed'))
  await turn()
  const second = confirm('ns', 'p', 'uid', 0)
  await turn()
  assert.equal(held.length, 2)
  held[1]?.answer({ metadata: { uid: 'uid' } })
  assert.equal(await second, false)
})
