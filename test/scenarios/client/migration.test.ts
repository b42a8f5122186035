/**
 * The migration table against BullMQ's own type: each option of `queue.add` is carried, mapped or refused with a reason, and the page has a
 * row for it. An option that a new BullMQ adds fails to compile in redis/payload/request.ts, and here.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JobsOptions } from 'bullmq'
import { StreamPipelineError } from '../../../api/errors.ts'
import { fieldsOf, type RequestOptions, refusedOptions } from '../../../redis/payload/request.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { projectRoot } from '../../support/root.ts'

type Fate = 'carried' | 'mapped' | 'refused'

/** `repeat` is no option of `queue.add` any more. Code of earlier releases has it. */
const fates: Readonly<Record<keyof JobsOptions | 'repeat', Fate>> = {
  ...{ delay: 'carried', priority: 'carried', attempts: 'carried', backoff: 'carried', lifo: 'carried' },
  ...{ removeOnComplete: 'carried', removeOnFail: 'carried' },
  ...{ jobId: 'mapped', deduplication: 'mapped', telemetry: 'mapped' },
  ...{ repeat: 'refused', repeatJobKey: 'refused', prevMillis: 'refused', parent: 'refused' },
  ...{ failParentOnFailure: 'refused', continueParentOnFailure: 'refused' },
  ...{ ignoreDependencyOnFailure: 'refused', removeDependencyOnFailure: 'refused' },
  ...{ timestamp: 'refused', sizeLimit: 'refused', stackTraceLimit: 'refused', keepLogs: 'refused' },
}

const carried: Readonly<Record<string, unknown>> = {
  ...{ delay: 1_000, priority: 2, attempts: 3, backoff: { type: 'fixed', delay: 100 }, lifo: true },
  ...{ removeOnComplete: true, removeOnFail: false },
}

const allow = {
  ...{ names: ['*'], maxDelay: '1h', priority: {}, maxAttempts: 9, maxBackoff: '1m', lifo: true },
  ...{ removeOnComplete: true, removeOnFail: true, idempotencyKey: true },
}
const bounds = pipelineWith({ sink: { allow } }).sink.allow

const page = readFileSync(join(projectRoot, 'docs', 'migration.md'), 'utf8')
const [, table = ''] = /^## Each option of BullMQ\n(.*?)^## /ms.exec(page) ?? []
const rows = table
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))

/** The second cell of the option's row. */
function fateOf(option: string): string | undefined {
  return rows.find(([, first = '']) => first.includes(`\`${option}\``))?.[2]
}

const wordsFor = (option: string, fate: Fate): RegExp => {
  if (fate === 'refused') return /^refused$/
  return fate === 'carried' ? new RegExp(`^(?:\`${option}\`|the same)$`) : /^`(?:idempotencyKey|traceparent)`/
}

for (const [option, fate] of Object.entries(fates)) {
  test(`${option} is ${fate}, and the page says so`, () => {
    const reported = fateOf(option)
    assert.match(reported ?? 'no row', wordsFor(option, fate))
    const given = { [option]: carried[option] ?? 1 } as RequestOptions
    if (fate === 'carried') {
      assert.equal(fieldsOf(given, bounds).length, 2)
      return
    }
    const reason: string | undefined = Object.entries(refusedOptions).find(([name]) => name === option)?.[1]
    assert.ok(reason !== undefined)
    assert.throws(
      () => fieldsOf(given, bounds),
      (thrown) =>
        thrown instanceof StreamPipelineError && thrown.code === 'OptionRefused' && thrown.message.includes(reason.slice(0, 40)),
    )
  })
}

test('BullMQ’s declarations name no option that the table lacks', () => {
  const declared = ['interfaces/base-job-options.d.ts', 'types/job-options.d.ts'].flatMap((file) => {
    const text = readFileSync(join(projectRoot, 'node_modules', 'bullmq', 'dist', 'esm', file), 'utf8')
    return [...text.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name = '']) => name)
  })
  assert.ok(declared.length > 15, `only ${declared.length} options were found`)
  assert.deepEqual(
    declared.filter((name) => fateOf(name) === undefined),
    [],
  )
})
