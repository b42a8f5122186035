/** Splits the output of a Redis client into commands: RESP arrays of bulk strings, the only form that ioredis sends. */

export interface Command {
  /** `EVALSHA`, `CLIENT ID`; a defined script shows as the client calls it. */
  readonly name: string
  /** The first two words, in capitals. The second is the subcommand, as in `CLIENT|ID`. */
  readonly words: readonly [verb: string, object: string]
  /** The bytes as sent. */
  readonly bytes: Buffer
}

export interface CommandSplitter {
  /** Every command that is complete now. Throws for other forms than an array of bulk strings. */
  push(chunk: Buffer): readonly Command[]
}

const twoWords: ReadonlySet<string> = new Set(['CLIENT', 'XGROUP', 'XINFO', 'CONFIG', 'SCRIPT', 'FUNCTION'])

export function createSplitter(): CommandSplitter {
  let rest: Buffer = Buffer.alloc(0)

  const number = (text: Buffer, at: number): { readonly value: number; readonly next: number } | undefined => {
    const end = text.indexOf('\r\n', at)
    return end === -1 ? undefined : { value: Number(text.toString('latin1', at + 1, end)), next: end + 2 }
  }

  const first = (): Command | undefined => {
    if (rest.length === 0) return undefined
    if (rest[0] !== 0x2a) throw new Error(`not a command: ${JSON.stringify(rest.toString('latin1', 0, 40))}`)
    const count = number(rest, 0)
    if (count === undefined) return undefined
    let at = count.next
    const words: string[] = []
    for (let i = 0; i < count.value; i++) {
      const length = at < rest.length ? number(rest, at) : undefined
      if (length === undefined || rest.length < length.next + length.value + 2) return undefined
      if (i < 2) words.push(rest.toString('latin1', length.next, length.next + Math.min(length.value, 40)))
      at = length.next + length.value + 2
    }
    const bytes = rest.subarray(0, at)
    rest = rest.subarray(at)
    const [verb = '', object = ''] = words
    const named = [verb.toUpperCase(), object.toUpperCase()] as const
    return { name: twoWords.has(named[0]) ? named.join(' ') : named[0], words: named, bytes }
  }

  return {
    push(chunk) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const commands: Command[] = []
      for (let command = first(); command !== undefined; command = first()) commands.push(command)
      return commands
    },
  }
}

/** All words of a command as the splitter gives it. */
export function wordsOf({ bytes }: Command): readonly Buffer[] {
  const words: Buffer[] = []
  for (let at = bytes.indexOf('\r\n') + 2; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at)
    const length = Number(bytes.toString('latin1', at + 1, end))
    words.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
  return words
}

/** A command as a client sends it. */
export function encoded(words: readonly (string | Buffer)[]): Buffer {
  const parts = words.flatMap((word) => [`$${Buffer.byteLength(word)}\r\n`, word, '\r\n'])
  return Buffer.concat([`*${words.length}\r\n`, ...parts].map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}
