/** `status`: where one request is, from its entry to the result of its job. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { failure } from '../../api/errors.ts'
import { printable, printableJson, printableLines } from '../../api/printable.ts'
import type { RequestStatus } from '../../redis/status/summary.ts'
import type { Terminal } from '../terminal.ts'

interface StatusFlags {
  readonly file: string
  readonly name?: string
  readonly refs?: string
  readonly scan: number
  readonly output: 'text' | 'json'
}

function scanCount(text: string): number {
  const given = Number(text)
  if (!Number.isInteger(given) || given < 0 || given > 1_000) throw new InvalidArgumentError('write a whole number, 1000 or less')
  return given
}

export function registerStatus(program: Command, terminal: Terminal): void {
  program
    .command('status')
    .description('show one request: its entry, job, result or dead letter')
    .argument(
      '<request...>',
      'id of the entry or job, hash of the key, or the key; for a key of several fields, their values in order',
    )
    .requiredOption('-f, --file <file>', 'file with the StreamPipeline')
    .option('--name <name>', 'name of the pipeline, if the file holds several')
    .option('--refs <directory>', 'folder with Secrets and ConfigMaps, as secret/NAME/KEY and configmap/NAME/KEY')
    .option(
      '--scan <count>',
      'number of the newest entries and dead letters to search if no index leads to the request',
      scanCount,
      0,
    )
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .action(async (request: string[], flags: StatusFlags) => {
      const status = await find(request, flags)
      if (flags.output === 'json') terminal.out(`${printableJson(JSON.stringify(status, undefined, 2))}\n`)
      else terminal.out(`${printableLines(textOf(status))}\n`)
    })
}

async function find(request: readonly string[], flags: StatusFlags): Promise<RequestStatus> {
  const [{ withPipelineRedis }, { placementOf }, { createCodec }, { referencesOf }, { requestStatus }] = await Promise.all([
    import('../pipelineredis.ts'),
    import('../../redis/placement.ts'),
    import('../../redis/payload/codec.ts'),
    import('../../redis/status/reference.ts'),
    import('../../redis/status/request.ts'),
  ])
  return await withPipelineRedis(flags, async ({ pipeline, stream, queue }) => {
    const { allow } = pipeline.sink
    const { place, target } = placementOf(pipeline)
    const parts = { stream, queue, place, target, codec: createCodec(pipeline.payload, allow) }
    const refs = referencesOf(request, target.keys.scope, pipeline.payload, allow?.idempotencyKey === true)
    let first: RequestStatus | undefined
    for (const ref of refs) {
      const status = await requestStatus(parts, ref, flags.scan)
      if (status.state !== 'Unknown') return status
      first ??= status
    }
    if (first !== undefined) return first
    const fields = pipeline.payload.idempotencyKey?.join(', ') ?? 'none: write the id of an entry or job'
    throw failure('InvalidOption', {
      option: 'REQUEST',
      detail: `this is no id of an entry or job, no hash and no key; the fields of the key are ${fields}`,
    })
  })
}

/** One value in a line; `-o json` prints it whole. */
const mostText = 200

const meanings = {
  Unread: 'in the stream; no consumer has read it',
  Forwarding: 'a consumer holds its entry',
  Waiting: 'its job waits for a worker',
  Prioritized: 'its job waits for a worker, by priority',
  Delayed: 'its job waits for its time',
  WaitingChildren: 'its job waits for its children',
  Active: 'a worker runs its job',
  Stalled: 'the worker of its job is gone; BullMQ moves the job back into the queue soon',
  Completed: 'its job has completed',
  Failed: 'its job has failed',
  Dead: 'it is a dead letter',
  NotKept: 'it was forwarded; its job has ended or was removed, and is no longer kept',
  Cancelled: 'it was cancelled before it began',
  Unknown:
    'Redis has no trace of it: never dispatched, not forwarded yet, or too long ago. Before it is forwarded, the id of its entry or --scan finds it',
} as const satisfies Record<RequestStatus['state'], string>

function textOf(status: RequestStatus): string {
  const { state, key, jobId, entry, job, dead, duplicateOf, redrives, timeline } = status
  const rows: [string, string | undefined][] = [
    ['state', `${state}: ${meanings[state]}`],
    ['key', key],
    ['entry', entry && `${entry.id} (${entry.state})`],
    ['duplicate of', duplicateOf],
    ['job', job ? `${job.id} (${job.name}, ${job.state}, attempt ${job.attempts} of ${job.maxAttempts})` : jobId],
    ['progress', job?.progress === undefined ? undefined : shown(job.progress)],
    ['result', job?.result === undefined ? undefined : shown(job.result)],
    ['error', job?.error],
    ['dead letter', dead && `${dead.id} (${dead.reason ?? 'of unknown reason'}): ${dead.error}`],
    ['replays', redrives === 0 ? undefined : String(redrives)],
  ]
  const lines = rows.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(13)}${printable(value, mostText)}`]))
  if (timeline.length > 0)
    lines.push('', ...timeline.map(({ at, what }) => `${new Date(at).toISOString()}  ${printable(what, mostText)}`))
  return lines.join('\n')
}

const shown = (value: unknown) => JSON.stringify(value) ?? ''
