/** The faults at the end of a point. */
import type { DeadLetter } from '../../../redis/record.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import type { World } from './rig.ts'
import type { Play } from './scene.ts'
import type { Executed } from './worker.ts'

export interface Problem {
  /** `queue`: it is not as if nothing had been refused. `right`: the documented ones do not suffice. */
  readonly kind: 'lost' | 'duplicate' | 'record' | 'ledger' | 'mark' | 'queue' | 'right' | 'other'
  readonly text: string
}

/** @param taken the right that was taken away for a while */
export async function problemsOf(world: World, play: Play, executed: Executed, taken?: string): Promise<readonly Problem[]> {
  const { path } = world
  const { jobs, records = [], marks = [] } = play.expected
  const problems: Problem[] = []
  for (const { id, consumer } of await path.pending()) problems.push({ kind: 'lost', text: `${id} stays pending at ${consumer}` })
  problems.push(...differences(executed, new Map(Object.entries(jobs)), 'job of', 'duplicate'))
  const found = counted((await path.dead()).map((record) => `${record.reason} ${labelOf(record, play)}`))
  problems.push(...differences(found, counted(records), 'record', 'record'))
  for (const key of marks) {
    if ((await path.queueClient.exists(path.mark(key))) === 0) problems.push({ kind: 'mark', text: `${key} has no mark` })
  }
  problems.push(...(await ledgerProblems(world, play)))
  for (const text of (await play.problems?.()) ?? []) problems.push({ kind: 'other', text })
  for (const text of (await world.denied(taken)).genuine) {
    problems.push({ kind: 'right', text: `the documented rights lack ${text}` })
  }
  return problems
}

function differences(
  found: ReadonlyMap<string, number>,
  expected: ReadonlyMap<string, number>,
  what: string,
  more: 'duplicate' | 'record',
): Problem[] {
  return [...new Set([...found.keys(), ...expected.keys()])].flatMap((name): Problem[] => {
    const [is, should] = [found.get(name) ?? 0, expected.get(name) ?? 0]
    if (is === should) return []
    return [{ kind: is < should ? 'lost' : more, text: `${what} ${name}: ${is}, not ${should}` }]
  })
}

const counted = (names: readonly string[]) => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

function labelOf({ payload, originalId }: DeadLetter, { labels }: Play): string {
  const known = labels?.get(originalId)
  if (known !== undefined) return known
  const at = payload.findIndex((part, index) => index % 2 === 0 && ['k', 'label'].includes(String(part)))
  return at === -1 ? originalId : String(payload[at + 1])
}

async function ledgerProblems({ path, consumer }: World, { expected }: Play): Promise<Problem[]> {
  const { lost = 0, uncounted = 0 } = expected
  const reported = await auditLedger(consumer.stream, path.place)
  const { settled = 0, trimmedPending = 0 } = await path.stream.hgetall(path.place.keys.stats)
  const info = (await path.stream.xinfo('STREAM', path.place.stream)) as unknown[]
  const added = Number(info[info.indexOf('entries-added') + 1]) - uncounted
  const sum = Number(settled) + Number(trimmedPending) + lost
  const problems: Problem[] = []
  if (reported !== lost) problems.push({ kind: 'ledger', text: `the ledger says ${reported} lost, not ${lost}` })
  if (sum !== added) problems.push({ kind: 'ledger', text: `the ledger counts ${sum} entries, not ${added}` })
  return problems
}
