/** Runs of a test pipeline: what is due now, one thing after the other, and what comes due as its time moves on. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { failure } from '../../api/errors.ts'
import type { Backend } from './backend.ts'
import type { StoredJob } from './queue.ts'
import type { Drained } from './testpipeline.ts'
import type { Waits } from './waits.ts'

interface Runner {
  readonly isOpen: boolean
  run(job: StoredJob): Promise<void>
}

interface DrainingParts {
  readonly backend: () => Backend
  readonly worker: () => Runner | undefined
  readonly waits: Waits
  readonly now: () => number
  /** Moves the time on. */
  readonly pass: (ms: number) => void
}

interface Draining {
  drain(): Promise<Drained>
  /** Runs what is due while a caller waits. A handler that waits is itself run by a drain, so other jobs run within it. */
  proceed(isOver: () => boolean): Promise<void>
  /** Each thing that comes due on the way happens at its time. Throws InvalidOption. */
  advance(ms: number): Promise<void>
}

export function createDraining({ backend, worker, waits, now, pass }: DrainingParts): Draining {
  let latest: Promise<Drained> | undefined

  /** Set within a handler. */
  const running = new AsyncLocalStorage<true>()

  async function drainNow(isOver: () => boolean = () => false): Promise<Drained> {
    const drained = { forwarded: 0, duplicates: 0, deadLetters: 0, executed: 0 }
    /** Jobs that their handlers put back: their turn comes with the next drain. */
    const passed = new Set<string>()
    while (!isOver()) {
      const consumed = backend().consume()
      drained.forwarded += consumed.forwarded
      drained.duplicates += consumed.duplicates
      drained.deadLetters += consumed.dead
      const runner = worker()
      const job = runner?.isOpen === true ? backend().queue.take(passed) : undefined
      if (runner === undefined || job === undefined) break
      const { attemptsMade, id } = job
      await running.run(true, async () => await runner.run(job))
      drained.executed += 1
      if (job.attemptsMade === attemptsMade) passed.add(id)
    }
    waits.settle()
    return drained
  }

  /** Each begins after its call, so that it sees what the caller did before. */
  async function drain(): Promise<Drained> {
    const former = latest
    const own = (async () => {
      await former
      return await drainNow()
    })()
    latest = own
    try {
      return await own
    } finally {
      if (latest === own) latest = undefined
    }
  }

  return {
    drain,
    async proceed(isOver) {
      if (running.getStore() === true) await drainNow(isOver)
      else if (latest === undefined) await drain()
    },
    async advance(ms) {
      if (!(ms >= 0 && Number.isFinite(ms)))
        throw failure('InvalidOption', { option: 'advance', detail: `milliseconds, 0 or more, not ${ms}` })
      const end = now() + ms
      await drain()
      for (;;) {
        const next = Math.min(backend().queue.nextDue() ?? end, waits.nextDue() ?? end, end)
        pass(Math.max(0, next - now()))
        await drain()
        if (next >= end) return
      }
    },
  }
}
