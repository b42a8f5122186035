/**
 * Names in commands that a person pastes: into redis-cli, into a shell around it, into an ACL file. A plain name stays bare; any
 * other is quoted so that each of them reads one word. Redis splits lines as a shell does where single quotes are concerned.
 */
import { printable } from './printable.ts'

/** Nothing in it means anything to a shell, to redis-cli or to an ACL file. */
const plain = /^[\w.:@%+=/,{}-]+$/
/** Braces around a comma or two dots are a list to a shell. */
const expands = /\{[^}]*(?:,|\.\.)[^}]*\}/

const isPlain = (word: string): boolean => plain.test(word) && !expands.test(word)
const isPrintable = (word: string): boolean => printable(word, Number.POSITIVE_INFINITY) === word

/** A word of a redis-cli command. One with bytes that only redis-cli can spell (`\x1b`) is for its prompt, not for a shell. */
export function redisWord(word: string): string {
  if (isPlain(word)) return word
  return isPrintable(word) && !/['\\]/.test(word) ? `'${word}'` : `"${spelt(word, '"')}"`
}

/** A word of a POSIX shell's command line; control characters in the form that bash, zsh and ksh know. */
export function shellWord(word: string): string {
  if (isPlain(word)) return word
  return isPrintable(word) ? `'${word.replaceAll("'", "'\\''")}'` : `$'${spelt(word, "'")}'`
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
 * backslashes within single quotes: each byte of such a character becomes `?`, which matches any one byte.
 */
export function aclPattern(key: string): string {
  const patternOf = (char: string) => {
    if (/[*?[\]^]/.test(char)) return `\\${char}`
    return /[\s'"\\]/.test(char) || !isPrintable(char) ? '?'.repeat(Buffer.byteLength(char)) : char
  }
  return [...key].map(patternOf).join('')
}

/** A rule of an ACL, `~pattern` or `+command`, for a line of an ACL file and for a shell. */
export function aclRule(rule: string): string {
  return /^[~+][\w.:@%+=/,{}*|-]+$/.test(rule) && !expands.test(rule) ? rule : `'${rule}'`
}
