/** The proxy that the environment names. Each row is what Go's net/http does; tunnel.test.ts asks kubectl about some of them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyOf } from '../../../operator/kubernetes/proxies.ts'

const proxy = 'http://proxy:3128'

const exceptions: readonly (readonly [noProxy: string, server: string, isProxied: boolean])[] = [
  ['', 'https://api.example.com', true],
  ['*', 'https://api.example.com', false],
  ['a.com, *', 'https://[fd00::1]:6443', false],
  ['example.com', 'https://api.example.com', false],
  ['example.com', 'https://example.com:6443', false],
  ['EXAMPLE.com', 'https://api.Example.com', false],
  ['example.com', 'https://notexample.com', true],
  ['.example.com', 'https://api.example.com', false],
  ['.example.com', 'https://example.com', true],
  ['*.example.com', 'https://a.b.example.com', false],
  ['*.example.com', 'https://example.com', true],
  ['example.com:6443', 'https://example.com:6443', false],
  ['example.com:6443', 'https://example.com', true],
  ['example.com:443', 'https://example.com', false],
  ['api.*', 'https://api.example.com', true],
  ['10.0.0.0/8', 'https://10.96.0.1:443', false],
  ['10.1.2.3/8', 'https://10.96.0.1:443', false],
  ['10.0.0.0/8', 'https://11.0.0.1', true],
  ['10.0.0.0/8', 'https://ten.example.com', true],
  ['10.0.0.0/33', 'https://10.0.0.1', true],
  ['10.0.0.1', 'https://10.0.0.1:6443', false],
  ['10.0.0.1:6443', 'https://10.0.0.1:6443', false],
  ['10.0.0.1:443', 'https://10.0.0.1:6443', true],
  ['0.0.0.1', 'https://10.0.0.1', true],
  ['fd00::/8', 'https://[fd12::3]', false],
  ['fd00::1', 'https://[fd00::1]:6443', false],
  ['[fd00::1]:6443', 'https://[fd00::1]:6443', false],
  ['[fd00::1]:443', 'https://[fd00::1]:6443', true],
  [' , :443, /8', 'https://10.0.0.1', true],
  ['', 'https://localhost:6443', false],
  ['', 'https://127.8.9.1:6443', false],
  ['', 'https://[::1]:6443', false],
]

for (const [noProxy, server, isProxied] of exceptions)
  test(`with NO_PROXY=${noProxy} ${server} is reached ${isProxied ? 'by' : 'without'} a proxy`, () => {
    const found = proxyOf(server, { HTTPS_PROXY: proxy, NO_PROXY: noProxy })
    assert.equal(found, isProxied ? `${proxy}/` : undefined)
  })

const server = 'https://10.0.0.1'

test('the variable is that of the server’s scheme, in upper case first, and an empty one does not count', () => {
  const one = { HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:1', HTTP_PROXY: 'http://c:1' }
  assert.equal(proxyOf(server, one), 'http://a:1/')
  assert.equal(proxyOf(server, { ...one, HTTPS_PROXY: '' }), 'http://b:1/')
  assert.equal(proxyOf('http://10.0.0.1', one), 'http://c:1/')
  assert.equal(proxyOf('http://10.0.0.1', { http_proxy: 'http://d:1', no_proxy: '10.0.0.1' }), undefined)
  assert.equal(proxyOf(server, { HTTP_PROXY: 'http://c:1', ALL_PROXY: 'http://e:1' }), undefined)
  assert.equal(proxyOf(server, { HTTPS_PROXY: 'http://a:1', NO_PROXY: '', no_proxy: '10.0.0.1' }), undefined)
})

test('a proxy without a scheme is one of HTTP', () => {
  assert.equal(proxyOf(server, { HTTPS_PROXY: 'proxy:3128' }), 'http://proxy:3128/')
  assert.equal(proxyOf(server, { HTTPS_PROXY: '10.0.0.9:3128' }), 'http://10.0.0.9:3128/')
  assert.equal(proxyOf(server, { HTTPS_PROXY: 'user:p%40ss@proxy:3128' }), 'http://user:p%40ss@proxy:3128/')
  assert.match(String(proxyOf(server, { HTTPS_PROXY: 'socks5h://proxy:1080' })), /^socks5h:\/\/proxy:1080/)
})

test('a proxy of another kind is refused, without its password', () => {
  for (const wrong of ['ftp://u:s3cret@proxy', 'socks4://u:s3cret@proxy:1080', 'http://u:s3cret@'])
    assert.throws(
      () => proxyOf(server, { HTTPS_PROXY: wrong }),
      (thrown: Error) => {
        assert.match(thrown.message, /HTTPS_PROXY/)
        assert.doesNotMatch(thrown.message, /s3cret/)
        return true
      },
    )
})
