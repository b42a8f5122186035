import './leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { needsControllers, ordinary, startApiServer } from './apiserver.ts'
import { eventually } from './wait.ts'

const configMap = (name: string, owner?: { name: string; uid: string }): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...(owner ? { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', ...owner }] } : {}) },
  })

test('a private API server', needsControllers, async (suite) => {
  const server = await startApiServer(suite, { ...ordinary, users: { stranger: ['visitors'] }, controllers: true })

  await suite.test('takes objects from the administrator and refuses a user without rights', async () => {
    assert.equal((await server.kubectl(['apply', '-f', '-'], { input: configMap('mine') })).code, 0)
    const refused = await server.kubectl(['get', 'configmap', 'mine'], { user: 'stranger' })
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /User "stranger" cannot get resource "configmaps"/)
    const asked = (await server.requests()).filter(({ name }) => name === 'mine')
    assert.deepEqual(
      asked.map(({ user, verb, code }) => ({ user, verb, code })),
      [
        { user: 'admin', verb: 'get', code: 404 },
        { user: 'admin', verb: 'create', code: 201 },
        { user: 'stranger', verb: 'get', code: 403 },
      ],
    )
  })

  await suite.test('collects what an owner leaves behind when it has controllers', async () => {
    await server.kubectl(['create', 'configmap', 'owner'])
    const { stdout: uid } = await server.kubectl(['get', 'configmap', 'owner', '-o', 'jsonpath={.metadata.uid}'])
    await server.kubectl(['apply', '-f', '-'], configMap('owned', { name: 'owner', uid }))
    await server.kubectl(['delete', 'configmap', 'owner'])
    await eventually(async () => (await server.kubectl(['get', 'configmap', 'owned'])).code === 1, { timeoutMs: 60_000 })
  })

  await suite.test('keeps its objects and its address over a crash', async () => {
    await server.apiserver.kill()
    assert.match((await server.kubectl(['get', 'configmap', 'mine'])).stderr, /refused/)
    await server.apiserver.start()
    assert.equal((await server.kubectl(['get', 'configmap', 'mine'])).code, 0)
  })
})
