/**
 * Bounded waiting. A call that takes too long fails, but its command cannot be called back. The command stays in a socket or in the
 * client's queue while Redis is away, and runs afterwards. So unanswered payloads are counted. Beyond a bound, one call at a time passes as
 * a probe; the others fail before anything is sent. The first answer ends that, a refusal included. An outage then neither grows the process without end, nor
 * ends in a flood of old work.
 */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { replyCode } from '../redis/connect/replies.ts'

/** Payloads of calls that failed as unreachable since the last answer. From this number on, calls pass one at a time. */
export const maxUnanswered = 1_000

interface Deadline {
  /**
   * Runs `work` for at most the time limit. Throws RedisUnreachable at the limit, or at once while too much is unanswered. Commands that
   * `work` sent may still run afterwards. The signal aborts a little earlier, so that work that waits for something other than Redis fails
   * with its own error. It is made when it is asked for, since a signal with a timer costs as much as a small command.
   */
  run<T>(payloads: number, work: (signal: () => AbortSignal) => Promise<T>): Promise<T>
}

/** @param label what may be shown of the server */
export function createDeadline(timeoutMs: number, label: () => string): Deadline {
  let unanswered = 0
  let running = 0
  const unreachable = (detail: string) => failure('RedisUnreachable', { address: label(), detail })

  return {
    /** No race and no async function: each would add promises, and a dispatch waits for them. */
    run(payloads, work) {
      if (unanswered >= maxUnanswered && running > 0) {
        const detail = `${unanswered} payloads were not answered; one call at a time is let through until one is`
        return Promise.reject(unreachable(detail))
      }
      running += 1
      return new Promise((resolve, reject) => {
        const begun = performance.now()
        const signal = () => AbortSignal.timeout(Math.max(0, Math.floor(begun + timeoutMs * 0.8 - performance.now())))
        let over = false
        const end = () => {
          if (over) return false
          over = true
          running -= 1
          clearTimeout(timer)
          return true
        }
        const fail = (thrown: unknown) => {
          if (!end()) return
          const error = asFailure(thrown)
          if (error.code === 'RedisUnreachable') unanswered += payloads
          else if (isAnswer(error)) unanswered = 0
          reject(error)
        }
        const timer = setTimeout(() => fail(unreachable(`no answer within ${timeoutMs} ms`)), timeoutMs)
        work(signal).then((answer) => {
          if (!end()) return
          unanswered = 0
          resolve(answer)
        }, fail)
      })
    },
  }
}

/** Redis refused a command, or answered that another forwarder holds the key. Either way it reads what is sent. */
function isAnswer(error: StreamPipelineError): boolean {
  return error.code === 'DispatchContended' || replyCode(error) !== undefined
}
