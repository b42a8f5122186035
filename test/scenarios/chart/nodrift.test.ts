/**
 * What was applied once is not changed by the next apply: of every example, of the CRD and of the chart, by `kubectl apply`, by
 * `kubectl diff` and by server-side apply. Otherwise a GitOps tool would see a difference for ever.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parseAllDocuments } from 'yaml'
import { crd } from '../../../api/crd.ts'
import { needsApiServer, startApiServer } from '../../support/apiserver.ts'
import { projectRoot } from '../../support/root.ts'
import type { ApiServer } from '../../support/serveraccess.ts'
import { everything, type Manifest, monitoringKinds, needsHelm, render } from './chart.ts'

const list = (items: readonly unknown[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items })

/** Kinds of KEDA, Argo CD and Flux, which a bare API server does not have. */
const foreign = /^(?:keda\.sh|argoproj\.io|\w+\.toolkit\.fluxcd\.io)\//

/** Whole objects among the examples; fragments of a spec are none. */
function examples(): readonly Manifest[] {
  return globSync('examples/**/*.yaml', { cwd: projectRoot })
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(projectRoot, file), 'utf8')).map((document) => document.toJS() as Manifest | null),
    )
    .filter((object): object is Manifest => object !== null && 'apiVersion' in object && !foreign.test(object.apiVersion))
    .map(
      (object) =>
        ({ ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' } }) as Manifest,
    )
}

/** A schedule without a time zone: defaults inside lists are where a three-way merge goes wrong. */
const scheduled = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'scheduled', namespace: 'default' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 'scheduled:jobs', group: 'scheduled' },
    sink: { bullmq: { queue: 'scheduled' } },
    scaling: { minReplicas: 0, schedules: [{ cron: '0 8 * * 1-5', minReplicas: 2, for: '10h' }] },
    consumer: { tolerations: [{ key: 'spot', operator: 'Exists' }], env: [{ name: 'A', value: 'b' }] },
  },
}

const skip = needsHelm.skip || needsApiServer.skip

/** `NAME verb` lines other than `unchanged`. */
const changed = (stdout: string) => stdout.split('\n').filter((line) => line !== '' && !/ unchanged$/.test(line))

async function versions(server: ApiServer, input: string): Promise<string> {
  const { stdout } = await server.kubectl(
    ['get', '-f', '-', '-o', 'jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}\n{end}'],
    input,
  )
  return stdout
}

test('one apply is enough, whichever way', { skip, timeout: 400_000 }, async (t) => {
  const server = await startApiServer(t, {})
  const kubectl = async (args: readonly string[], input: string) => {
    const done = await server.kubectl([...args], input)
    assert.equal(done.code, 0, `${args.join(' ')}: ${done.stderr}${done.stdout}`)
    return done.stdout
  }
  const namespaces = ['ops', 'farm', 'argocd'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  await kubectl(['apply', '-f', '-'], list([crd(), ...namespaces, ...monitoringKinds]))
  await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=55s'], '')
  const hooks = (manifest: Manifest) => manifest.metadata.annotations?.['helm.sh/hook'] === undefined
  const chart = (await render(t, { ...everything, replicas: 1 })).filter(hooks)
  const sets: readonly (readonly [what: string, items: readonly unknown[]])[] = [
    ['the CRD', [crd()]],
    ['the examples', [...examples(), scheduled]],
    ['the chart', chart],
  ]
  for (const [what, items] of sets) {
    await t.test(what, async () => {
      assert.ok(items.length > 0)
      const input = list(items)
      await kubectl(['apply', '-f', '-'], input)
      assert.deepEqual(changed(await kubectl(['apply', '-f', '-'], input)), [], 'kubectl apply')
      const diff = await server.kubectl(['diff', '-f', '-'], input)
      assert.equal(diff.code, 0, `kubectl diff: ${diff.stdout}`)
      const flux = ['apply', '--server-side', '--force-conflicts', '--field-manager=flux', '-f', '-']
      await kubectl(flux, input)
      const before = await versions(server, input)
      await kubectl(flux, input)
      assert.equal(await versions(server, input), before, 'server-side apply')
      const served = await server.kubectl(
        ['diff', '--server-side', '--force-conflicts', '--field-manager=flux', '-f', '-'],
        input,
      )
      assert.equal(served.code, 0, `kubectl diff --server-side: ${served.stdout}`)
    })
  }
})
