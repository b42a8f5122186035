/** Boundaries of one path in turn, each with a consumer in this process whose wire is cut there. */
import type { TestContext } from 'node:test'
import type { PathKind } from '../../../redis/settle/path.ts'
import { startRedis } from '../../support/redis.ts'
import { prepareCrashes } from './attempt.ts'
import { insideVictims } from './victim.ts'
import type { Boundary } from './wire.ts'

export const reported = ({ index, side }: Boundary) => `${side} command ${index}`

interface Cuts {
  readonly first: number
  readonly stride: number
  /** Whether entries carry options of their own. */
  readonly ownOptions: boolean
}

/** Returns those that were reached, with the command there. Throws for whatever is lost or doubled. */
export async function cutInTurn(t: TestContext, path: PathKind, { first, stride, ownOptions }: Cuts): Promise<readonly string[]> {
  const servers = [await startRedis(t), await startRedis(t)]
  const crashes = await prepareCrashes(path, servers, insideVictims(), ownOptions)
  t.after(crashes.close)
  const tried: string[] = []
  for (let index = first, ended = false; !ended; index += stride) {
    for (const side of ['before', 'after'] as const) {
      const cut = await failingAt({ index, side }, crashes.at)
      ended ||= cut === undefined
      if (cut !== undefined) tried.push(`${side} ${index} ${cut.command}`)
    }
  }
  return tried
}

/** Adds the boundary to the message of an exception. */
export async function failingAt<T>(boundary: Boundary, work: (boundary: Boundary) => Promise<T>): Promise<T> {
  try {
    return await work(boundary)
  } catch (thrown) {
    throw new Error(`killed ${reported(boundary)}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown,
    })
  }
}
