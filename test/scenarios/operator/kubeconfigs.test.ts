/** Kubeconfigs as people have them, by which kubectl and the operator must reach the same cluster as the same user. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { type CredentialSource, loadCredentials } from '../../../operator/kubernetes/credentials.ts'
import { mergedKubeconfig } from '../../../operator/kubernetes/kubeconfig.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import type { Scope } from '../../support/scope.ts'
import type { ApiServer } from '../../support/serveraccess.ts'

async function folderOf(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-kubeconfigs-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  return folder
}

interface Config {
  readonly cluster: object
  readonly user: object
  readonly context?: string
}

const text = ({ cluster, user, context = 'mine' }: Config): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': context,
    clusters: [{ name: 'here', cluster }],
    users: [{ name: 'me', user }],
    contexts: [{ name: context, context: { cluster: 'here', user: 'me' } }],
  })

/** The name of the user that the API server sees. */
async function whoAmI(scope: Scope, source: CredentialSource): Promise<string> {
  const transport = createTransport(source)
  scope.after(() => transport.close())
  const kind = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
  const review = (await transport.request({ method: 'POST', path, body: kind })) as {
    status: { userInfo: { username: string } }
  }
  return review.status.userInfo.username
}

const kubectlSays = async (server: ApiServer, file: string): Promise<string> => {
  const { stdout, stderr } = await server.kubectl([
    '--kubeconfig',
    file,
    'auth',
    'whoami',
    '-o',
    'jsonpath={.status.userInfo.username}',
  ])
  return stdout.trim() || stderr
}

const plugin = `#!/bin/sh
set -e
cd "$(dirname "$0")"
case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) echo "no KUBERNETES_EXEC_INFO" >&2; exit 1;; esac
echo once >> calls
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s","expirationTimestamp":"%s"}}' "$(cat token)" "$EXPIRES"
`

