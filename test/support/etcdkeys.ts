/** The keys of a Kubernetes API server's etcd, by etcd's JSON gateway: what was stored, and a way back without the server's consent. */

const [first, behindLast] = ['/registry/', '/registry0']

/** The server renews these by itself, and a test does not see them. */
const ofServer = /^\/registry\/(?:leases\/kube-system\/apiserver-|peerserverleases\/|masterleases\/)/

/** By key; values as the gateway has them, in Base64. */
export type Stored = ReadonlyMap<string, string>

interface Difference {
  /** Keys to delete. */
  readonly surplus: readonly string[]
  /** Keys to write, with their values. */
  readonly lacking: readonly (readonly [key: string, value: string])[]
}

/** etcd takes at most 128 changes at once. */
const atOnce = 100

const encoded = (key: string): string => Buffer.from(key).toString('base64')

export const readStored = async (port: number): Promise<Stored> => {
  const { kvs = [] } = (await ask(port, 'range', { key: encoded(first), range_end: encoded(behindLast) })) as {
    kvs?: readonly { key: string; value?: string }[]
  }
  const entries = kvs.map(({ key, value = '' }) => [Buffer.from(key, 'base64').toString(), value] as const)
  return new Map(entries.filter(([key]) => !ofServer.test(key)))
}

/** What `now` must change to become `wanted`. */
export const differenceOf = (now: Stored, wanted: Stored): Difference => ({
  surplus: [...now.keys()].filter((key) => !wanted.has(key)),
  lacking: [...wanted].filter(([key, value]) => now.get(key) !== value),
})

export const keysOf = ({ surplus, lacking }: Difference): readonly string[] => [...surplus, ...lacking.map(([key]) => key)]

/** Returns the version of the last change. */
export const change = async (port: number, { surplus, lacking }: Difference): Promise<string> => {
  const steps = [
    ...surplus.map((key) => ({ request_delete_range: { key: encoded(key) } })),
    ...lacking.map(([key, value]) => ({ request_put: { key: encoded(key), value } })),
  ]
  let revision = ''
  for (let done = 0; done < steps.length || revision === ''; done += atOnce) {
    const { header } = (await ask(port, 'txn', { success: steps.slice(done, done + atOnce) })) as { header: { revision: string } }
    revision = header.revision
  }
  return revision
}

const ask = async (port: number, call: 'range' | 'txn', body: object): Promise<unknown> => {
  const response = await fetch(`http://127.0.0.1:${port}/v3/kv/${call}`, {
    method: 'POST',
    headers: { connection: 'close' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`etcd answers ${call} with ${response.status}: ${await response.text()}`)
  return await response.json()
}
