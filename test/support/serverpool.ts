/**
 * API servers that `npm test` keeps running, and that its test files borrow one after another: a start needs two to three seconds of
 * processor time. STREAMPIPELINE_POOL names a folder with a description of each. A borrowed server has returned to its baseline
 * (baseline.ts). Nobody waits for one. A file that runs alone finds no pool.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AuditedRequest, markEnd } from './auditlog.ts'
import { type Baseline, returnTo, takeBaseline } from './baseline.ts'
import { claimNumber, returnNumber } from './bootstrapped.ts'
import { afterAllElse, type Scope } from './scope.ts'
import { type ApiServer, accessTo, auditLogOf, clientOf, type ServerPlace } from './serveraccess.ts'

export const poolVariable = 'STREAMPIPELINE_POOL'

interface Description {
  readonly place: ServerPlace
  readonly baseline: Baseline
}

/** @param number of the control plane in bootstrapped.ts whose copies are the same cluster */
export const describeServer = async (pool: string, number: number, place: ServerPlace): Promise<void> => {
  const client = await clientOf(place)
  const description: Description = { place, baseline: await takeBaseline(place.etcdPort, client) }
  client.close()
  await writeFile(join(pool, `${number}.json`), JSON.stringify(description), { mode: 0o600 })
}

/** From now on processes that this one starts borrow the servers that are described there. */
export const offerPool = (pool: string): void => {
  process.env[poolVariable] = pool
}

/** Undefined: no server is free. */
export const borrowServer = async (scope: Scope, kubectl: string): Promise<ApiServer | undefined> => {
  const pool = process.env[poolVariable]
  // Once the run has ended its servers, the folder is gone.
  if (pool === undefined || !existsSync(pool)) return undefined
  for (const file of (await readdir(pool)).toSorted()) {
    const giveBack = await claim(join(pool, file), Number.parseInt(file, 10))
    if (giveBack !== undefined) return await lend(scope, join(pool, file), kubectl, giveBack)
  }
  return undefined
}

const lend = async (scope: Scope, file: string, kubectl: string, giveBack: () => Promise<void>): Promise<ApiServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-borrowed-'))
  let server: ApiServer | undefined
  afterAllElse(scope, async () => {
    const left = lasting((await server?.requests()) ?? [])
    await giveBack()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    if (left.length > 0) throw new Error(`a borrowed API server does not forget ${left}. ${remedy}`)
  })
  const { place, baseline } = JSON.parse(await readFile(file, 'utf8')) as Description
  const client = await clientOf(place)
  try {
    await returnTo(baseline, place.etcdPort, client)
  } finally {
    client.close()
  }
  server = await accessTo(scope, { place, kubectl, folder, since: await markEnd(auditLogOf(place)) })
  return Object.defineProperties(server, Object.fromEntries(['etcd', 'apiserver', 'controllers', 'keep'].map(refused)))
}

const remedy = 'Start a server of the test’s own: startCluster or startApiServer in place of borrowCluster or borrowApiServer.'

/** The compiler refuses these too, but does not run before a single file does. */
const refused = (name: string): [string, PropertyDescriptor] => [
  name,
  {
    get() {
      throw new Error(`${name} of a borrowed API server is not for its borrower. ${remedy}`)
    },
  },
]

/** Their effect outlives them: admission reads policies anew each second, and remembers quotas for half a minute. */
const remembered: ReadonlySet<string> = new Set([
  'apiservices',
  'flowschemas',
  'limitranges',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'prioritylevelconfigurations',
  'resourcequotas',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'validatingwebhookconfigurations',
])

/** Resources that the borrower has written, and of which something may remain. */
const lasting = (requests: readonly AuditedRequest[]): readonly string[] => [
  ...new Set(
    requests
      .filter(({ verb, uri, code }) => code < 300 && !['get', 'list', 'watch'].includes(verb) && !/[?&]dryRun=/.test(uri))
      .filter(({ resource, user }) => remembered.has(resource) && user !== 'system:apiserver')
      .map(({ resource }) => resource),
  ),
]

/**
 * Undefined: another process has it, or this one has the same cluster. A claim is a socket of a name, which the kernel takes from a process
 * that has ended, however it ended. Only Linux has such names.
 */
const claim = async (file: string, number: number): Promise<(() => Promise<void>) | undefined> => {
  if (process.platform !== 'linux' || !claimNumber(number)) return undefined
  const name = createHash('sha256').update(file).digest('hex')
  const socket = createServer()
  const held = await new Promise<boolean>((settle) => {
    socket.once('error', () => settle(false))
    socket.listen({ path: `\0${name}` }, () => settle(true))
  })
  if (!held) {
    returnNumber(number)
    return undefined
  }
  return async () => {
    await new Promise((closed) => socket.close(closed))
    returnNumber(number)
  }
}
