/**
 * Names in commands that a person pastes: into redis-cli, into a shell around it, into an ACL file. A plain name stays bare. Any
 * other is quoted so that redis-cli, the shell and the ACL file each take it for one word. Redis treats single quotes as a shell
 * does.
 */
import { printable } from './printable.ts'

/** Neither a shell nor redis-cli nor an ACL file gives these characters a meaning. */
const plain = /^[\w.:@%+=/,{}-]+$/
/** To a shell, braces around a comma or two dots are a list. */
const expands = /\{[^}]*(?:,|\.\.)[^}]*\}/

const isPlain = (word: string): boolean => plain.test(word) && !expands.test(word)
const isPrintable = (word: string): boolean => printable(word, Number.POSITIVE_INFINITY) === word

/** A word of a redis-cli command. A word with bytes that only redis-cli can spell (`\x1b`) suits its prompt, not a shell. */
export function redisWord(word: string): string {
  if (isPlain(word)) return word
  return isPrintable(word) && !/['\\]/.test(word) ? `'${word}'` : `"${spelt(word, '"')}"`
}

/** A word of a POSIX shell's command line. Control characters have the form that bash, zsh and ksh know. */
export function shellWord(word: string): string {
  if (isPlain(word)) return word
  return isPrintable(word) ? `'${word.replaceAll("'", "'\\''")}'` : `$'${spelt(word, "'")}'`
}

/** Every byte except plain characters, as `\x1b`. Both redis-cli and `$'…'` know this form. */
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
 * backslashes within single quotes. Each byte of such a character becomes `?`, which matches any one byte.
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
