/** The tables, on a real API server and on `validate`: one verdict, one field, one remedy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Agent, fetch } from 'undici'
import { loadPipelines, type Problem, parsePipeline, validate } from '../../../api/index.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import '../../support/leaks.ts'
import { changed } from '../../api/agreement.ts'
import { invalid, invalidBeyondServer } from '../../api/table/invalid.ts'
import { type Json, minimal, patched, resourceOf } from '../../api/table/resource.ts'
import { scalars } from '../../api/table/scalars.ts'
import { valid } from '../../api/table/valid.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'

const path = '/apis/streampipeline.dev/v1alpha1/namespaces/default/streampipelines'

const patience = { timeoutMs: 30_000, intervalMs: 100 }

interface Answer {
  readonly code: number
  readonly message: string
  readonly causes: readonly { readonly field: string; readonly message: string }[]
  readonly body: unknown
}

test('the API server and validate', needsApiServer, async (top) => {
  const server = await borrowApiServer(top)
  const agent = new Agent({ connect: { ca: Buffer.from(server.caData, 'base64').toString() }, connections: 4 })
  top.after(() => agent.close())

  const request = async (method: string, target: string, document: unknown, type = 'application/json'): Promise<Answer> => {
    const response = await fetch(`${server.url}${target}`, {
      method,
      dispatcher: agent,
      headers: { authorization: `Bearer ${server.token}`, 'content-type': type },
      body: JSON.stringify(document),
    })
    const body = (await response.json()) as { message?: string; details?: { causes?: Answer['causes'] } }
    return { code: response.status, message: body.message ?? '', causes: body.details?.causes ?? [], body }
  }
  const tryCreate = (document: unknown) => request('POST', `${path}?dryRun=All&fieldValidation=Strict`, document)

  await top.test('refuse the same resources for the same field, and both name the remedy', async (t) => {
    assert.ok(invalid.length >= 40)
    for (const row of invalid) {
      await t.test(row.name, async () => {
        const document = resourceOf(row)
        const answer = await tryCreate(document)
        assert.ok(answer.code === 422 || answer.code === 400, `${answer.code} ${answer.message}`)
        const said = answer.message.toLowerCase()
        assert.ok(said.includes(row.says.toLowerCase()), answer.message)
        assert.ok(said.includes(row.field.toLowerCase()), answer.message)

        const problems = validate(document)
        const ours = problems.find(
          ({ field, message }) => field === row.field && message.toLowerCase().includes(row.says.toLowerCase()),
        )
        assert.ok(ours !== undefined && ours.beyondServer === undefined, JSON.stringify(problems))
        if (answer.code === 422) assert.deepEqual(fieldsOf(problems), fieldsOf(answer.causes), answer.message)
        if (row.secret !== undefined) {
          assert.ok(!answer.message.includes(row.secret), answer.message)
          assert.ok(!JSON.stringify(problems).includes(row.secret))
        }
      })
    }
  })

  await top.test('take the same resources, with the same defaults', async (t) => {
    assert.ok(valid.length >= 15)
    for (const row of valid) {
      await t.test(row.name, async () => {
        const document = resourceOf(row)
        const answer = await tryCreate(document)
        assert.equal(answer.code, 201, answer.message)
        assert.deepEqual(validate(document), [])
        const stored = parsePipeline(answer.body).spec
        assert.deepEqual(stored, parsePipeline(document).spec)
        assert.deepEqual((answer.body as { spec: unknown }).spec, withoutEmpty(stored, (answer.body as { spec: unknown }).spec))
      })
    }
  })

  await top.test('differ only in what the server cannot look into', async (t) => {
    for (const row of invalidBeyondServer) {
      await t.test(row.name, async () => {
        const document = resourceOf(row)
        assert.equal((await tryCreate(document)).code, 201)
        const [problem, ...others] = validate(document)
        assert.deepEqual(others, [])
        assert.equal(problem?.field, row.field)
        assert.equal(problem?.beyondServer, true)
        assert.ok(problem?.message.includes(row.says), JSON.stringify(problem))
      })
    }
  })

  await top.test('agree on random resources', async () => {
    const runs = Number(process.env['RUNS'] ?? 100)
    const agree = fc.asyncProperty(changed, async (document) => {
      const answer = await tryCreate(document)
      const problems = validate(document).filter(({ beyondServer }) => beyondServer === undefined)
      const verdict = `${answer.code} ${answer.message}\n${JSON.stringify(problems, null, 1)}`
      assert.equal(problems.length === 0, answer.code === 201, verdict)
    })
    await fc.assert(agree, { numRuns: runs, seed })
  })

  await top.test('judge changes alike', async (t) => {
    const standing = patched(minimal, { metadata: { name: 'standing' }, spec: { replicas: 1 } })
    assert.equal((await request('POST', path, standing)).code, 201)
    const rows: readonly { name: string; spec: Json; refused?: { field: string; says: string } }[] = [
      {
        name: 'another stream',
        spec: { source: { stream: 'other' } },
        refused: { field: 'spec.source.stream', says: 'create another StreamPipeline for the new stream' },
      },
      {
        name: 'another group',
        spec: { source: { group: 'other' } },
        refused: { field: 'spec.source.group', says: 'create another StreamPipeline for the new group' },
      },
      {
        name: 'replicas under Active',
        spec: { replicas: 3 },
        refused: { field: 'spec.replicas', says: 'set scaling.policy: Manual first' },
      },
      { name: 'replicas and Manual at once', spec: { replicas: 3, scaling: { policy: 'Manual' } } },
      { name: 'another target', spec: { scaling: { targetAge: '10s' } } },
      { name: 'the other mode', spec: { mode: 'Direct' } },
    ]
    for (const { name, spec, refused } of rows) {
      await t.test(name, async () => {
        const answer = await request('PATCH', `${path}/standing?dryRun=All`, { spec }, 'application/merge-patch+json')
        const problems = validate(patched(standing, { spec }), standing)
        assert.equal(answer.code, refused === undefined ? 200 : 422, answer.message)
        assert.deepEqual(fieldsOf(problems), refused === undefined ? [] : [refused.field])
        assert.deepEqual(fieldsOf(answer.causes), fieldsOf(problems))
        if (refused === undefined) return
        assert.ok(answer.message.includes(refused.says), answer.message)
        assert.ok(problems[0]?.message.includes(refused.says), JSON.stringify(problems))
      })
    }
  })

  await top.test('kubectl reads YAML alike', async () => {
    const written = [
      JSON.stringify(patched(minimal, { spec: { payload: null } })).slice(0, -2),
      ',"payload": {"schema": {"enum": [\n',
    ]
    const text = `${written.join('')}${scalars.map((scalar) => `  ${scalar}`).join(',\n')}\n]}}}}\n`
    const read = await server.kubectl(['create', '--dry-run=client', '--validate=false', '-o', 'json', '-f', '-'], text)
    assert.equal(read.code, 0, read.stderr)
    const schemaOf = (document: unknown) =>
      (document as { spec: { payload: { schema: { enum: unknown[] } } } }).spec.payload.schema.enum
    const theirs = schemaOf(JSON.parse(read.stdout))
    const ours = schemaOf(JSON.parse(JSON.stringify(loadPipelines(text, 'file')[0]?.document)))
    for (const [index, scalar] of scalars.entries()) assert.deepEqual(ours[index], theirs[index], scalar)
    assert.equal(ours.length, scalars.length)
  })

  await top.test('kubectl applies, prints, and scales by hand under Manual only', async () => {
    const manifest = JSON.stringify(patched(minimal, { metadata: { name: 'by-hand' } }))
    const applied = await server.kubectl(['apply', '--validate=strict', '-f', '-'], manifest)
    assert.equal(applied.code, 0, applied.stderr)

    const table = await server.kubectl(['get', 'strp', 'by-hand', '-o', 'wide'])
    const [header = '', row = ''] = table.stdout.trim().split('\n')
    assert.deepEqual(
      header.split(/\s+/),
      'NAME MODE READY REASON REPLICAS DESIRED BACKLOG OLDEST DEAD AGE STREAM GROUP QUEUE'.split(' '),
    )
    assert.match(row, /^by-hand\s+Stream\s+Unknown\s+WaitingForOperator\s.*ndvi:jobs\s+ndvi\s+ndvi$/)

    const refused = await server.kubectl(['scale', 'strp', 'by-hand', '--replicas=3'])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /set scaling\.policy: Manual first/)
    const manual = JSON.stringify({ spec: { scaling: { policy: 'Manual' } } })
    assert.equal((await server.kubectl(['patch', 'strp', 'by-hand', '--type=merge', '-p', manual])).code, 0)
    const scaled = await server.kubectl(['scale', 'strp', 'by-hand', '--replicas=3'])
    assert.equal(scaled.code, 0, scaled.stderr)

    // Schemas are published in their own time.
    await eventually(async () => {
      const explained = await server.kubectl(['explain', 'strp.spec.scaling.targetAge'])
      assert.match(explained.stdout, /no entry waits longer than this/)
    }, patience)
  })
})

/** If the server could not run rules, it says so in a message that names no field. */
function fieldsOf(problems: readonly Pick<Problem, 'field'>[]): readonly string[] {
  return [...new Set(problems.map(({ field }) => field))].filter((field) => field !== '<nil>').sort()
}

/** Empty lists and maps are filled in by the program and not stored; where the server has one, it was written. */
function withoutEmpty(ours: unknown, theirs: unknown): unknown {
  if (typeof ours !== 'object' || ours === null || Array.isArray(ours)) return ours
  const shown = theirs as Readonly<Record<string, unknown>>
  const kept = Object.entries(ours).filter(([name, value]) => name in shown || !isEmpty(value))
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutEmpty(value, shown[name])]))
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
