/** One verdict on each form of a schema: by `validate`, a dispatcher, and a consumer of entries of its own and of others. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { validate } from '../../../api/validate.ts'
import { createDispatcher } from '../../../client/index.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { forms } from '../../redis/fieldforms.ts'
import { pipelineWith, resourceWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'

const server = await startRedis({ after })
const client = server.client()

const flat = (entry: object) =>
  Object.entries(entry)
    .flat()
    .map((part) => Buffer.from(String(part)))
const texts = (payload: object) =>
  Object.fromEntries(
    Object.entries(payload).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
const isRejected = (thrown: unknown) => thrown instanceof Error && 'code' in thrown && thrown.code === 'PayloadRejected'

describe(`${forms.length} forms`, () => {
  for (const [index, form] of forms.entries()) {
    const { what, schema, accepts = [], refuses = [], reads = [], ambiguous = [], undecided } = form
    test(what, async (t) => {
      const changes = {
        url: server.url,
        source: { stream: `form${index}` },
        payload: { schema: { type: 'object', ...schema } },
      }
      const problems = validate(resourceWith(changes))
      if (undecided !== undefined) {
        assert.equal(problems.length, 1, JSON.stringify(problems))
        assert.match(problems[0]?.message ?? '', new RegExp(`cannot determine whether "${undecided}".*encoding: Json`))
        assert.ok(problems[0]?.tolerated)
      } else assert.deepEqual(problems, [])
      const pipeline = pipelineWith(changes)
      const consumer = createCodec(pipeline.payload)
      const dispatcher = createDispatcher({ pipeline, mode: 'Stream', redis: server.url })
      t.after(() => dispatcher.close())

      for (const payload of accepts) {
        const { id, mode } = (await dispatcher.dispatch(payload)) as { id: string; mode: string }
        assert.equal(mode, 'Stream')
        const [[, entry] = []] = await client.xrangeBuffer(`form${index}`, id, id)
        const dispatched = consumer.decode(entry ?? [])
        assert.ok(dispatched.kind === 'Valid', JSON.stringify([payload, dispatched]))
        assert.deepEqual(dispatched.data, payload)
        const foreign = consumer.decode(flat(texts(payload)))
        assert.ok(foreign.kind === 'Valid')
        assert.deepEqual(foreign.data, payload)
      }
      for (const payload of refuses) {
        await assert.rejects(dispatcher.dispatch(payload), isRejected, JSON.stringify(payload))
        assert.equal(consumer.decode(flat(texts(payload))).kind, 'Invalid', JSON.stringify(payload))
      }
      for (const payload of ambiguous) await assert.rejects(dispatcher.dispatch(payload), isRejected, JSON.stringify(payload))
      for (const [entry, data] of reads) {
        const decoded = consumer.decode(flat(entry))
        assert.ok(decoded.kind === 'Valid')
        assert.deepEqual(decoded.data, data)
      }
    })
  }
})

test('a table of at least sixty forms', () => assert.ok(forms.length >= 60, String(forms.length)))
