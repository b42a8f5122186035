/** The handler of a job: one for all, or by the job's name. */
import { failure } from '../api/errors.ts'
import type { ExecutionContext } from './execution.ts'

export type Handler<Payload, Result> = (payload: Payload, context: ExecutionContext<Payload>) => Promise<Result> | Result

/** By the name of the job, which the request or `jobName` gives. `*` takes every other name. */
export type Handlers<Payload, Result> = Readonly<Record<string, Handler<Payload, Result>>>

/** Throws InvalidOption for what is no handler. The handler that it returns throws HandlerMissing for a name without one. */
export function handlerOf<Payload, Result>(
  execute: Handler<Payload, Result> | Handlers<Payload, Result>,
): Handler<Payload, Result> {
  if (typeof execute === 'function') return execute
  const handlers = new Map(Object.entries(execute))
  const wrong = [...handlers].find(([, handler]) => typeof handler !== 'function')
  if (handlers.size === 0 || wrong !== undefined) {
    const detail = wrong === undefined ? 'give a function, or one for each name' : `the handler of ${wrong[0]} is no function`
    throw failure('InvalidOption', { option: 'execute', detail })
  }
  return async (payload, context) => {
    const { name } = context.job
    const handler = handlers.get(name) ?? handlers.get('*')
    if (handler === undefined) throw failure('HandlerMissing', { name, known: [...handlers.keys()].join(', ') })
    return await handler(payload, context)
  }
}
