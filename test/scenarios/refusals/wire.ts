/**
 * The way on which scripts are refused: proxies in front of the servers that know each script by its text and name, and send one of
 * them instrumented. A script that a proxy has not seen yet is answered with NOSCRIPT, so that the client sends its text.
 */

import { startRewritingProxy } from '../../support/proxy.ts'
import type { RedisServer } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { type Command, encoded, wordsOf } from '../crash/commands.ts'
import { type BullTexts, type Instrumented, instrumented, shaOf } from './instrument.ts'

/**
 * `NOPERM` and `WRONGTYPE` refuse one call within one run of a script. The others begin before a run and last: the server is out of
 * memory (`OOM`) or a replica (`READONLY`), or the user lacks the right to a command (`RIGHT`).
 */
export type Kind = 'NOPERM' | 'WRONGTYPE' | 'OOM' | 'READONLY' | 'RIGHT'

export interface Aim {
  readonly kind: Kind
  readonly script: string
  /** Which run of that script, from 1 on. */
  readonly run: number
  /** Which call of the run, from 1 on; 0 for all. */
  readonly call: number
  /** The right that is taken away, as ACL rules name it. */
  readonly right?: string
}

export interface Wire {
  /** In the order of the servers. */
  readonly ports: readonly number[]
  /** Counts runs anew. `trace`: every call of every script shows in the ACL log. */
  arm(aim: Aim | 'trace'): void
  /** Lets everything through as it is. */
  disarm(): void
  /** Whether the run that was aimed at came. */
  readonly met: boolean
}

interface WireParts {
  readonly servers: readonly RedisServer[]
  readonly bull: BullTexts
  /** A key that holds a string, which the user may read, in the slot of the server's data. */
  readonly litter: (server: number) => string
  /** Makes the server refuse in the way of this kind. */
  readonly strike: (kind: Kind, server: number, command: string) => Promise<void>
}

/** Known to no server. */
const unknownSha = '0'.repeat(40)

export async function openWire(scope: Scope, { servers, bull, litter, strike }: WireParts): Promise<Wire> {
  const known = new Map<string, Instrumented & { readonly original: string }>()
  let aim: Aim | 'trace' | undefined
  let met = false
  let runs = new Map<string, number>()

  const learn = (text: string) => {
    const sha = shaOf(text)
    if (!known.has(sha)) known.set(sha, { ...instrumented(text, bull), original: text })
    return sha
  }

  const fired = (command: Command, rest: readonly Buffer[], script: string, server: number) => {
    const found = known.get(script)
    if (found === undefined || aim === undefined) return command.bytes
    const { name, text, original } = found
    // A server that has seen only instrumented texts would answer NOSCRIPT, and the second attempt would count as another run.
    const asItIs = () => encoded(['EVAL', original, ...rest])
    const run = (runs.get(name) ?? 0) + 1
    runs.set(name, run)
    const send = (control: string) => encoded(['EVAL', text, ...rest, `${control} ${litter(server)} ${name}|${run}`])
    if (aim === 'trace') return send('TRACE 0')
    if (aim.script !== name || aim.run !== run) return asItIs()
    met = true
    if (aim.call > 0) return send(`${aim.kind} ${aim.call}`)
    return strike(aim.kind, server, aim.right ?? '').then(asItIs)
  }

  const rewrite = (command: Command, server: number): Buffer | Promise<Buffer> => {
    const [verb, object] = command.words
    if (verb === 'SCRIPT' && object === 'LOAD') learn(String(wordsOf(command)[2]))
    if (verb !== 'EVAL' && verb !== 'EVALSHA') return command.bytes
    const [, script, ...rest] = wordsOf(command)
    const reported = String(script)
    const sha = verb === 'EVAL' ? learn(reported) : reported
    return known.has(sha) ? fired(command, rest, sha, server) : encoded(['EVALSHA', unknownSha, ...rest])
  }

  const ports: number[] = []
  for (const [index, server] of servers.entries()) {
    ports.push((await startRewritingProxy(scope, server, (command) => rewrite(command, index))).port)
  }
  return {
    ports,
    arm(next) {
      aim = next
      met = false
      runs = new Map()
    },
    disarm() {
      aim = undefined
    },
    get met() {
      return met
    },
  }
}
