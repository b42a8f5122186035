/** checkov over the rendered chart, a pipeline's objects and the Dockerfile: what fails is the list in the chart's README, no less. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { stringify } from 'yaml'
import { acceptedChecks } from '../../../build/chart/checks.ts'
import { desiredChildren } from '../../../operator/plan/children.ts'
import { observed, pipelineObject, read } from '../../operator/builder.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'
import { checkov, everything, needsCheckov, needsHelm, render } from './chart.ts'

interface Report {
  readonly results: { readonly failed_checks: readonly { readonly check_id: string; readonly resource: string }[] }
}

function objectsOfPipeline(): readonly object[] {
  const object = pipelineObject()
  const base = observed(object)
  const settings = { ...base.settings, networkPolicy: true, podMonitor: true }
  return desiredChildren({ ...base, settings }, read(object), 'Stream').map((child) => child.object)
}

test('checkov fails nothing but what the chart’s README argues', {
  skip: needsHelm.skip || needsCheckov.skip,
  timeout: 300_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-checkov-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const manifests = [...(await render(t, everything)), ...objectsOfPipeline()]
  await writeFile(join(folder, 'objects.yaml'), manifests.map((manifest) => stringify(manifest)).join('---\n'))
  await copyFile(join(projectRoot, 'Dockerfile'), join(folder, 'Dockerfile'))
  const args = ['-d', folder, '--framework', 'kubernetes', 'dockerfile', '--compact', '--soft-fail', '-o', 'json']
  const { stdout, stderr } = await run(t, args, { command: checkov ?? 'checkov', env: { TMPDIR: folder }, timeoutMs: 280_000 })
  assert.ok(stdout.startsWith('['), stderr.slice(-2_000))
  const reports = JSON.parse(stdout) as readonly Report[]
  const failed = reports.flatMap(({ results }) => results.failed_checks.map(({ check_id: id }) => id))
  assert.deepEqual([...new Set(failed)].sort(), acceptedChecks.map(({ id }) => id).sort())
})
