/** Notes about namespaces, pipelines and reads that are over are dropped, and a read that is over ends no younger one. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../../api/errors.ts'
import type { Transport } from '../../../operator/kubernetes/transport.ts'
import { recordingReasons } from '../../../operator/looklog.ts'
import { createReferenceReader } from '../../../operator/observe/referencereader.ts'
import { createConfirmation } from '../../../operator/reaping/confirmation.ts'
import { createRewind } from '../../../operator/rewind.ts'
import { failedLook, pipelineObject } from '../../operator/builder.ts'
import { createTestClock } from '../../support/testclock.ts'

/** A transport whose requests end when the test ends them. */
function heldTransport() {
  const held: { readonly path: string; readonly answer: (value: unknown) => void }[] = []
  const transport = {
    request: ({ path }: { path: string }) => new Promise((answer) => held.push({ path, answer })),
  } as unknown as Transport
  return { transport, held }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('a read of a Secret that ends late does not hide a younger one', async () => {
  const clock = createTestClock()
  const { transport, held } = heldTransport()
  const reader = createReferenceReader(transport, clock)
  const read = (maxAgeMs: number) =>
    reader.read('ns', { kind: 'Secret', name: 's', key: 'k', field: 'f' }, maxAgeMs).catch(() => 'missing')
  const secret = (text: string) => ({ data: { k: Buffer.from(text).toString('base64') } })
  const first = read(1_000)
  await turn()
  clock.advance(2_000)
  const second = read(1_000)
  await turn()
  assert.equal(held.length, 2)
  held[0]?.answer(secret('old'))
  assert.equal(await first, 'old')
  clock.advance(100)
  // The second read is under way: no third is needed.
  const third = read(1_000)
  await turn()
  held[1]?.answer(secret('new'))
  assert.deepEqual([await second, held.length], ['new', 2])
  assert.equal(await third, 'new')
})

test('while the API server hangs, two reads of a Secret are under way, and no more', async () => {
  const clock = createTestClock()
  const { transport, held } = heldTransport()
  const reader = createReferenceReader(transport, clock)
  const reads: Promise<string>[] = []
  const read = async () => {
    reads.push(reader.read('ns', { kind: 'Secret', name: 's', key: 'k', field: 'f' }, 1_000).catch((thrown) => thrown.code))
    await turn()
    clock.advance(2_000)
  }
  for (let n = 0; n < 10; n++) await read()
  assert.equal(held.length, 2)
  const secret = { data: { k: Buffer.from('new').toString('base64') } }
  held[1]?.answer(secret)
  await turn()
  await read()
  assert.equal(held.length, 3, 'one of them has ended')
  held[2]?.answer(secret)
  assert.equal(await reads.at(-1), 'new')
})

test('a namespace that suspected no consumer for long is asked about as at first', async () => {
  const clock = createTestClock()
  let gets = 0
  let lists = 0
  const transport = {
    async request({ path }: { path: string }) {
      if (!path.endsWith('/pods')) {
        gets += 1
        throw failure('KubernetesNotFound', { subject: 'pod', detail: 'gone' })
      }
      lists += 1
      return { items: [] }
    },
  } as unknown as Transport
  const signal = new AbortController().signal
  const confirm = createConfirmation({ transport, clock, cached: () => undefined, isKnown: () => true, signal })
  for (const round of [1, 2, 3]) {
    for (let n = 0; n < 30; n++) assert.equal(await confirm('ns', `p${n}`, `uid-${round}-${n}`, clock.now()), true)
    assert.deepEqual([gets, lists], [20 * round, round])
    clock.advance(200_000)
    await confirm('other', 'p', `uid-${round}`, clock.now())
    gets -= 1
  }
})

test('the reason of a deleted pipeline is logged again for one of the same name', () => {
  const lines: unknown[] = []
  const looked = recordingReasons({ info: (fields: unknown) => void lines.push(fields) }, () => undefined)
  const failed = failedLook(pipelineObject())
  looked.onLook('ns/p', failed, 1)
  looked.onLook('ns/p', failed, 1)
  assert.equal(lines.length, 1)
  looked.forget('ns/p')
  looked.onLook('ns/p', failed, 1)
  assert.equal(lines.length, 2)
})

test('the handler of an API server that went back to an earlier state forgets nothing once it is closed, and leaves no timer', () => {
  const clock = createTestClock()
  const calls: string[] = []
  const rewind = createRewind({ clock, relist: () => void calls.push('relist'), forget: () => void calls.push('forget') })
  rewind.notice()
  clock.advance(1_999)
  rewind.notice()
  clock.advance(1_999)
  assert.deepEqual(calls, ['forget', 'relist'])
  clock.advance(1)
  assert.deepEqual(calls, ['forget', 'relist', 'forget'])
  rewind.notice()
  rewind.close()
  assert.equal(clock.waiting, 0)
  rewind.notice()
  clock.advance(5_000)
  assert.deepEqual(calls, ['forget', 'relist', 'forget', 'forget', 'relist'])
})
