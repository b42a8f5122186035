/**
 * A script's text with a prologue that counts its calls, and has one refused by the server itself: the call at the chosen number
 * becomes one that the user may not send, or one of a key of another type.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** BullMQ's own scripts by name, as the installed package has them. */
export type BullTexts = ReadonlyMap<string, string>

export interface Instrumented {
  readonly name: string
  readonly text: string
}

const prologue = readFileSync(new URL('./prologue.lua', import.meta.url), 'utf8')
/** The only parts of BullMQ that stand inside scripts of ours. */
const composed = ['addStandardJob', 'addDelayedJob', 'addPrioritizedJob', 'removeJob']

export function instrumented(text: string, bull: BullTexts): Instrumented {
  const own = /^-- (\w+)\n/.exec(text)?.[1]
  const theirs = [...bull].find(([, known]) => known === text)?.[0]
  if (own === undefined)
    return { name: `bullmq ${theirs ?? text.slice(0, 40)}`, text: `${prologue}local redis = redisOfBull\n${text}` }
  const reported = composed.reduce((whole, name) => {
    const part = bull.get(name)
    return part === undefined ? whole : whole.replaceAll(part, () => `local redis = redisOfBull\n${part}`)
  }, text)
  return { name: own, text: prologue + reported }
}

export const shaOf = (text: string | Buffer): string => createHash('sha1').update(text).digest('hex')
