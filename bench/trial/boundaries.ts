/** Every command boundary of a consumer's run, before and after, on every path, with real processes that get SIGKILL. */
import type { PathKind } from '../../redis/settle/path.ts'
import { pathKinds } from '../../test/scenarios/crash/assemble.ts'
import { prepareCrashes } from '../../test/scenarios/crash/attempt.ts'
import { processVictims } from '../../test/scenarios/crash/victim.ts'
import type { Side } from '../../test/scenarios/crash/wire.ts'
import { startRedis } from '../../test/support/redis.ts'
import type { Scope } from '../../test/support/scope.ts'

interface BoundaryTried {
  readonly path: PathKind
  readonly index: number
  readonly side: Side
  /** The command there. */
  readonly command: string
  /** Lost, doubled or leftover data; undefined: none. */
  readonly failure?: string
}

interface BoundariesResult {
  readonly ok: boolean
  readonly tried: number
  readonly failed: number
  readonly byPath: Readonly<Record<string, number>>
  /** Whether entries carried options of their own. */
  readonly ownOptions: boolean
  readonly boundaries: readonly BoundaryTried[]
  readonly seconds: number
}

export async function tryBoundaries(
  scope: Scope,
  progress: (line: string) => void,
  paths: readonly PathKind[] = pathKinds,
  ownOptions = false,
): Promise<BoundariesResult> {
  const begun = performance.now()
  const servers = [await startRedis(scope), await startRedis(scope)]
  const victims = processVictims()
  scope.after(victims.close)
  const boundaries: BoundaryTried[] = []
  for (const path of paths) {
    const crashes = await prepareCrashes(path, servers, victims, ownOptions)
    // The run's length varies by a few commands: it has ended when neither side of a boundary is reached any more.
    for (let index = 0, ended = false; !ended; index++) {
      ended = true
      for (const side of ['before', 'after'] as const) {
        const tried = await tryOne(() => crashes.at({ index, side }))
        if (tried === undefined) continue
        ended = false
        boundaries.push({ path, index, side, ...tried })
        progress(`${path} ${side} ${index} ${tried.command}${tried.failure === undefined ? '' : ` FAILED ${tried.failure}`}`)
      }
    }
    await crashes.close()
  }
  const failed = boundaries.filter(({ failure }) => failure !== undefined).length
  const byPath = Object.fromEntries(paths.map((path) => [path, boundaries.filter((tried) => tried.path === path).length]))
  const seconds = Math.round((performance.now() - begun) / 1_000)
  return { ok: failed === 0 && boundaries.length > 0, tried: boundaries.length, failed, byPath, ownOptions, boundaries, seconds }
}

async function tryOne(
  attempt: () => Promise<{ readonly command: string } | undefined>,
): Promise<{ readonly command: string; readonly failure?: string } | undefined> {
  try {
    const cut = await attempt()
    return cut === undefined ? undefined : { command: cut.command }
  } catch (thrown) {
    return { command: 'unknown', failure: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}
