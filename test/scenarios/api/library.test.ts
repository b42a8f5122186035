/** The library's reference: complete, by the sources that it is read from. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libraryExports } from '../../../build/library/declarations.ts'
import { libraryReference } from '../../../build/library/reference.ts'
import { troubleshooting } from '../../../build/library/troubleshooting.ts'
import * as library from '../../../client/index.ts'

const all = libraryExports()
const named = (name: string) => all.find((each) => each.name === name)

test('each function and class that the library exports is in the reference', () => {
  const names = all.map(({ name }) => name)
  assert.deepEqual(
    Object.keys(library).filter((name) => !names.includes(name)),
    [],
  )
  const text = libraryReference()
  for (const name of names) assert.ok(text.includes(`### ${name}\n`), name)
})

test('each option, method and event has a docstring, and a type', () => {
  const interfaces = ['DispatcherOptions', 'DispatchOptions', 'RequestOptions', 'StatusOptions', 'WaitOptions', 'WorkerOptions']
  const objects = ['Dispatcher', 'Worker', 'WorkerEvents', 'ExecutionContext']
  for (const name of [...interfaces, ...objects]) {
    const { members = [] } = named(name) ?? {}
    assert.ok(members.length > 0, `${name} has no members`)
    for (const { name: member, doc, type } of members) {
      assert.notEqual(doc, '', `${name}.${member} has no docstring`)
      assert.notEqual(type, '', `${name}.${member} has no type`)
    }
  }
})

test('declarations are read as they are written', () => {
  const { members = [] } = named('WorkerOptions') ?? {}
  const member = (name: string) => members.find((each) => each.name === name)
  assert.deepEqual(member('concurrency'), {
    name: 'concurrency',
    optional: true,
    type: 'number',
    doc: 'Number of jobs that run at a time. Default 1.',
  })
  assert.equal(member('queue')?.optional, false)
  assert.match(
    named('Dispatcher')?.members.find(({ name }) => name === 'waitFor')?.type ?? '',
    /^waitFor\(name: RequestName, .*Promise<WaitOutcome>$/,
  )
  assert.equal(named('StreamPipelineError')?.members.find(({ name }) => name === 'retryable')?.type, 'boolean')
  assert.match(named('DispatchResult')?.text ?? '', /^\| \{[\s\S]*\}$/)
})

test('troubleshooting has the codes that the library throws, and none that only the operator has', () => {
  const text = troubleshooting()
  for (const code of [
    'PayloadRejected',
    'OptionRefused',
    'OptionsNotTaken',
    'ExecutionLockLost',
    'ListenerFailed',
    'RedisUnreachable',
  ]) {
    assert.ok(text.includes(`| \`${code}\` |`), code)
  }
  assert.doesNotMatch(text, /KubernetesRefused|SchemaOutdated/)
})
