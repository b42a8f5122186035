import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { run } from './process.ts'

test('a run reports each failure with its place and each skip with its reason, and keeps its counts for the end', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-run-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'three.test.mjs')
  await writeFile(
    file,
    `import test from 'node:test'
     test('passes', () => {})
     test('fails', () => { throw new Error('on purpose') })
     test('waits', { skip: 'no server here' }, () => {})`,
  )
  const module = new URL('testrun.ts', import.meta.url).href
  // A file, because the runner hands its own arguments (`--eval`) on to the files it runs.
  const script = join(folder, 'run.mjs')
  await writeFile(
    script,
    `import { runTests } from ${JSON.stringify(module)}
     console.log('REPORT' + JSON.stringify(await runTests([${JSON.stringify(file)}], [])))`,
  )
  // Without the variable the inner run would take itself for a test file of this one.
  const { stdout } = await run(t, [script], { env: { NODE_TEST_CONTEXT: undefined } })
  const [printed = '', json = ''] = stdout.split('REPORT')
  assert.match(printed, /✔ passes/)
  assert.match(printed, /Error: on purpose/)
  assert.doesNotMatch(printed, /^ℹ tests/m)
  const report = JSON.parse(json)
  assert.equal(report.success, false)
  assert.deepEqual(report.skipped, [{ reason: 'no server here', names: ['waits'] }])
  assert.match(report.failed.join(), /three\.test\.mjs: fails$/)
  assert.deepEqual(report.closing.slice(0, 4), ['tests 3', 'suites 0', 'pass 1', 'fail 1'])
})

test('the runner refuses a path that is not there', async (t) => {
  const { code, stdout } = await run(t, ['test/run.ts', 'test/no-such-folder'])
  assert.equal(code, 1)
  assert.match(stdout, /no such file or folder: test\/no-such-folder/)
})
