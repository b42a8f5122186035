/** `dead list | show | replay | purge`: a pipeline's dead letters. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { formatAge } from '../../api/duration.ts'
import { failure } from '../../api/errors.ts'
import { printable, printableJson, printableLines } from '../../api/printable.ts'
import type { Records } from '../../redis/deadletters/records.ts'
import type { DeadLetters, ReplayOutcome } from '../../redis/deadletters/replay.ts'
import { type DeadLetter, type DeadLetterReason, deadLetterReasons } from '../../redis/record.ts'
import type { Terminal } from '../terminal.ts'

interface DeadFlags {
  readonly file: string
  readonly name?: string
  readonly refs?: string
  readonly output: 'text' | 'json'
  readonly reason?: DeadLetterReason
  readonly limit?: number
  readonly all?: boolean
  readonly dryRun?: boolean
  readonly altered?: boolean
}

/** Records for one XDEL. It blocks Redis, and a call has room for some hundred thousand arguments only. */
const purgedAtOnce = 1_000

function count(text: string): number {
  const given = Number(text)
  if (!Number.isInteger(given) || given < 1) throw new InvalidArgumentError('write a whole number, 1 or more')
  return given
}

export function registerDead(program: Command, terminal: Terminal): void {
  const output = outputOn(terminal)
  const dead = program.command('dead').description('list, show, replay and purge the dead letters of a pipeline')
  common(dead.command('list').description('print one line for each dead letter, oldest first'))
    .addOption(reasonOption())
    .option('--limit <count>', 'largest number of dead letters to print', count, 100)
    .action(async (flags: DeadFlags) => await withRecords(flags, async (letters) => await list(letters, flags, output)))
  common(dead.command('show').description('print one dead letter with its payload').argument('<id>')).action(
    async (id: string, flags: DeadFlags) => await withRecords(flags, async (letters) => await show(letters, id, output)),
  )
  selection(
    dead
      .command('replay')
      .description('add the entries of dead letters to the stream again, under new ids, and delete their idempotency marks'),
  )
    .option('--altered', 'also replay failed jobs whose data a worker changed; the payload may differ from the request')
    .action(
      async (ids: string[], flags: DeadFlags) =>
        await withDeadLetters(flags, async (letters) => await replay(letters, ids, flags, output)),
    )
  selection(dead.command('purge').description('delete dead letters for good')).action(
    async (ids: string[], flags: DeadFlags) =>
      await withRecords(flags, async (letters) => await purge(letters, ids, flags, output)),
  )
}

function common(command: Command): Command {
  return command
    .requiredOption('-f, --file <file>', 'file with the StreamPipeline')
    .option('--name <name>', 'name of the pipeline, if the file holds several')
    .option('--refs <directory>', 'folder with Secrets and ConfigMaps, as secret/NAME/KEY and configmap/NAME/KEY')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
}

function reasonOption(): Option {
  return new Option('--reason <reason>', 'only dead letters with this reason').choices(deadLetterReasons)
}

function selection(command: Command): Command {
  return common(command.argument('[id...]', 'ids of dead letters; or use --all or --reason'))
    .addOption(reasonOption())
    .option('--all', 'all dead letters')
    .option('--dry-run', 'print what the command would do, and do nothing')
}

/** Without BullMQ, its self-test and the queue's Redis: these commands must work while Redis refuses writes. */
async function withRecords(flags: DeadFlags, work: (records: Records) => Promise<void>): Promise<void> {
  const [{ withStreamRedis }, { createRecords }, { streamPlace }] = await Promise.all([
    import('../pipelineredis.ts'),
    import('../../redis/deadletters/records.ts'),
    import('../../redis/placement.ts'),
  ])
  await withStreamRedis(flags, async ({ pipeline, stream }) => await work(createRecords(stream, streamPlace(pipeline))))
}

