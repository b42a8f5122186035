/** Ways to an API server through real proxies. kubectl goes the same ways, and must find the same. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadCredentials } from '../../../operator/kubernetes/credentials.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import type { Scope } from '../../support/scope.ts'
import type { ApiServer } from '../../support/serveraccess.ts'
import { type ConnectProxy, startConnectProxy, startHttp1Front, startSocksProxy } from '../relays.ts'

type Variables = Readonly<Record<string, string>>

async function fileOf(scope: Scope, cluster: object, token: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-tunnel-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'config')
  const context = { cluster: 'here', user: 'me' }
  const lists = {
    clusters: [{ name: 'here', cluster }],
    users: [{ name: 'me', user: { token } }],
    contexts: [{ name: 'mine', context }],
  }
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Config', 'current-context': 'mine', ...lists }))
  return file
}

/** Undefined: it was reached; else the failure. */
async function failureOfOurs(file: string, env: Variables): Promise<string | undefined> {
  const transport = createTransport(loadCredentials(file, env))
  try {
    await transport.request({ method: 'GET', path: '/version' })
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  } finally {
    await transport.close()
  }
}

async function failureOfKubectl(server: ApiServer, file: string, env: Variables): Promise<string | undefined> {
  const { code, stderr } = await server.kubectl(['--kubeconfig', file, 'get', '--raw', '/version'], { env })
  return code === 0 ? undefined : stderr
}

