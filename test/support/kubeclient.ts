/** The little that starting an API server needs before any client library can: one GET, and kubeconfig files. */
import { request } from 'node:https'

/** The status code of a GET with a bearer token. Rejects when the server cannot be reached or is not the one of that CA. */
export const statusOf = (url: string, ca: string, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { ca, agent: false, timeout: 2_000, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
    })
    sent.once('timeout', () => sent.destroy(new Error('no answer within 2000 ms')))
    sent.once('error', reject)
    sent.end()
  })

export const kubeconfigOf = (url: string, caData: string, user: string, token: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': caData } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user, namespace: 'default' } }],
  })