/** A replay writes to the queue as consumers do. It chooses their path, and reports a missing right before it begins. */
async function withDeadLetters(flags: DeadFlags, work: (letters: DeadLetters) => Promise<void>): Promise<void> {
  const [{ withPipelineRedis }, { chooseSettlePath }, { createDeadLetters }, { checkReplayRights }] = await Promise.all([
    import('../pipelineredis.ts'),
    import('../../redis/settle/choose.ts'),
    import('../../redis/deadletters/replay.ts'),
    import('../../redis/preflight/permissioncheck.ts'),
  ])
  await withPipelineRedis(flags, async ({ pipeline, stream, queue }) => {
    await checkReplayRights(pipeline, stream)
    const plan = await chooseSettlePath(pipeline, stream, queue)
    try {
      await work(createDeadLetters({ stream, queue, ...plan }))
    } finally {
      await plan.path.close()
    }
  })
}

async function list(letters: Records, flags: DeadFlags, { print, printJson, remark }: Output): Promise<void> {
  const records: DeadLetter[] = []
  for await (const record of letters.list(filterOf(flags))) {
    if (records.length === flags.limit) {
      remark(`these are the oldest ${flags.limit}; --limit COUNT shows more`)
      break
    }
    records.push(record)
  }
  if (flags.output === 'json') return printJson(records.map(plain), 2)
  if (records.length === 0) return print('no dead letters')
  print(row('ID', 'REASON', 'TRIES', 'REPLAYS', 'AGE', 'ERROR'))
  for (const { id, reason, deliveries, redrives, deadAt, error, damage, altered } of records) {
    if (damage !== undefined) print(row(id, 'Damaged', '-', '-', '-', `${damage}; \`dead show ${id}\` prints the rest of it`))
    else {
      const said = altered ? `(altered by its worker) ${error}` : error
      print(row(id, reason ?? '', String(deliveries), String(redrives), formatAge(Date.now() - deadAt), said))
    }
  }
}

async function show(letters: Records, id: string, { printJson }: Output): Promise<void> {
  const record = await letters.show(id)
  if (record === undefined) throw failure('InvalidOption', { option: 'ID', detail: `there is no dead letter ${id}` })
  printJson(plain(record), 2)
}

async function replay(
  letters: DeadLetters,
  ids: readonly string[],
  flags: DeadFlags,
  { print, printJson }: Output,
): Promise<void> {
  const outcomes: ({ readonly record: string } & (ReplayOutcome | { readonly kind: 'would be replayed' }))[] = []
  for (const record of await selected(letters, ids, flags)) {
    const outcome = flags.dryRun
      ? planned(letters, record, flags)
      : await letters.replay(record, { altered: flags.altered === true })
    outcomes.push({ record: record.id, ...outcome })
    if (flags.output === 'text') print(`${record.id}  ${describe(outcome)}`)
  }
  if (flags.output === 'json') printJson(outcomes, 2)
  else if (outcomes.length === 0) print('no dead letters')
}

async function purge(letters: Records, ids: readonly string[], flags: DeadFlags, { print, printJson }: Output): Promise<void> {
  const records = await selected(letters, ids, flags)
  let purged = 0
  for (let at = 0; at < records.length && !flags.dryRun; at += purgedAtOnce) {
    purged += await letters.purge(records.slice(at, at + purgedAtOnce).map(({ id }) => id))
  }
  if (flags.output === 'json') return printJson({ selected: records.length, purged })
  print(flags.dryRun ? `${records.length} would be purged` : `${purged} purged`)
}

/** The records that a command selects. Throws InvalidOption without ids, `--all` or `--reason`, and for ids beside one of these. */
async function selected(letters: Records, ids: readonly string[], flags: DeadFlags): Promise<readonly Selected[]> {
  if (ids.length > 0) {
    if (flags.all || flags.reason !== undefined) {
      throw failure('InvalidOption', { option: 'ID', detail: 'name ids, or select by --reason or --all, not both' })
    }
    const found = await Promise.all([...new Set(ids)].map(async (id) => ({ id, record: await letters.show(id) })))
    const missing = found.find(({ record }) => record === undefined)
    if (missing !== undefined) throw failure('InvalidOption', { option: 'ID', detail: `there is no dead letter ${missing.id}` })
    return found.flatMap(({ record }) => (record === undefined ? [] : [selectedFrom(record)]))
  }
  if (!flags.all && flags.reason === undefined) {
    throw failure('InvalidOption', { option: 'ID', detail: 'name the ids of dead letters, or select them by --reason or --all' })
  }
  // Payloads are dropped: replay and purge need none, and together they may exceed memory.
  return await Array.fromAsync(letters.list(filterOf(flags)), (record) => withoutPayload(selectedFrom(record)))
}