test('ways through proxies', needsApiServer, async (suite) => {
  const server = await borrowApiServer(suite)
  const { cert } = server.identity
  const trusted = { 'certificate-authority-data': server.caData }
  /** The certificate has this name, and no name server knows it: only a proxy leads there. */
  const named = { server: 'https://kubernetes.default.svc:6443', ...trusted }
  const [byHttp, bySocks] = [
    await startConnectProxy(suite, { to: server.port }),
    await startSocksProxy(suite, { to: server.port, password: 's3cret/' }),
  ]

  /** By both; returns the targets that the proxy was asked for. */
  async function reachedBy(t: Scope, cluster: object, proxy: ConnectProxy, env: Variables = {}): Promise<readonly string[]> {
    const file = await fileOf(t, cluster, server.token)
    const before = proxy.accepted
    assert.equal(await failureOfKubectl(server, file, env), undefined)
    const between = proxy.accepted
    assert.ok(between > before, 'kubectl took another way')
    assert.equal(await failureOfOurs(file, env), undefined)
    assert.ok(proxy.accepted > between, 'the operator took another way')
    return [...proxy.targets]
  }

  for (const [name, url, proxy] of [
    ['HTTPS_PROXY', `http://127.0.0.1:${byHttp.port}`, byHttp],
    ['https_proxy', `127.0.0.1:${byHttp.port}`, byHttp],
    ['HTTPS_PROXY', `socks5://user:s3cret%2F@127.0.0.1:${bySocks.port}`, bySocks],
  ] as const)
    await suite.test(`${name}=${url.replace(/\d+$/, '…')} is the way`, async (t) => {
      const targets = await reachedBy(t, named, proxy, { [name]: url, NO_PROXY: '10.0.0.0/8,.cluster.local' })
      assert.ok(targets.includes('kubernetes.default.svc:6443'), targets.join())
    })

  for (const noProxy of ['.svc', 'default.svc', 'kubernetes.default.svc:6443', '*', '.SVC '])
    await suite.test(`NO_PROXY=${noProxy} is an exception`, async (t) => {
      const env = { HTTPS_PROXY: `http://127.0.0.1:${byHttp.port}`, NO_PROXY: noProxy }
      const file = await fileOf(t, named, server.token)
      const before = byHttp.accepted
      assert.match(String(await failureOfKubectl(server, file, env)), /lookup|no such host/)
      assert.match(String(await failureOfOurs(file, env)), /cannot be reached/)
      assert.equal(byHttp.accepted, before)
    })

  await suite.test(
    'a server on loopback is reached directly without NO_PROXY, and through proxy-url whatever NO_PROXY says',
    async (t) => {
      const env = { HTTPS_PROXY: 'http://127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:1' }
      const file = await fileOf(t, { server: server.url, ...trusted }, server.token)
      assert.equal(await failureOfKubectl(server, file, env), undefined)
      assert.equal(await failureOfOurs(file, env), undefined)
      const proxied = { server: server.url, ...trusted, 'proxy-url': `http://127.0.0.1:${byHttp.port}` }
      await reachedBy(t, proxied, byHttp, { ...env, NO_PROXY: '*' })
    },
  )

  await suite.test('proxy-url may be SOCKS5, which resolves the name of the server', async (t) => {
    const cluster = { ...named, 'proxy-url': `socks5://user:s3cret%2F@127.0.0.1:${bySocks.port}` }
    assert.ok((await reachedBy(t, cluster, bySocks)).includes('kubernetes.default.svc:6443'))
    const wrong = await fileOf(t, { ...named, 'proxy-url': `socks5://user:wrong@127.0.0.1:${bySocks.port}` }, server.token)
    const failed = String(await failureOfOurs(wrong, {}))
    assert.match(failed, /the proxy 127\.0\.0\.1 refuses the user or the password/)
    const without = await fileOf(t, { ...named, 'proxy-url': `socks5://127.0.0.1:${bySocks.port}` }, server.token)
    assert.match(String(await failureOfOurs(without, {})), /the proxy 127\.0\.0\.1 wants another kind of login/)
  })

  await suite.test('a proxy that does not speak SOCKS5, or closes the connection, is named', async (t) => {
    const front = await startHttp1Front(t, server, { isPlain: true })
    const file = await fileOf(t, { ...named, 'proxy-url': `socks5://127.0.0.1:${front.port}` }, server.token)
    assert.match(String(await failureOfOurs(file, {})), /the proxy 127\.0\.0\.1 (does not speak SOCKS5|closed the connection)/)
  })

  await suite.test('the cluster’s CA is trusted for a proxy that is reached by TLS', async (t) => {
    const proxy = await startConnectProxy(t, { to: server.port, identity: server.identity })
    await reachedBy(t, { ...named, 'proxy-url': `https://127.0.0.1:${proxy.port}` }, proxy)
    const strange = { ...trusted, 'certificate-authority-data': '', server: named.server }
    const file = await fileOf(t, { ...strange, 'proxy-url': `https://127.0.0.1:${proxy.port}` }, server.token)
    assert.match(String(await failureOfKubectl(server, file, {})), /certificate/)
    assert.match(String(await failureOfOurs(file, {})), /certificate/)
  })

  await suite.test('an IPv6 address goes to a proxy in brackets, and tls-server-name may be an address', async (t) => {
    for (const [proxy, url, target] of [
      [byHttp, `http://127.0.0.1:${byHttp.port}`, '[fd00::1]:6443'],
      [bySocks, `socks5://user:s3cret%2F@127.0.0.1:${bySocks.port}`, '[fd00::1]:6443'],
    ] as const) {
      const cluster = { server: 'https://[fd00::1]:6443', ...trusted, 'proxy-url': url, 'tls-server-name': '127.0.0.1' }
      assert.ok((await reachedBy(t, cluster, proxy)).includes(target), [...proxy.targets].join())
    }
  })

  await suite.test('tls-server-name is the name in the certificate, whatever the server is called', async (t) => {
    const strange = { server: 'https://cluster.example:6443', ...trusted, 'proxy-url': `http://127.0.0.1:${byHttp.port}` }
    await reachedBy(t, { ...strange, 'tls-server-name': 'kubernetes.default.svc' }, byHttp)
    const file = await fileOf(t, strange, server.token)
    assert.match(String(await failureOfKubectl(server, file, {})), /certificate/)
    assert.match(String(await failureOfOurs(file, {})), /cannot be reached/)
    const wrong = await fileOf(t, { ...strange, 'tls-server-name': '10.9.9.9' }, server.token)
    assert.match(String(await failureOfKubectl(server, wrong, {})), /certificate/)
    assert.match(String(await failureOfOurs(wrong, {})), /does not match certificate/)
  })

  await suite.test('a server without TLS is reached, through a proxy too', async (t) => {
    const front = await startHttp1Front(t, server, { isPlain: true })
    const direct = await fileOf(t, { server: `http://127.0.0.1:${front.port}` }, server.token)
    assert.equal(await failureOfKubectl(server, direct, {}), undefined)
    assert.equal(await failureOfOurs(direct, {}), undefined)
    const proxy = await startConnectProxy(t, { to: front.port })
    const proxied = { server: 'http://cluster.example:8001', 'proxy-url': `http://127.0.0.1:${proxy.port}` }
    assert.equal(await failureOfOurs(await fileOf(t, proxied, server.token), {}), undefined)
    assert.deepEqual([...proxy.targets], ['cluster.example:8001'])
  })

  await suite.test('insecure-skip-tls-verify needs no CA, and is refused beside one', async (t) => {
    const insecure = { server: server.url, 'insecure-skip-tls-verify': true }
    const file = await fileOf(t, insecure, server.token)
    assert.equal(await failureOfKubectl(server, file, {}), undefined)
    assert.equal(await failureOfOurs(file, {}), undefined)
    const both = await fileOf(t, { ...insecure, ...trusted }, server.token)
    assert.match(String(await failureOfKubectl(server, both, {})), /insecure/)
    assert.throws(() => loadCredentials(both, {}), { code: 'InvalidOption', message: /insecure-skip-tls-verify/ })
  })

  await suite.test('without a user the CA of the cluster counts all the same', async (t) => {
    const file = await fileOf(t, { server: server.url, ...trusted }, server.token)
    const config = JSON.parse(await readFile(file, 'utf8')) as object
    const context = { name: 'mine', context: { cluster: 'here' } }
    await writeFile(file, JSON.stringify({ ...config, contexts: [context] }))
    const { tls, headers } = await loadCredentials(file, {}).current()
    assert.deepEqual([String(tls.ca), headers], [cert, {}])
  })
})
