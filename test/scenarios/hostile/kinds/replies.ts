/**
 * Replies of hostile servers, and of other programs: grammar with faults in it, valid replies cut and joined, random bytes. The
 * parser must accept or refuse each within its limits. The result must not depend on the cuts. An accepted reply must equal the
 * written one.
 */

import type { Reply } from '../../../../redis/reply/assembly.ts'
import { lookLimits, type ReplyLimits } from '../../../../redis/reply/limits.ts'
import { createReplyParser } from '../../../../redis/reply/parser.ts'
import { type HostileKind, hostileKind, type Random } from '../kind.ts'

const limits: ReplyLimits = { bytes: 4_096, items: 512, depth: 6, ms: 10_000 }

interface Read {
  readonly replies: readonly unknown[]
  readonly refusal: string | undefined
}

/** @param cuts where the bytes are cut */
export function readAll(
  bytes: Buffer,
  cuts: readonly number[] = [],
  within: ReplyLimits = limits,
): Read & { readonly most: number } {
  const replies: unknown[] = []
  const parser = createReplyParser(within, {
    reply: (value) => void replies.push(plain(value)),
    error: (error) => void replies.push({ error: error.message }),
  })
  let refusal: string | undefined
  let most = 0
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    refusal = parser.write(Buffer.from(bytes.subarray(from, to)))
    most = Math.max(most, parser.held)
    from = to
  }
  return { replies, refusal, most }
}

/** For comparison: texts by their bytes. */
function plain(value: Reply): unknown {
  if (Buffer.isBuffer(value)) return `b:${value.toString('latin1')}`
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Error) return { error: value.message }
  return value
}

function cutsOf(random: Random, length: number): number[] {
  if (random.below(4) === 0) return Array.from({ length: length - 1 }, (_, at) => at + 1)
  return Array.from({ length: random.below(8) }, () => random.below(length + 1)).sort((a, b) => a - b)
}

const lengths = [
  '-1',
  '0',
  '1',
  '2',
  '33554431',
  '4294967296',
  '9007199254740993',
  '-2',
  '-0',
  '',
  '1e3',
  '0x10',
  '01',
  ' 1',
  '+1',
  '?',
]
const types = [
  '+',
  '-',
  ':',
  '$',
  '*',
  '_',
  '#',
  ',',
  '(',
  '!',
  '=',
  '%',
  '~',
  '>',
  '|',
  ';',
  '.',
  '\u0000',
  '\r',
  '\n',
  'P',
  '<',
]

/** One reply, sound unless `faulty`. */
export function writeReply(random: Random, depth: number, faulty: boolean): string {
  if (faulty && random.below(12) === 0) return fault(random)
  const end = '\r\n'
  const some = (count: number) => Array.from({ length: count }, () => writeReply(random, depth - 1, faulty)).join('')
  switch (random.below(depth > 0 ? 14 : 10)) {
    case 0:
      return `+${word(random)}${end}`
    case 1:
      return `-ERR ${word(random)}${end}`
    case 2:
      return `:${random.pick(['', '-', '+'])}${random.below(2 ** 31)}${end}`
    case 3:
    case 4: {
      const text = random.bytes(random.below(40)).toString('latin1')
      return `$${text.length}${end}${text}${end}`
    }
    case 5:
      return random.pick([`$-1${end}`, `*-1${end}`, `_${end}`])
    case 6:
      return `#${random.pick(['t', 'f'])}${end}`
    case 7:
      return `,${random.pick(['1.5', '-3e10', 'inf', '-inf', 'nan', '10'])}${end}`
    case 8:
      return `(${random.pick(['', '-'])}${'9'.repeat(1 + random.below(60))}${end}`
    case 9: {
      const text = `txt:${word(random)}`
      return random.pick([`=${text.length}${end}${text}${end}`, `!${text.length}${end}${text}${end}`])
    }
    case 10: {
      const count = random.below(3)
      return `%${count}${end}${some(2 * count)}`
    }
    default: {
      const count = random.below(5)
      return `${random.pick(['*', '~'])}${count}${end}${some(count)}`
    }
  }
}

const word = (random: Random) => random.pick(['OK', 'PONG', '', 'a b', 'QUEUED', '__proto__', 'é'])

function fault(random: Random): string {
  const end = random.pick(['\r\n', '\n', '\r', '', '\r\r\n'])
  switch (random.below(6)) {
    case 0:
      return `${random.pick(types)}${random.pick(lengths)}${end}`
    case 1:
      return `*1\r\n`.repeat(random.below(40))
    case 2:
      return `${random.pick(types)}${'x'.repeat(random.below(300))}${end}`
    case 3:
      return `$${random.below(10)}${end}${'y'.repeat(random.below(20))}${end}`
    case 4:
      return random.bytes(random.below(30)).toString('latin1')
    default:
      return `${random.pick(['>', '|'])}${random.below(4)}\r\n_\r\n`
  }
}

/** Every value costs something: a million of nothing is much. */
const mostHeld = (within: ReplyLimits) => 3 * within.bytes + within.items * 128

const sameWhateverTheCut: HostileKind = hostileKind({
  name: 'replies',
  weight: 12,
  draw(random) {
    const text = Array.from({ length: 1 + random.below(4) }, () => writeReply(random, 4, true)).join('')
    const bytes = Buffer.from(text, 'latin1')
    return { bytes, cuts: cutsOf(random, bytes.length) }
  },
  judge({ bytes, cuts }) {
    const whole = readAll(bytes)
    const cut = readAll(bytes, cuts)
    const sum = ({ replies, refusal }: Read) => JSON.stringify([replies, refusal !== undefined])
    if (sum(whole) !== sum(cut)) return `cut it reads as ${sum(cut)}, whole as ${sum(whole)}`
    const most = Math.max(whole.most, cut.most)
    return most > mostHeld(limits) ? `it holds ${most} bytes` : undefined
  },
})

const bytesAtRandom: HostileKind = hostileKind({
  name: 'bytes',
  weight: 6,
  draw: (random) => random.bytes(1 + random.below(200)),
  judge(bytes) {
    const { refusal, most } = readAll(bytes, [], lookLimits)
    // Random bytes never make all replies of a look.
    return most > 1_000 && refusal === undefined ? `it holds ${most} bytes` : undefined
  },
})

const flipped: HostileKind = hostileKind({
  name: 'flipped replies',
  weight: 4,
  draw(random) {
    const bytes = Buffer.from(writeReply(random, 5, false), 'latin1')
    for (let flips = random.below(4); flips >= 0; flips--) bytes[random.below(bytes.length)] = random.below(256)
    return bytes
  },
  judge(bytes) {
    const { most } = readAll(bytes)
    return most > mostHeld(limits) ? `it holds ${most} bytes` : undefined
  },
})

export const replyKinds: readonly HostileKind[] = [sameWhateverTheCut, bytesAtRandom, flipped]
