/**
 * One process behind the wall, from its parent's side. It ends once: by itself, by an exception, out of memory, or killed here because it
 * gave no sign of life or grew too large.
 *
 *   Running ──exit | silence | size──▶ Ending ──exit──▶ Ended        `end()` leads there, too
 */
import type { ChildProcess } from 'node:child_process'
import { printable } from '../../api/printable.ts'
import type { Clock } from '../../process/clock.ts'
import { type ProgramName, startProgram } from './program.ts'

/** The sign of life that every program sends twice a second. */
export interface Beat {
  readonly kind: 'Beat'
  readonly residentBytes: number
}

interface ChildParts<From> {
  readonly program: ProgramName
  /** Folder of the bundled program; default: beside this one. */
  readonly programs?: string | undefined
  readonly clock: Clock
  /** A process without a beat for so long hangs. */
  readonly silenceMs: number
  readonly mostBytes: number
  /** Called once, when the process listens. Earlier messages wait, and may be outdated by then. */
  readonly onReady: () => void
  readonly onMessage: (message: From) => void
  /** Called once, when the process is gone. */
  readonly onEnd: (end: ChildEnd) => void
}

export interface ChildEnd {
  /** The cause for people. It names nothing that a tenant wrote. Undefined: the process was asked to end. */
  readonly why: string | undefined
  /** The last output of the process, for the operator's log only: it may name keys of other tenants. Empty: there was none. */
  readonly output: string
}

export interface Child<To> {
  send(message: To): void
  /** Asks the process to end, and kills it after `graceMs`. Resolves when it is gone. Idempotent. */
  end(graceMs: number): Promise<void>
}

const checkEveryMs = 500
/** Longest time until the process listens. */
const startMs = 30_000
/** Longest wait for the last output of a process that has ended. */
const lastOutputMs = 1_000
/** Characters of its last output that are kept. After the cause of a fatal error V8 prints a long native stack. */
const longestWords = 16_000
/** Characters of the output in `ChildEnd`. */
const longestOutput = 2_000

export function startChild<To, From extends { readonly kind: string }>(parts: ChildParts<From>): Child<To> {
  const { clock, silenceMs, mostBytes, onReady, onMessage, onEnd } = parts
  const program = startProgram(parts.program, parts.programs)
  const ended = Promise.withResolvers<void>()
  let why: string | undefined
  let asked = false
  let gone = false
  let ready = false
  let heardMs = clock.now()
  let checkedMs = clock.now()
  const words = lastWords(program)

  const kill = (reason: string) => {
    why ??= reason
    program.kill('SIGKILL')
  }

  let cancelCheck = () => {}
  function check(): void {
    const now = clock.now()
    // If this process itself stood still, the machine did, too, and beats may be unread.
    if (now - checkedMs > 2 * checkEveryMs) heardMs = now
    checkedMs = now
    const longestMs = ready ? silenceMs : startMs
    if (now - heardMs > longestMs) kill(`it gave no sign of life for ${Math.round(longestMs / 1000)} s`)
    cancelCheck = clock.after(checkEveryMs, check)
  }
  cancelCheck = clock.after(checkEveryMs, check)

  program.on('message', (message: Beat | From) => {
    heardMs = clock.now()
    if (!ready) {
      ready = true
      onReady()
    }
    if (isBeat(message)) {
      if (message.residentBytes > mostBytes) kill(`it held ${Math.round(message.residentBytes / 2 ** 20)} MiB`)
    } else if (!gone) onMessage(message)
  })
  const finish = (reason: string) => {
    if (gone) return
    gone = true
    cancelCheck()
    ended.resolve()
    onEnd({ why: asked ? undefined : (why ?? reason), output: printable(causeIn(words()), longestOutput) })
  }
  program.on('error', (error) => {
    if (program.pid === undefined) finish(`it cannot be started: ${error.message}`)
    // A failed kill is such an error, too, and must not lead to another.
    else if (why === undefined) kill(`it cannot be controlled: ${error.message}`)
  })
  program.once('exit', (code, signal) => {
    const settle = () => finish(endOf(code, signal, words()))
    // The last output may arrive after the end of the process.
    if (program.stderr === null || program.stderr.closed) return settle()
    program.stderr.once('close', settle)
    cancelCheck()
    cancelCheck = clock.after(lastOutputMs, settle)
  })

  return {
    send(message) {
      // A message to a process that is about to end is lost anyway.
      if (program.connected) program.send(message as object, ignoreLost)
    },
    async end(graceMs) {
      if (gone) return
      asked = true
      if (program.connected) program.disconnect()
      const cancel = clock.after(graceMs, () => void program.kill('SIGKILL'))
      await ended.promise
      cancel()
    },
  }
}

/** The event `exit` reports the end of the process. */
function ignoreLost() {}

const isBeat = (message: { readonly kind: string }): message is Beat => message.kind === 'Beat'

function lastWords(program: ChildProcess): () => string {
  let words = ''
  program.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = `${words}${text}`.slice(-longestWords)
  })
  return () => words
}

function causeIn(words: string): string {
  const fatal = words.indexOf('FATAL ERROR')
  return (fatal === -1 ? words.slice(-longestOutput) : words.slice(fatal)).trim()
}

function endOf(code: number | null, signal: NodeJS.Signals | null, words: string): string {
  const outOfMemory = /heap out of memory|invalid array length|Allocation failed/i.test(words)
  if (outOfMemory) return 'it ran out of memory'
  return signal === null ? `it ended with code ${code}` : `it ended by ${signal}`
}
