/** A borrowed API server shows nothing of an earlier borrower, and has one borrower at a time. */
import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createScope } from '../../bench/support/scope.ts'
import { borrowApiServer, needsApiServer, ordinary, startApiServer } from './apiserver.ts'
import { startProcess } from './process.ts'
import { projectRoot } from './root.ts'
import type { Scope } from './scope.ts'
import type { ApiServer } from './serveraccess.ts'
import { describeServer, poolVariable } from './serverpool.ts'
import { restoreVariable } from './variable.ts'
import { eventually } from './wait.ts'

const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' }
const pipeline = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'p', namespace: 'default' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 's', group: 'g' },
    sink: { bullmq: { queue: 'q' } },
    suspend: true,
  },
}

/** Deeds of an earlier borrower. It makes objects in old and new namespaces, rights, an Event and a kind, and it changes existing objects. */
const doings = list([
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'farm' } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: { marked: 'yes' } } },
  ...['default', 'farm'].map((namespace) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'left', namespace } })),
  { ...pipeline, metadata: { ...pipeline.metadata, finalizers: ['example.com/never'] } },
  {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'left', namespace: 'default' },
    involvedObject: { kind: 'ConfigMap', namespace: 'default', name: 'left' },
  },
  ...['Role', 'ClusterRole'].flatMap((kind) => [
    {
      ...rbac,
      kind,
      metadata: { name: 'left', namespace: 'default' },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    },
    {
      ...rbac,
      kind: `${kind}Binding`,
      metadata: { name: 'left', namespace: 'default' },
      subjects: [{ kind: 'User', name: kind === 'Role' ? 'operator' : 'reader', apiGroup: 'rbac.authorization.k8s.io' }],
      roleRef: { kind, name: 'left', apiGroup: 'rbac.authorization.k8s.io' },
    },
  ]),
])

async function done(server: ApiServer, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await server.kubectl(args, input)
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  return stdout
}

/** The pool's only server, in place of those of `npm test`. */
async function pool(t: TestContext): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-pool-'))
  restoreVariable(t, poolVariable)
  t.after(async () => await rm(folder, { recursive: true }))
  const server = await startApiServer(t, ordinary)
  // No server of this process has that number.
  await describeServer(folder, 99, server.place)
  process.env[poolVariable] = folder
  return server
}

async function withBorrowed(use: (server: ApiServer) => Promise<void>): Promise<void> {
  const scope = createScope()
  try {
    await use(await borrowApiServer(scope))
  } finally {
    await scope.close()
  }
}

/** A process that borrows a server, prints its address, and waits to be killed. */
const borrower = `
  import { borrowApiServer } from './test/support/apiserver.ts'
  console.log((await borrowApiServer({ after() {} })).url)`

test('a borrowed API server', needsApiServer, async (suite) => {
  const lent = await pool(suite)
  // Where those that are killed leave their files.
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-borrowers-'))
  suite.after(async () => await rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const startBorrower = (t: Scope) => startProcess(t, ['--input-type=module', '-e', borrower], { env: { TMPDIR: folder } })

  await suite.test('shows nothing of the borrower before', async () => {
    await withBorrowed(async (server) => {
      assert.equal(server.url, lent.url)
      await done(server, ['apply', '--server-side', '--force-conflicts', '-f', '-'], doings)
      await done(server, ['delete', 'clusterrole', 'view'])
      await done(server, ['apply', '--server-side', '-f', join(projectRoot, 'test/scaling/fixture/scaledobjects.yaml')])
      const suspend = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend'
      const edit = JSON.stringify([{ op: 'remove', path: suspend }])
      await done(server, ['patch', 'crd', 'streampipelines.streampipeline.dev', '--type=json', '-p', edit])
      await eventually(async () => {
        await done(server, ['get', 'scaledobjects', '-A'])
        const { stderr } = await server.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], {
          input: JSON.stringify({ ...pipeline, metadata: { name: 'other' } }),
        })
        assert.match(stderr, /unknown field "spec.suspend"/)
        for (const user of ['operator', 'reader'])
          assert.equal((await server.kubectl(['get', 'streampipelines'], { user })).code, 0, user)
      })
    })
    await withBorrowed(async (server) => {
      assert.equal(server.url, lent.url)
      for (const user of ['operator', 'reader'])
        assert.match((await server.kubectl(['get', 'streampipelines'], { user })).stderr, /Forbidden/, user)
      const asked = await server.requests()
      assert.deepEqual(
        [...new Set(asked.filter(({ uri }) => uri.includes('/default/streampipelines')).map(({ user }) => user))].sort(),
        ['operator', 'reader'],
      )
      assert.deepEqual(
        asked.filter(({ verb, user }) => user !== 'system:apiserver' && !['get', 'list', 'watch'].includes(verb)),
        [],
        'nor a request of the borrower before, nor of the return',
      )
      assert.equal(
        await done(server, ['get', 'namespaces', '-o', 'name']),
        ['default', 'kube-node-lease', 'kube-public', 'kube-system'].map((name) => `namespace/${name}\n`).join(''),
      )
      // The API server itself writes Events about its own Service.
      const ofServer = /^event\/kubernetes\..*\n/gm
      for (const kinds of ['streampipelines', 'configmaps,events,roles,rolebindings'])
        assert.equal((await done(server, ['get', kinds, '-n', 'default', '-o', 'name'])).replaceAll(ofServer, ''), '', kinds)
      assert.doesNotMatch(await done(server, ['get', 'namespace', 'default', '-o', 'yaml']), /marked/)
      assert.doesNotMatch(await done(server, ['get', 'clusterroles,clusterrolebindings', '-o', 'name']), /left|noticed/)
      await done(server, ['get', 'clusterrole', 'view'])
      assert.match((await server.kubectl(['get', 'scaledobjects'])).stderr, /doesn't have a resource type "scaledobjects"/)
      const dry = ['create', '--dry-run=server', '--validate=strict', '-f', '-']
      await done(server, dry, JSON.stringify(pipeline))
      assert.match(
        (
          await server.kubectl(
            [...dry, '-n', 'farm'],
            JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }),
          )
        ).stderr,
        /namespaces "farm" not found/,
      )
    })
  })

  await suite.test('has one borrower, until that one gives it back or is killed; who finds none free starts one', async (t) => {
    const first = await startBorrower(t)
    await first.output(new RegExp(lent.url))
    await withBorrowed(async (server) => assert.notEqual(server.url, lent.url))
    await first.stop('SIGKILL')
    await withBorrowed(async (server) => {
      assert.equal(server.url, lent.url)
      const second = await startBorrower(t)
      await second.output(/https:/)
      assert.ok(!second.stdout().includes(lent.url))
      await second.stop('SIGKILL')
    })
    await withBorrowed(async (server) => assert.equal(server.url, lent.url))
  })

  await suite.test('is refused to a test that needs its processes', async () => {
    await withBorrowed(async (server) => {
      for (const name of ['etcd', 'apiserver', 'controllers', 'keep'])
        assert.throws(() => Reflect.get(server, name), /not for its borrower\. Start a server of the test’s own: startCluster/)
    })
  })

  await suite.test('fails a test whose deeds have an effect for a while after them', async () => {
    const policy = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'left' },
      spec: { policyName: 'none', validationActions: ['Deny'] },
    }
    const using = (...args: string[]) =>
      withBorrowed(async (server) => {
        await done(server, ['create', ...args, '-f', '-'], JSON.stringify(policy))
      })
    await assert.doesNotReject(using('--dry-run=server'))
    await assert.rejects(using(), /does not forget validatingadmissionpolicybindings\. Start a server of the test’s own/)
  })
})
