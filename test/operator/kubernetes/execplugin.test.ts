/** Plugins of kubeconfigs, run as real programs. kubectl runs the same ones. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadCredentials } from '../../../operator/kubernetes/credentials.ts'
import { createExecPlugin } from '../../../operator/kubernetes/execplugin.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import type { Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'

const apiVersion = 'client.authentication.k8s.io/v1'

interface Plugin {
  readonly folder: string
  readonly exec: Readonly<Record<string, unknown>>
  /** How often it ran. */
  runs(): Promise<number>
}

const writtenBy = (folder: string) => async (name: string) => await readFile(join(folder, name), 'utf8').catch(() => '')

/** Prints the file `out` beside it. */
async function pluginOf(scope: Scope, out: string, more: object = {}, lines = ''): Promise<Plugin> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-plugin-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const command = join(folder, 'plugin')
  const script = ['#!/bin/sh', 'cd "$(dirname "$0")"', 'echo >> runs', lines, 'cat out']
  await Promise.all([writeFile(command, script.join('\n')), writeFile(join(folder, 'out'), out)])
  await chmod(command, 0o755)
  const exec = { apiVersion, command, interactiveMode: 'Never', ...more }
  return { folder, exec, runs: async () => (await writtenBy(folder)('runs')).length }
}

const printed = (status: object, version = apiVersion): string =>
  JSON.stringify({ apiVersion: version, kind: 'ExecCredential', status })

const noCluster = () => ({})

test('plugins and an API server', needsApiServer, async (suite) => {
  const server = await borrowApiServer(suite)
  const { token: reader } = await server.user('reader')

  async function configOf({ folder, exec }: Plugin, cluster: object): Promise<string> {
    const file = join(folder, 'config')
    const lists = {
      clusters: [{ name: 'here', cluster }],
      users: [{ name: 'me', user: { exec } }],
      contexts: [{ name: 'mine', context: { cluster: 'here', user: 'me' } }],
    }
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Config', 'current-context': 'mine', ...lists }))
    return file
  }

  await suite.test('a plugin that wants to know the cluster gets what kubectl passes', async (t) => {
    const keep = 'printf "%s" "$KUBERNETES_EXEC_INFO" > info'
    const plugin = await pluginOf(t, printed({ token: reader }), { provideClusterInfo: true }, keep)
    await writeFile(join(plugin.folder, 'ca.crt'), server.identity.cert)
    const extensions = [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'here', of: [1] } }]
    const clusters = [
      { 'certificate-authority': 'ca.crt', extensions, 'disable-compression': true },
      { 'certificate-authority-data': server.caData, 'tls-server-name': 'kubernetes.default.svc' },
      { 'insecure-skip-tls-verify': true },
    ]
    for (const cluster of clusters) {
      const file = await configOf(plugin, { server: server.url, ...cluster })
      const given = async () => JSON.parse(await writtenBy(plugin.folder)('info')) as unknown
      assert.equal((await server.kubectl(['--kubeconfig', file, 'get', '--raw', '/version'])).code, 0)
      const byKubectl = await given()
      await writeFile(join(plugin.folder, 'info'), '')
      const { headers } = await loadCredentials(file, {}).current()
      assert.equal(headers['Authorization'], `Bearer ${reader}`)
      assert.deepEqual(await given(), byKubectl)
    }
  })

  await suite.test(
    'a token without an end is requested again when the API server refuses it, once for many requests',
    async (t) => {
      const plugin = await pluginOf(t, printed({ token: 'revoked' }))
      const file = await configOf(plugin, { server: server.url, 'certificate-authority-data': server.caData })
      const transport = createTransport(loadCredentials(file, {}))
      t.after(() => transport.close())
      const ask = () => transport.request({ method: 'GET', path: '/version' })
      const refused = await Promise.allSettled(Array.from({ length: 10 }, ask))
      assert.ok(refused.every((each) => each.status === 'rejected'))
      assert.equal(await plugin.runs(), 1)
      await writeFile(join(plugin.folder, 'out'), printed({ token: reader }))
      await Promise.all(Array.from({ length: 10 }, ask))
      assert.equal(await plugin.runs(), 2)
    },
  )
})

