/**
 * A kind of hostile input: its generator from a seed, and the judge of its effect. `npm test` tries a seeded share of each kind,
 * `npm run trial -- --hostile` tries many. A new kind is a file in `kinds/` and a line in `kinds/all.ts`.
 */
import type { createRandom } from './payloads.ts'

export type Random = ReturnType<typeof createRandom>

interface KindParts<Input> {
  readonly name: string
  /** How often it is tried beside others; default 1. Kinds with a slow judge have less. */
  readonly weight?: number
  readonly draw: (random: Random) => Input
  /** @returns the harm that it did; undefined: none. An exception is harm, too. */
  readonly judge: (input: Input) => string | undefined
}

export interface HostileKind {
  readonly name: string
  readonly weight: number
  /** Draws one and has it judged. @returns the harm with the input, for finding the cause; undefined: none */
  attempt(random: Random): string | undefined
}

export function hostileKind<Input>({ name, weight = 1, draw, judge }: KindParts<Input>): HostileKind {
  return {
    name,
    weight,
    attempt(random) {
      const input = draw(random)
      const harm = harmOf(() => judge(input))
      return harm === undefined ? undefined : `${name}: ${harm}; the input was ${shown(input)}`
    },
  }
}

function harmOf(judge: () => string | undefined): string | undefined {
  try {
    return judge()
  } catch (thrown) {
    return `it threw ${thrown instanceof Error ? thrown.stack : String(thrown)}`
  }
}

const longestShown = 2_000

function shown(input: unknown): string {
  const text = Buffer.isBuffer(input) ? JSON.stringify(input.toString('latin1')) : JSON.stringify(input, plain)
  return text.length > longestShown ? `${text.slice(0, longestShown)}… (${text.length} characters)` : text
}

const plain = (_: string, value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString('latin1') : value)

/** Mixes kinds by weight, from one seed. */
export function tryKinds(kinds: readonly HostileKind[], random: Random, inputs: number): TriedKinds {
  const tried: Record<string, number> = {}
  const harms: string[] = []
  const whole = kinds.reduce((sum, { weight }) => sum + weight, 0)
  for (let n = 0; n < inputs; n++) {
    let at = random.next() * whole
    const kind = kinds.find(({ weight }) => {
      at -= weight
      return at < 0
    })
    if (kind === undefined) break
    tried[kind.name] = (tried[kind.name] ?? 0) + 1
    const harm = kind.attempt(random)
    if (harm !== undefined) harms.push(harm)
  }
  return { tried, harms }
}

export interface TriedKinds {
  /** Inputs by kind. */
  readonly tried: Readonly<Record<string, number>>
  readonly harms: readonly string[]
}
