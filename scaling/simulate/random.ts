/** Seeded randomness: the same seed gives the same run on any machine. */

/** Uniform in [0, 1). */
export type Random = () => number

/** sfc32, seeded by a splitmix of the number and a name, so that each purpose has a sequence of its own. */
export function createRandom(seed: number, purpose: string): Random {
  let mixed = seed >>> 0
  for (const character of purpose) mixed = Math.imul(mixed ^ character.charCodeAt(0), 2654435761) >>> 0
  const next = (): number => {
    mixed = (mixed + 0x9e3779b9) >>> 0
    let z = mixed
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  let [a, b, c, counter] = [next(), next(), next(), 1]
  const random = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 12; i++) random()
  return random
}

export const exponential = (random: Random): number => -Math.log(1 - random())

/** Standard normal, by Box and Muller. */
export const normal = (random: Random): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