/** A job or a key in the way of a replay shows only when it is tried. */
function planned(letters: DeadLetters, record: Selected, { altered = false }: DeadFlags) {
  const found = letters.refusal(record, { altered })
  if (found !== undefined) return found
  return record.isEmpty ? ({ kind: 'empty' } as const) : ({ kind: 'would be replayed' } as const)
}

type Selected = DeadLetter & { readonly isEmpty: boolean }

const selectedFrom = (record: DeadLetter): Selected => ({
  ...record,
  isEmpty: record.damage === undefined && record.payload.length === 0,
})

const withoutPayload = ({ raw: _, ...record }: Selected): Selected => ({ ...record, payload: [] })

function filterOf({ reason }: DeadFlags) {
  return reason === undefined ? {} : { reason }
}

function describe(outcome: ReplayOutcome | { readonly kind: 'would be replayed' }): string {
  switch (outcome.kind) {
    case 'replayed':
      return `replayed as ${outcome.id}`
    case 'busy':
      return `busy: its job ${outcome.job} waits or runs; try again when the job has ended`
    case 'foreign':
      return `not replayed: ${outcome.message}; ${outcome.remedy}`
    case 'gone':
      return 'gone: another command replayed or purged it meanwhile'
    case 'empty':
      return 'empty: the entry had been trimmed before it became a dead letter, so there is no payload to replay'
    case 'damaged':
      return `damaged: ${outcome.damage}; it cannot be replayed, only purged`
    case 'altered':
      return 'altered: a worker changed the data of its job, and the entry is gone; check the payload with `dead show`, then replay it with --altered'
    case 'would be replayed':
      return outcome.kind
    default:
      return outcome satisfies never
  }
}

/** A record for printing: bytes that are UTF-8 as text, others as base64. */
function plain({ payload, raw, ...record }: DeadLetter): object {
  return {
    ...record,
    deadAt: new Date(record.deadAt).toISOString(),
    firstSeen: new Date(record.firstSeen).toISOString(),
    payload: fieldsOf(payload),
    ...(raw === undefined ? {} : { raw: fieldsOf(raw) }),
  }
}

function fieldsOf(flat: readonly Buffer[]): readonly object[] {
  const readable = flat.map((part) => {
    const text = part.toString('utf8')
    return Buffer.from(text).equals(part) ? text : { base64: part.toString('base64') }
  })
  return readable.flatMap((name, index) => (index % 2 === 0 ? [{ name, value: readable[index + 1] }] : []))
}

/** Characters of an error in the list. `dead show` prints it whole. */
const mostError = 120

/** An error of a worker may hold line breaks. A space reads better there than an escape. */
const inOneLine = (text: string) => text.slice(0, 10 * mostError).replaceAll(/\p{Cc}+/gu, ' ')

function row(id: string, reason: string, tries: string, redrives: string, age: string, error: string): string {
  return `${id.padEnd(21)} ${reason.padEnd(16)} ${tries.padStart(5)} ${redrives.padStart(8)} ${age.padStart(7)}  ${printable(inOneLine(error), mostError)}`
}

function outputOn({ out, err }: Terminal) {
  return {
    print: (text: string) => out(`${printableLines(text)}\n`),
    /** Escapes are JSON's own, so that a reader gets the same values. */
    printJson: (value: unknown, indent?: number) => out(`${printableJson(JSON.stringify(value, undefined, indent))}\n`),
    /** For the reader, and not part of the result. */
    remark: (text: string) => err(`${text}\n`),
  }
}

type Output = ReturnType<typeof outputOn>
