/** The contenders: where each takes its requests from, whose programs it needs, and how its process is started. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunningProcess, startProcess } from '../../test/support/process.ts'
import type { Scope } from '../../test/support/scope.ts'
import type { Bench } from './bench.ts'
import type { ContenderInput } from './contender/input.ts'
import { interpreterIn, type Peer } from './peers.ts'
import type { Source } from './sources.ts'
import { jobOptions, names, pipelineDocument } from './workload.ts'

export const contenders = [
  'streampipeline',
  'addBulk',
  'addBulk x3',
  'article',
  'article in Python',
  'moleculer channels',
  'queue to queue',
] as const
export type Contender = (typeof contenders)[number]

interface Kind {
  readonly source: Source
  readonly needs?: Peer
  /** For the page. */
  readonly about: string
}

export const kinds: Readonly<Record<Contender, Kind>> = {
  streampipeline: { source: 'Entries', about: 'this consumer, every guarantee on, schema checked' },
  addBulk: {
    source: 'Memory',
    about: 'BullMQ’s `addBulk` in batches of 100 from memory, awaited: no stream, no deduplication, no acknowledgement',
  },
  'addBulk x3': { source: 'Memory', about: 'the same with three batches in flight, as the consumer has' },
  article: {
    source: 'Entries',
    about:
      'the loop that articles about Redis Streams and BullMQ show, in TypeScript: it reads 100 entries, and for each awaits lock, add, release and acknowledgement',
  },
  'article in Python': {
    source: 'Entries',
    needs: 'python',
    about: 'the same loop in Python, with redis-py and BullMQ’s Python package',
  },
  'moleculer channels': {
    source: 'Documents',
    needs: 'modules',
    about: '`@moleculer/channels` with 1,000 requests in flight, whose handler adds the job',
  },
  'queue to queue': {
    source: 'Queue',
    about: 'a BullMQ worker, 100 jobs at once, whose processor adds the job to the second queue',
  },
}

const contenderFile = (name: string) => fileURLToPath(new URL(`./contender/${name}`, import.meta.url))

/** @param place distinguishes several consumers of one stream */
export async function startContender(
  scope: Scope,
  bench: Bench,
  contender: Contender,
  given: Omit<ContenderInput, 'inFlight' | 'peers'> & { readonly batchSize?: number },
  place = 0,
): Promise<RunningProcess> {
  const { batchSize, ...rest } = given
  const input: ContenderInput = { ...rest, inFlight: contender === 'addBulk x3' ? 3 : 1, peers: bench.peers?.modules ?? '' }
  const start = (file: string) => startProcess(scope, [contenderFile(file), JSON.stringify(input)])
  switch (contender) {
    case 'streampipeline': {
      const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bench-'))
      scope.after(async () => await rm(folder, { recursive: true, force: true }))
      const config = join(folder, 'pipeline.yaml')
      await writeFile(config, JSON.stringify(pipelineDocument(input.url, batchSize)))
      const args = ['consume', '--config', config, '--name', `bench-${place}`, '--listen', '127.0.0.1:0']
      return await startProcess(scope, [...bench.consumerFlags, bench.program, ...args], { env: bench.consumerEnvironment })
    }
    case 'article':
      return await start('article.ts')
    case 'article in Python': {
      const args = [contenderFile('article.py'), JSON.stringify({ ...input, names, jobOptions })]
      return await startProcess(scope, args, { command: interpreterIn(bench.peers?.python ?? '') })
    }
    case 'addBulk':
    case 'addBulk x3':
      return await start('addbulk.ts')
    case 'moleculer channels':
      return await start('channels.ts')
    case 'queue to queue':
      return await start('queuetoqueue.ts')
    default:
      return contender satisfies never
  }
}

/** The control of the latency, which forwards nothing (contender/control.ts). */
export async function startControl(
  scope: Scope,
  given: Pick<ContenderInput, 'url' | 'payload' | 'count'>,
): Promise<RunningProcess> {
  const input: ContenderInput = { ...given, inFlight: 1, peers: '' }
  return await startProcess(scope, [contenderFile('control.ts'), JSON.stringify(input)])
}