test('the plugin runs again after its credentials have expired, and not before', async (t) => {
  const until = (ms: number) => printed({ token: 'a', expirationTimestamp: new Date(ms).toISOString() })
  const plugin = await pluginOf(t, until(Date.now() + 3_600_000))
  const { current } = createExecPlugin(plugin.exec, noCluster)
  await Promise.all([current(), current()])
  await current()
  assert.equal(await plugin.runs(), 1)
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_601_000 })
  await current()
  assert.equal(await plugin.runs(), 2)
})

test('a certificate with its key is taken', async (t) => {
  const plugin = await pluginOf(t, printed({ clientCertificateData: 'C', clientKeyData: 'K' }))
  assert.deepEqual(await createExecPlugin(plugin.exec, noCluster).current(), { token: undefined, cert: 'C', key: 'K' })
})

test('variables of its own reach it, and it cannot read the standard input', async (t) => {
  const plugin = await pluginOf(t, '', { env: [{ name: 'OWN', value: 'mine' }] }, 'read line; printf "$OWN" >&2; exit 3')
  await assert.rejects(createExecPlugin(plugin.exec, noCluster).current(), /plugin ended with 3: mine$/)
})

for (const [what, out, message] of [
  ['no JSON', 's3cret', /its output is no JSON$/],
  ['of another version', printed({ token: 's3cret' }, 'client.authentication.k8s.io/v1beta1'), /is no ExecCredential of .*v1$/],
  ['without credentials', printed({ user: 's3cret' }), /neither a token nor a certificate/],
  ['a key alone', printed({ clientKeyData: 's3cret' }), /only one of certificate and key/],
] as const)
  test(`output that is ${what} is named, and not repeated`, async (t) => {
    const { exec } = await pluginOf(t, out)
    await assert.rejects(createExecPlugin(exec, noCluster).current(), (thrown: Error) => {
      assert.match(thrown.message, message)
      assert.doesNotMatch(`${thrown.stack} ${thrown.cause}`, /s3cret/)
      return true
    })
  })

test('a missing program is reported with the hint of its author', async () => {
  const exec = { apiVersion, command: '/nowhere/aws', interactiveMode: 'IfAvailable', installHint: 'install the AWS CLI' }
  await assert.rejects(createExecPlugin(exec, noCluster).current(), /ENOENT: install the AWS CLI$/)
})

test('a plugin that hangs is ended, with what it started', async (t) => {
  const plugin = await pluginOf(t, '', {}, 'sleep 300 & echo $! > child; wait')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked = createExecPlugin(plugin.exec, noCluster).current()
  const outcome = assert.rejects(asked, /plugin did not end within 60 s$/)
  const child = async () => (await writtenBy(plugin.folder)('child')).trim()
  while ((await child()) === '') await new Promise(setImmediate)
  t.mock.timers.tick(60_000)
  await outcome
  const isThere = async (pid: string) => (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')).replace(/.*\) /, '')[0]
  const pid = await child()
  t.mock.timers.reset()
  await eventually(async () => assert.ok([undefined, 'Z'].includes(await isThere(pid)), 'its child runs on'))
})

test('a plugin that prints without end is ended', async (t) => {
  const plugin = await pluginOf(t, '', {}, 'yes s3cret')
  await assert.rejects(createExecPlugin(plugin.exec, noCluster).current(), /plugin printed more than 1048576 characters$/)
})

for (const [what, more, message] of [
  ['no command', { command: '' }, /has no command/],
  ['an old version', { apiVersion: 'client.authentication.k8s.io/v1alpha1' }, /apiVersion/],
  ['questions', { interactiveMode: 'Always' }, /no terminal/],
  ['no mode', { interactiveMode: undefined }, /interactiveMode/],
] as const)
  test(`a plugin with ${what} is refused at once`, () => {
    const exec = { apiVersion, command: 'aws', interactiveMode: 'Never', ...more }
    assert.throws(() => createExecPlugin(exec, noCluster), { code: 'InvalidOption', message })
  })