test('kubeconfigs', needsApiServer, async (suite) => {
  const server = await borrowApiServer(suite)
  const [reader, writer] = await Promise.all(['reader', 'writer'].map(async (name) => (await server.user(name)).token))
  const cluster = { server: server.url, 'certificate-authority-data': server.caData }

  await suite.test('relative paths start at the folder of the file, whatever the working folder is', async (t) => {
    const folder = await folderOf(t)
    await mkdir(join(folder, 'secret'))
    await writeFile(join(folder, 'ca.crt'), Buffer.from(server.caData, 'base64'))
    await writeFile(join(folder, 'secret', 'token'), `${reader}\n`)
    const file = join(folder, 'config')
    const located = { server: server.url, 'certificate-authority': 'ca.crt' }
    await writeFile(file, text({ cluster: located, user: { tokenFile: 'secret/token', token: 'stale' } }))
    assert.equal(await kubectlSays(server, file), 'reader')
    assert.equal(await whoAmI(t, loadCredentials(file)), 'reader')
  })

  await suite.test('a token file that rotates is read again', async (t) => {
    const folder = await folderOf(t)
    const [file, token] = [join(folder, 'config'), join(folder, 'token')]
    await writeFile(token, String(reader))
    await writeFile(file, text({ cluster, user: { tokenFile: token } }))
    const source = loadCredentials(file)
    assert.equal(await whoAmI(t, source), 'reader')
    await writeFile(token, `${writer}\n`)
    assert.equal(await whoAmI(t, source), 'writer')
    await rm(token)
    assert.equal(await whoAmI(t, source), 'writer', 'a file that is gone for a moment')
    await assert.rejects(loadCredentials(file).current(), { code: 'KubernetesUnauthorized', message: /ENOENT/ })
    await writeFile(token, '')
    await assert.rejects(loadCredentials(file).current(), { code: 'KubernetesUnauthorized', message: /is empty/ })
  })

  await suite.test('data in the file wins over the path of a file', async (t) => {
    const file = join(await folderOf(t), 'config')
    const other = { 'certificate-authority': 'missing', 'certificate-authority-data': server.caData }
    await writeFile(file, text({ cluster: { server: server.url, ...other }, user: { token: reader } }))
    assert.equal(await whoAmI(t, loadCredentials(file)), 'reader')
  })

  await suite.test(
    'a plugin is found beside its file, gets its environment, and runs again once its token has ended',
    async (t) => {
      const folder = await folderOf(t)
      const command = join(folder, 'plugin')
      await writeFile(command, plugin)
      await chmod(command, 0o755)
      await writeFile(join(folder, 'token'), String(reader))
      const file = join(folder, 'config')
      const exec = (expires: string, name = './plugin') => ({
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: name,
          args: [],
          env: [{ name: 'EXPIRES', value: expires }],
          interactiveMode: 'Never',
        },
      })
      await writeFile(file, text({ cluster, user: exec('2001-01-01T00:00:00Z') }))
      assert.equal(await kubectlSays(server, file), 'reader')
      const before = (await readFile(join(folder, 'calls'), 'utf8')).split('\n').length
      const source = loadCredentials(file)
      assert.equal(await whoAmI(t, source), 'reader')
      await writeFile(join(folder, 'token'), String(writer))
      assert.equal((await source.current()).headers['Authorization'], `Bearer ${writer}`)
      assert.ok((await readFile(join(folder, 'calls'), 'utf8')).split('\n').length >= before + 2)

      await writeFile(file, text({ cluster, user: exec('', './missing') }))
      await assert.rejects(loadCredentials(file).current(), (thrown) => {
        assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'KubernetesUnauthorized', String(thrown))
        assert.match(thrown.message, /missing ENOENT/)
        return true
      })
    },
  )

  await suite.test('of several files the first decides, and a missing one is skipped', async (t) => {
    const folder = await folderOf(t)
    const files = ['first', 'missing', 'second'].map((name) => join(folder, name))
    await writeFile(files[0] ?? '', text({ cluster, user: { token: reader } }))
    await writeFile(
      files[2] ?? '',
      text({ cluster: { server: 'https://127.0.0.1:1' }, user: { token: writer }, context: 'other' }),
    )
    assert.equal(await whoAmI(t, loadCredentials(undefined, { KUBECONFIG: files.join(delimiter) })), 'reader')
    assert.throws(() => loadCredentials(files[1]), { code: 'UnreadableFile' })
    assert.throws(() => loadCredentials(undefined, { KUBECONFIG: files[1] }), {
      code: 'UnreadableFile',
      message: /KUBECONFIG names no file that exists/,
    })
  })

  await suite.test('files that share names are merged as kubectl merges them', async (t) => {
    const folder = await folderOf(t)
    const [first, second] = [join(folder, 'first'), join(folder, 'second')]
    const { clusters, contexts, ...rest } = JSON.parse(text({ cluster, user: { token: writer } })) as Record<string, unknown>
    const users = [{ name: 'me', user: { token: reader } }]
    await writeFile(first, JSON.stringify({ apiVersion: 'v1', kind: 'Config', users, clusters: null }))
    await writeFile(second, JSON.stringify({ ...rest, clusters, contexts }))
    const env = { KUBECONFIG: [first, second].join(delimiter) }
    const { stdout } = await server.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'], { env })
    assert.equal(stdout, 'reader')
    assert.equal(await whoAmI(t, loadCredentials(undefined, env)), 'reader')
  })

  await suite.test('without a kubeconfig the files of the pod’s ServiceAccount are read', async () => {
    const env = { KUBECONFIG: '/nowhere', KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }
    // No pod runs this: its files are missing, and the failure names them.
    await assert.rejects(loadCredentials(undefined, env).current(), {
      code: 'KubernetesUnauthorized',
      message: /serviceaccount\/ca\.crt/,
    })
  })

  await suite.test('the user that it impersonates is the one who asks', async (t) => {
    const file = join(await folderOf(t), 'config')
    await writeFile(file, text({ cluster, user: { token: server.token, as: 'reader' } }))
    assert.equal(await whoAmI(t, loadCredentials(file)), 'reader')
  })
})

test('paths in a kubeconfig are made absolute, a command only with a slash in it', () => {
  const user = { 'client-certificate': 'tls/crt', 'client-key': '/etc/key', exec: { command: 'aws', args: ['eks', 'get-token'] } }
  const merged = JSON.parse(
    mergedKubeconfig([{ path: '/etc/me/.kube/config', text: text({ cluster: { server: 'https://x' }, user }) }]).text,
  ) as { users: object[] }
  const [found] = merged.users
  assert.match(JSON.stringify(found), /"client-certificate":"\/etc\/me\/.kube\/tls\/crt","client-key":"\/etc\/key"/)
})

test('a user who impersonates groups is refused, if it is the current one', () => {
  const user = { token: 'x', as: 'me', 'as-groups': ['admins'] }
  const file = (context: string) => ({
    path: '/x',
    text: text({ cluster: { server: 'https://x' }, user }).replace('"current-context":"mine"', `"current-context":"${context}"`),
  })
  assert.throws(() => mergedKubeconfig([file('mine')]), { code: 'InvalidOption', message: /as-groups/ })
  assert.doesNotThrow(() => mergedKubeconfig([file('other')]))
})

for (const [what, wrong] of [
  ['a list', '[1]'],
  ['a text', 'kubeconfig'],
  ['no YAML', '{"a'],
])
  test(`a file that holds ${what} is named`, () => {
    assert.throws(() => mergedKubeconfig([{ path: '/x/config', text: wrong ?? '' }]), {
      code: 'UnreadableFile',
      message: /^cannot read \/x\/config: /,
    })
  })
