/** Every call of every script that writes, refused by a real server, on every path; or a share of them. */
import type { AddWay } from '../../redis/bullmq/specialisedadd.ts'
import type { PathKind } from '../../redis/settle/path.ts'
import { type PointTried, tryPoints } from '../../test/scenarios/refusals/points.ts'
import type { Scope } from '../../test/support/scope.ts'

interface RefusalsResult {
  readonly ok: boolean
  readonly points: number
  readonly failed: number
  /** Points at which an entry or a job was lost, made twice, or recorded twice. */
  readonly lost: number
  readonly duplicates: number
  readonly records: number
  /** Points after which only BullMQ's event stream differs from a run without a refusal. */
  readonly events: number
  readonly seed: number
  readonly seconds: number
  readonly failures: readonly { readonly point: string; readonly why: readonly string[] }[]
}

interface RefusalsPlan {
  readonly seed: number
  readonly share: number
  readonly paths: readonly PathKind[]
  readonly only?: string
  readonly add?: AddWay
}

export async function tryRefusals(scope: Scope, plan: RefusalsPlan, progress: (line: string) => void): Promise<RefusalsResult> {
  const begun = performance.now()
  const all: PointTried[] = []
  const note = (tried: PointTried) => {
    all.push(tried)
    const { problems, events } = tried
    const ended = problems.length > 0 ? `FAILED ${textsOf(tried).join('; ')}` : ['ok', ...events].join(', but ')
    progress(`${tried.scene}: ${tried.point}: ${ended}`)
  }
  // Each path has servers of its own.
  await Promise.all(plan.paths.map((path) => tryPoints(scope, { ...plan, paths: [path] }, note)))
  const failures = all.filter(({ problems }) => problems.length > 0)
  const having = (kind: string) => failures.filter(({ problems }) => problems.some((problem) => problem.kind === kind)).length
  return {
    ok: failures.length === 0,
    points: all.length,
    failed: failures.length,
    lost: having('lost'),
    duplicates: having('duplicate'),
    records: having('record'),
    events: all.filter(({ problems, events }) => problems.length === 0 && events.length > 0).length,
    seed: plan.seed,
    seconds: Math.round((performance.now() - begun) / 1_000),
    failures: failures.map((tried) => ({ point: `${tried.scene}: ${tried.point}`, why: textsOf(tried) })),
  }
}

const textsOf = ({ problems }: PointTried) => problems.map(({ kind, text }) => `${kind}: ${text}`)
