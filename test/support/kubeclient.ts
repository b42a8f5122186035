/** The little that starting an API server needs before any client library can: requests of JSON, and kubeconfig files. */
import { Agent, request } from 'node:https'

export interface Answer {
  readonly code: number
  readonly text: string
}

export interface KubeClient {
  /** Rejects when the server cannot be reached or is not the one of that CA. */
  ask(method: 'GET' | 'POST', path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Answer>
  close(): void
}

/** Its connections are kept until it is closed. */
export const createKubeClient = (url: string, ca: string, token: string): KubeClient => {
  const agent = new Agent({ keepAlive: true, maxSockets: 2, ca })
  return {
    ask: (method, path, body, headers = {}) =>
      new Promise((resolve, reject) => {
        const all = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers }
        const sent = request(`${url}${path}`, { method, agent, timeout: 2_000, headers: all }, (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part
          })
          response.once('error', reject)
          response.once('end', () => resolve({ code: response.statusCode ?? 0, text }))
        })
        sent.once('timeout', () => sent.destroy(new Error('no answer within 2000 ms')))
        sent.once('error', reject)
        sent.end(body === undefined ? undefined : JSON.stringify(body))
      }),
    close: () => agent.destroy(),
  }
}

/** The status code of a GET. */
export const statusOf = async (url: string, ca: string, token: string): Promise<number> => {
  const { origin, pathname } = new URL(url)
  const client = createKubeClient(origin, ca, token)
  try {
    return (await client.ask('GET', pathname)).code
  } finally {
    client.close()
  }
}

export const kubeconfigOf = (url: string, caData: string, user: string, token: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': caData } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user, namespace: 'default' } }],
  })
