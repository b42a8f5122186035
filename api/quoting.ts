/**
 * Names in commands that a person pastes: into redis-cli, into a shell around it, into an ACL file. A plain name stays bare; any
 * other is quoted so that each of them reads one word. Redis splits lines as a shell does where single quotes are concerned.
 */

/** Nothing in it means anything to a shell, to redis-cli or to an ACL file. */
const plain = /^[\w.:@%+=/,{}-]+$/
/** Braces around a comma or two dots are a list to a shell. */
const expands = /\{[^}]*(?:,|\.\.)[^}]*\}/
/** Within single quotes redis-cli and a shell agree on these. */
const quotable = /^[\x20-\x26\x28-\x5b\x5d-\x7e]*$/
/** A CI runner that logs the command would take it for one of its own. */
const runnerCommand = /##[\w-]*\[/

const isPlain = (word: string): boolean => plain.test(word) && !expands.test(word)

/** A word of a redis-cli command. One with bytes that only redis-cli can spell (`\x1b`) is for its prompt, not for a shell. */
export function redisWord(word: string): string {
  if (isPlain(word)) return word
  return quotable.test(word) && !runnerCommand.test(word) ? `'${word}'` : `"${spelt(word, '"')}"`
}

/** A word of a POSIX shell's command line; control characters in the form that bash, zsh and ksh know. */
export function shellWord(word: string): string {
  if (isPlain(word)) return word
  if (/^[\x20-\x7e]*$/.test(word) && !runnerCommand.test(word)) return `'${word.replaceAll("'", "'\\''")}'`
  return `$'${spelt(word, "'")}'`
}

/** Every byte that is not plainly itself as `\x1b`, which redis-cli and `$'…'` know both. */
function spelt(word: string, quote: string): string {
  const spell = (byte: number) => {
    const char = String.fromCharCode(byte)
    if (char === quote || char === '\\') return `\\${char}`
    return byte >= 0x20 && byte < 0x7f && char !== '#' ? char : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return [...Buffer.from(word)].map(spell).join('')
}

/**
 * A key as an ACL pattern that matches it. Redis takes no pattern with white space, and a line of an ACL file cannot spell quotes and
 * backslashes within single quotes: each such byte becomes `?`, which matches any one byte.
 */
export function aclPattern(key: string): string {
  return [...Buffer.from(key)]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      if (byte <= 0x20 || byte >= 0x7f || char === "'" || char === '"' || char === '\\') return '?'
      return /[*?[\]^]/.test(char) ? `\\${char}` : char
    })
    .join('')
}

/** A rule of an ACL, `~pattern` or `+command`, for a line of an ACL file and for a shell. */
export function aclRule(rule: string): string {
  return /^[~+][\w.:@%+=/,{}*|-]+$/.test(rule) && !expands.test(rule) ? rule : `'${rule}'`
}
