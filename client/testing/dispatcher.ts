/** The dispatcher of a test pipeline: the application's own interface, on a backend in memory. */
import { failure } from '../../api/errors.ts'
import type { DispatchMode } from '../../redis/dispatchconfig.ts'
import { jobId } from '../../redis/keys.ts'
import type { ForwardTarget } from '../../redis/placement.ts'
import { type RequestStatus, summary } from '../../redis/status/summary.ts'
import type { Dispatcher, DispatchResult } from '../dispatcher.ts'
import { optionsFor } from '../dispatchoptions.ts'
import type { Plan } from '../plan.ts'
import { checkAll, type DispatchOptions, prepareAll } from '../prepare.ts'
import { nameless, type RequestName, refsOf } from '../requestname.ts'
import type { StandardSchema } from '../standardschema.ts'
import { standingOf } from '../verdicts.ts'
import type { Backend } from './backend.ts'
import type { Waits } from './waits.ts'

interface TestDispatcherParts {
  readonly plan: Plan
  readonly target: ForwardTarget
  readonly backend: () => Backend
  readonly mode: () => DispatchMode
  readonly schema: StandardSchema | undefined
  readonly waits: Waits
  /** Runs what is due, as consumers and workers would while the caller waits. */
  readonly proceed: (isOver: () => boolean) => void
}

export function createTestDispatcher<Payload extends object>(parts: TestDispatcherParts): Dispatcher<Payload> {
  const { plan, target, backend, mode, schema, waits } = parts
  let isClosed = false

  function open(): void {
    if (isClosed) throw failure('Closed', { what: 'dispatcher' })
  }

  async function dispatchMany(
    payloads: readonly object[],
    options: DispatchOptions | readonly DispatchOptions[] = {},
  ): Promise<readonly DispatchResult[]> {
    open()
    const optionsOf = optionsFor(options, payloads.length)
    if (schema !== undefined) await checkAll(schema, payloads)
    return prepareAll(plan, payloads, optionsOf).map(({ flat, hash: hashed, item }): DispatchResult => {
      const hash = hashed()
      const ids = { jobId: jobId(target.keys.scope, hash), key: hash }
      if (mode() === 'Stream') return { mode: 'Stream', id: backend().append(flat), ...ids }
      return { mode: 'Direct', outcome: backend().forward(item()), ...ids }
    })
  }

  function statusOf(name: RequestName, scan = 0): RequestStatus {
    let status: RequestStatus | undefined
    for (const ref of refsOf(plan, name)) {
      const found = summary(target, backend().gather(ref, scan))
      if (found.state !== 'Unknown') return found
      status ??= found
    }
    if (status === undefined) throw nameless()
    return status
  }

  return {
    async dispatch(payload, options) {
      const [result] = await dispatchMany([payload], options)
      if (result === undefined) throw failure('Internal', { detail: 'a payload was left without a result' })
      return result
    },
    dispatchMany,
    async status(name, { scan } = {}) {
      open()
      return statusOf(name, scan)
    },
    async cancel(name, { scan } = {}) {
      open()
      const status = statusOf(name, scan)
      const standing = standingOf(status)
      if (standing !== undefined || status.key === undefined) return { outcome: standing ?? 'unknown', status }
      const outcome = backend().cancel(status.key)
      waits.settle()
      return { outcome, status }
    },
    async waitFor(name, options = {}) {
      open()
      statusOf(name)
      let isOver = false
      parts.proceed(() => isOver)
      try {
        return await waits.wait(() => statusOf(name), options)
      } finally {
        isOver = true
      }
    },
    async close() {
      isClosed = true
      waits.end()
    },
  }
}
