/** Fields of an entry that is about to be sent are read as their bytes would be. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFieldReader, createFieldSorter, type Envelope, textOf, Unreadable } from '../../../redis/payload/fields.ts'
import { createTextReader } from '../../../redis/payload/textfields.ts'
import { listOfBuffers } from '../../../redis/reply/fieldlist.ts'
import { createRandom } from '../../scenarios/hostile/payloads.ts'
import { seed } from '../../support/seed.ts'

const names = [
  'farm',
  'farm',
  'größe',
  '\ud800',
  '\ufffd',
  'note-1',
  'debug',
  'traceparent',
  'tracestate',
  'sp-redrives',
  'sp-delay',
  'sp-key',
]
const values = ['', '7', '1234567890', 'grün', '🌾', '\ud800', '\udc00x', '\ufffd', '00-ab', 'x'.repeat(2_000)]
const sort = createFieldSorter({ encoding: 'Fields', field: 'payload', metadataFields: ['note-*'], ignoreFields: ['debug'] })

function seen(envelope: Envelope) {
  const { bytes, count, trace, redrives, options } = envelope
  let fields: unknown
  try {
    fields = envelope.fields()
  } catch (thrown) {
    if (!(thrown instanceof Unreadable)) throw thrown
    fields = thrown.message
  }
  return { bytes, count, trace, redrives, fields, options: options?.map(([name, value]) => [name, textOf(value, name)]) }
}

test('texts and their bytes give the same envelope', () => {
  const { below, pick } = createRandom(seed)
  const readTexts = createTextReader(sort)
  const readBytes = createFieldReader(sort)
  for (let run = 0; run < 3_000; run++) {
    const flat = Array.from({ length: 1 + below(6) }, () => [pick(names), pick(values)]).flat()
    const bytes = readBytes(listOfBuffers(flat.map((text) => Buffer.from(text))))
    assert.deepEqual(seen(readTexts(flat)), seen(bytes), JSON.stringify(flat))
  }
})
